// What the buttons of encrypt.html do.
import { encryptSecret, encryptStream, fetchKey } from './envelope.mjs'

const at = (id) => document.getElementById(id)
const link = at('message')

const attempt = (work) => async () => {
  at('error').textContent = at('ciphertext').textContent = ''
  link.hidden = true
  try {
    await work(await fetchKey(at('address').value))
  } catch (error) {
    at('error').textContent = error.message
  }
}

// Not every browser lets a stream be iterated over.
async function * chunks (file) {
  const reader = file.stream().getReader()
  for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value
}

at('encrypt-secret').onclick = attempt(async (key) => {
  const ciphertext = await encryptSecret(new TextEncoder().encode(at('secret').value), key)
  at('ciphertext').textContent = btoa(String.fromCharCode(...ciphertext))
})

at('encrypt-file').onclick = attempt(async (key) => {
  const [file] = at('file').files
  if (!file) throw new Error('choose a file')
  const pieces = []
  for await (const piece of encryptStream(chunks(file), key, { sender: at('sender').value })) pieces.push(piece)
  URL.revokeObjectURL(link.href)
  link.href = URL.createObjectURL(new Blob(pieces))
  link.download = link.textContent = `${file.name}.encrypted`
  link.hidden = false
})
