"""Public keys of AWS KMS keys, exported for those outside of AWS: as PEM, DER, JWK and a JSON document."""

from kms_runtime.public_keys.public_key import PublicKey

__all__ = ["PublicKey"]
