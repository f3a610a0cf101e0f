// Node's built-in crypto, no packages: node encrypt.mjs https://…/partners.json < SECRET; prints Base64.
import { constants, createHash, createPublicKey, publicEncrypt } from 'node:crypto'
import { buffer } from 'node:stream/consumers'

const [address] = process.argv.slice(2)
if (!address?.startsWith('https://')) {
  throw new Error(`${address}: a public key is only as good as the connection that it comes by; give an https address`)
}
const answer = await fetch(address, { redirect: 'error' })
if (!answer.ok) throw new Error(`${address}: ${answer.status} ${(await answer.text()).trim()}`)
const document = await answer.json()
const der = Buffer.from(document.der, 'base64')
if (createHash('sha256').update(der).digest('hex') !== document.sha256) {
  throw new Error('sha256 is not that of der: the document is damaged; fetch it again')
}
if (!document.algorithms.includes('RSAES_OAEP_SHA_256')) throw new Error('this key is not for RSAES_OAEP_SHA_256')
const secret = await buffer(process.stdin)
const limit = document.plaintextLimits.RSAES_OAEP_SHA_256
if (secret.length < 1 || secret.length > limit) {
  throw new Error(`the secret has ${secret.length} bytes; this key takes 1 to ${limit}: encrypt more as a file, see envelope.mjs`)
}
const key = createPublicKey({ key: der, format: 'der', type: 'spki' })
const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
console.log(publicEncrypt({ key, ...padding }, secret).toString('base64'))
