// The outsider's half of a key agreement with Node's built-in crypto alone, written from the documented layout.
// agreement_outsider.mjs encrypt|decrypt OUTSIDER.pem KMS_PUBLIC_KEY.der PURPOSE < payload or message > message or payload
import * as crypto from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

const [verb, ownFile, kmsFile, purpose] = process.argv.slice(2);
const privateKey = crypto.createPrivateKey(readFileSync(ownFile));
const spki = { format: "der", type: "spki" };
const own = crypto.createPublicKey(privateKey).export(spki);
const published = readFileSync(kmsFile);
const input = readFileSync(0);

const prefixed = (field) => Buffer.concat([Buffer.from([field.length >> 8, field.length & 255]), field]);
const keys = (sender, recipient, salt) => {
  const publicKey = crypto.createPublicKey({ key: published, ...spki });
  const secret = crypto.diffieHellman({ privateKey, publicKey });
  const label = Buffer.from("kms-patterns key agreement 1");
  const info = Buffer.concat([label, Buffer.from(purpose), sender, recipient].map(prefixed));
  const derived = Buffer.from(crypto.hkdfSync("sha256", secret, salt, info, 44));
  return [derived.subarray(0, 32), derived.subarray(32)];
};
const header = (sender, recipient, salt) =>
  Buffer.concat([Buffer.from([1]), prefixed(sender), prefixed(recipient), salt]);

if (verb === "encrypt") {
  const salt = crypto.randomBytes(32);
  const [key, nonce] = keys(own, published, salt);
  const cipher = crypto.createCipheriv("aes-256-gcm", key, nonce).setAAD(header(own, published, salt));
  const encrypted = Buffer.concat([cipher.update(input), cipher.final()]);
  writeFileSync(1, Buffer.concat([header(own, published, salt), encrypted, cipher.getAuthTag()]));
} else {
  const start = header(published, own, Buffer.alloc(32)).length;
  const salt = input.subarray(start - 32, start);
  const expected = header(published, own, salt);
  if (!input.subarray(0, start).equals(expected)) throw new Error("another sender, recipient or version");
  const [key, nonce] = keys(published, own, salt);
  const decipher = crypto.createDecipheriv("aes-256-gcm", key, nonce).setAAD(expected);
  decipher.setAuthTag(input.subarray(-16));
  writeFileSync(1, Buffer.concat([decipher.update(input.subarray(start, -16)), decipher.final()]));
}
