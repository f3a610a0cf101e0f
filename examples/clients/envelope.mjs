// Files of any size for an RsaEnvelopeCipher, with WebCrypto alone: the same code runs in browsers and in Node.
// The format is message format version 2 of the AWS Encryption SDK, suite 0x0478, one data key of the KMS RSA keyring:
// https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html

const SUITE = Uint8Array.of(0x04, 0x78)
const FRAME = 256 * 1024
const FINAL = 0xffffffff
const encoder = new TextEncoder()

/** Fetch a published public key, check its checksum, and return its document. */
export async function fetchKey (address) {
  if (new URL(address).protocol !== 'https:') throw new Error(`${address}: give an https address`)
  const answer = await fetch(address, { redirect: 'error' })
  if (!answer.ok) throw new Error(`${address}: ${answer.status} ${(await answer.text()).trim()}`)
  const document = await answer.json()
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', fromBase64(document.der)))
  if ([...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('') !== document.sha256) {
    throw new Error('sha256 is not that of der: the document is damaged; fetch it again')
  }
  return document
}

/** Encrypt a Uint8Array within the limit that the key's document names. */
export async function encryptSecret (secret, document) {
  const key = await rsaKey(document)
  const limit = document.plaintextLimits.RSAES_OAEP_SHA_256
  if (secret.length < 1 || secret.length > limit) {
    throw new Error(`the secret has ${secret.length} bytes; this key takes 1 to ${limit}: encrypt more as a file`)
  }
  return new Uint8Array(await crypto.subtle.encrypt({ name: 'RSA-OAEP' }, key, secret))
}

/** Encrypt an async iterable of Uint8Arrays, such as `blob.stream()`; yield the message piece by piece. */
export async function * encryptStream (source, document, context) {
  const id = crypto.getRandomValues(new Uint8Array(32))
  const dataKey = crypto.getRandomValues(new Uint8Array(32))
  const { key, commitment } = await derive(dataKey, id)
  const body = await header(id, dataKey, commitment, document, context)
  dataKey.fill(0)
  yield body
  yield seal(key, new Uint8Array(12), body, new Uint8Array())
  let number = 0
  for await (const { piece, last } of frames(source)) {
    if (++number === FINAL) throw new Error('the file is too large for frames of 256 KiB')
    const iv = concat(new Uint8Array(8), u32(number))
    const text = encoder.encode(`AWSKMSEncryptionClient ${last ? 'Final ' : ''}Frame`)
    const aad = concat(id, text, u32(number), u32(0), u32(piece.length))
    const head = last ? [u32(FINAL), u32(number), iv, u32(piece.length)] : [u32(number), iv]
    yield concat(...head, await seal(key, iv, aad, piece))
  }
}

async function header (id, dataKey, commitment, document, context) {
  const pairs = serialize(context)
  const digest = await crypto.subtle.digest('SHA-384', pairs)
  const bound = concat(new Uint8Array(digest), dataKey)
  const wrapped = await crypto.subtle.encrypt({ name: 'RSA-OAEP' }, await rsaKey(document), bound)
  bound.fill(0)
  const fields = ['aws-kms-rsa', document.keyArn].map((text) => encoder.encode(text))
  const dataKeys = [...fields, new Uint8Array(wrapped)].map((field) => concat(u16(field.length), field))
  return concat(
    Uint8Array.of(2), SUITE, id, u16(pairs.length), pairs, u16(1), ...dataKeys, Uint8Array.of(2), u32(FRAME), commitment
  )
}

/** Serialize an encryption context, sorted by the bytes of its names. */
function serialize (context) {
  const refused = Object.entries(context).find(([name, value]) => !name || !value || name.startsWith('aws-crypto-'))
  if (refused) throw new Error(`${refused.join('=')}: a pair has a name, not of aws-crypto-, and a value`)
  const pairs = Object.entries(context).map((pair) => pair.map((text) => encoder.encode(text)))
  if (pairs.length === 0) return new Uint8Array()
  pairs.sort(([one], [other]) => compare(one, other))
  const size = pairs.flat().reduce((sum, field) => sum + 2 + field.length, 2)
  if (size > 8192) throw new Error(`the encryption context takes ${size} bytes; at most 8192 fit`)
  return concat(u16(pairs.length), ...pairs.flat().map((field) => concat(u16(field.length), field)))
}

async function derive (dataKey, id) {
  const material = await crypto.subtle.importKey('raw', dataKey, 'HKDF', false, ['deriveBits'])
  const expand = (...info) => crypto.subtle.deriveBits(
    { name: 'HKDF', hash: 'SHA-512', salt: id, info: concat(...info) }, material, 256
  )
  const raw = await expand(SUITE, encoder.encode('DERIVEKEY'))
  return {
    key: await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['encrypt']),
    commitment: new Uint8Array(await expand(encoder.encode('COMMITKEY')))
  }
}

function rsaKey (document) {
  if (!document.algorithms.includes('RSAES_OAEP_SHA_256')) throw new Error('this key is not for RSAES_OAEP_SHA_256')
  return crypto.subtle.importKey(
    'spki', fromBase64(document.der), { name: 'RSA-OAEP', hash: 'SHA-256' }, false, ['encrypt']
  )
}

async function seal (key, iv, additionalData, plaintext) {
  return new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-GCM', iv, additionalData }, key, plaintext))
}

/** Cut a stream into frames; a full one is the last only if nothing follows it. */
async function * frames (source) {
  const frame = new Uint8Array(FRAME)
  let length = 0
  for await (const chunk of source) {
    for (let start = 0; start < chunk.length;) {
      if (length === FRAME) {
        yield { piece: frame, last: false }
        length = 0
      }
      const taken = chunk.subarray(start, start + FRAME - length)
      frame.set(taken, length)
      length += taken.length
      start += taken.length
    }
  }
  yield { piece: frame.subarray(0, length), last: true }
}

function compare (one, other) {
  const differs = one.findIndex((byte, place) => byte !== other[place])
  return differs === -1 ? one.length - other.length : one[differs] - (other[differs] ?? -1)
}

function concat (...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  parts.reduce((place, part) => { whole.set(part, place); return place + part.length }, 0)
  return whole
}

function fromBase64 (text) { return Uint8Array.from(atob(text), (character) => character.charCodeAt(0)) }

function u16 (number) { return Uint8Array.of(number >>> 8, number) }

function u32 (number) { return Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number) }
