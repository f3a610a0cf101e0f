"""Envelope encryption in AWS Encryption SDK messages: of streams, of bytes, and of ranges of a message."""

from kms_runtime.envelope.decrypting import decrypt, decrypt_bytes
from kms_runtime.envelope.encrypting import encrypt, encrypt_bytes
from kms_runtime.envelope.result import MessageResult

__all__ = ["MessageResult", "decrypt", "decrypt_bytes", "encrypt", "encrypt_bytes"]
