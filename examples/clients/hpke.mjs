// Encrypts or decrypts one HPKE message (RFC 9180, base mode) with Node's own crypto, 24.7 or later, and no package.
// node hpke.mjs encrypt PUBLIC_KEY.pem INFO < payload > message
// node hpke.mjs decrypt PRIVATE_KEY.pem INFO < message > payload
import { createCipheriv, createDecipheriv, createHmac, createPrivateKey, createPublicKey, decapsulate, encapsulate } from "node:crypto";
import { readFileSync } from "node:fs";

const SUITES = {
  "ml-kem-768": { kem: 0x41, kdf: 1, hash: "sha256", encapsulated: 1088 },
  "ml-kem-1024": { kem: 0x42, kdf: 2, hash: "sha384", encapsulated: 1568 },
};
const AES_256_GCM = 2;

const number = (value) => Buffer.from([value >> 8, value & 255]);

function keyAndNonce({ kem, kdf, hash }, secret, info) {
  const suite = Buffer.concat([Buffer.from("HPKE"), number(kem), number(kdf), number(AES_256_GCM)]);
  const labelled = (label, value) => Buffer.concat([Buffer.from("HPKE-v1"), suite, Buffer.from(label), value]);
  const extract = (salt, label, value) => createHmac(hash, salt).update(labelled(label, value)).digest();
  const empty = Buffer.alloc(0);
  const context = Buffer.concat([Buffer.of(0), extract(empty, "psk_id_hash", empty), extract(empty, "info_hash", info)]);
  const prk = extract(secret, "secret", empty);
  const expand = (label, length) =>
    createHmac(hash, prk).update(Buffer.concat([number(length), labelled(label, context), Buffer.of(1)])).digest().subarray(0, length);
  return [expand("key", 32), expand("base_nonce", 12)];
}

function encrypt(pem, info, payload) {
  const key = createPublicKey(pem);
  const suite = SUITES[key.asymmetricKeyType];
  const { sharedKey, ciphertext } = encapsulate(key);
  const cipher = createCipheriv("aes-256-gcm", ...keyAndNonce(suite, sharedKey, info));
  return Buffer.concat([ciphertext, cipher.update(payload), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(pem, info, message) {
  const key = createPrivateKey(pem);
  const suite = SUITES[key.asymmetricKeyType];
  const secret = decapsulate(key, message.subarray(0, suite.encapsulated));
  const decipher = createDecipheriv("aes-256-gcm", ...keyAndNonce(suite, secret, info)).setAuthTag(message.subarray(-16));
  return Buffer.concat([decipher.update(message.subarray(suite.encapsulated, -16)), decipher.final()]);
}

const [verb, path, info] = process.argv.slice(2);
process.stdout.write({ encrypt, decrypt }[verb](readFileSync(path), Buffer.from(info), readFileSync(0)));
