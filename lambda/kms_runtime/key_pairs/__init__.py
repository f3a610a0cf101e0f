"""Data key pairs: made by AWS KMS, kept encrypted, used outside of it."""

from kms_runtime.key_pairs.data_key_pair_use import decrypt_with_pair, sign_with_pair
from kms_runtime.key_pairs.data_key_pairs import (
    DataKeyPair,
    make_data_key_pair,
    make_data_key_pair_with_private_key,
)

__all__ = [
    "DataKeyPair",
    "decrypt_with_pair",
    "make_data_key_pair",
    "make_data_key_pair_with_private_key",
    "sign_with_pair",
]
