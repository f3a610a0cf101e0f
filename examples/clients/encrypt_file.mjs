// Node, no packages: node encrypt_file.mjs https://…/mail.json FILE MESSAGE SENDER; any size, constant memory.
import { createReadStream, createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { encryptStream, fetchKey } from './envelope.mjs'

const [address, file, message, sender] = process.argv.slice(2)
const key = await fetchKey(address)
await pipeline(Readable.from(encryptStream(createReadStream(file), key, { sender })), createWriteStream(message))
