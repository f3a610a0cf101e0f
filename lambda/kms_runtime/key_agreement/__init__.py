"""Messages between an AWS KMS key and an outsider with a key pair of its own, under a key that both derive."""

from kms_runtime.key_agreement.agreement import Decrypted, KmsParty, LocalParty, decrypt, encrypt

__all__ = ["Decrypted", "KmsParty", "LocalParty", "decrypt", "encrypt"]
