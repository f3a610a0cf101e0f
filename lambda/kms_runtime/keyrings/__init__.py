"""Keyrings make and recover a message's data key: with AWS KMS, or with wrapping keys that the caller holds.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/choose-keyring.html
"""

from kms_runtime.keyrings.keyring import DataKey, Keyring
from kms_runtime.keyrings.kms import KmsKeyring

__all__ = ["DataKey", "Keyring", "KmsKeyring"]
