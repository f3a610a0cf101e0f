"""RSAES_OAEP as AWS KMS does it: one hash for the label, which is empty, and the mask.

See https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html#key-spec-rsa-encryption
"""

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

PADDINGS: Final[Mapping[str, padding.OAEP]] = {
    "RSAES_OAEP_SHA_256": padding.OAEP(padding.MGF1(SHA256()), SHA256(), None),
    "RSAES_OAEP_SHA_1": padding.OAEP(padding.MGF1(SHA1()), SHA1(), None),  # noqa: S303 - AWS's name; safe in OAEP
}
"""The padding of each encryption algorithm."""
