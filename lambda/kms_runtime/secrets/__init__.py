"""Small secrets encrypted by AWS KMS itself, under symmetric and RSA keys, and moved from key to key unread."""

from kms_runtime.secrets.symmetric import SecretCiphertext, SecretPlaintext, decrypt_secret, encrypt_secret

__all__ = ["SecretCiphertext", "SecretPlaintext", "decrypt_secret", "encrypt_secret"]
