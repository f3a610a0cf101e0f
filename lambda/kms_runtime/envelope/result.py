"""The result of an envelope operation: facts about the message it wrote or read."""

from collections.abc import Mapping
from dataclasses import dataclass

from kms_runtime.message.suite import AES_256_GCM_HKDF_SHA512_COMMIT_KEY


@dataclass(frozen=True, slots=True)
class MessageResult:
    """Facts about one message, all authenticated.

    Args:
        plaintext_bytes: Length of the plaintext.
        ciphertext_bytes: Length of the message: header, frames and tags.
        encryption_context: The message's full encryption context, with the verification key of a signed message.
        key_arn: ARN of the KMS key that made or decrypted the data key; or the name of a wrapping key outside AWS KMS.
        algorithm_suite: The message's algorithm suite id.
    """

    plaintext_bytes: int
    ciphertext_bytes: int
    encryption_context: Mapping[str, str]
    key_arn: str
    algorithm_suite: int = AES_256_GCM_HKDF_SHA512_COMMIT_KEY.suite_id
