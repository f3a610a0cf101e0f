"""Messages between an AWS KMS key and an outsider with a key pair of its own, under a key that both derive."""

from kms_runtime.key_agreement.agreement import KmsParty, LocalParty, Opened, open_sealed, seal

__all__ = ["KmsParty", "LocalParty", "Opened", "open_sealed", "seal"]
