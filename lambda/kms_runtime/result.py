"""What an envelope operation reports about the message it wrote or read."""

from collections.abc import Mapping
from dataclasses import dataclass

from kms_runtime.message.suite import SUITE_ID


@dataclass(frozen=True, slots=True)
class MessageResult:
    """Facts about one message, all authenticated.

    Args:
        plaintext_bytes: Length of the plaintext.
        ciphertext_bytes: Length of the message: header, frames and tags.
        encryption_context: The message's full encryption context.
        key_arn: ARN of the KMS key that wraps the data key.
        algorithm_suite: The message's algorithm suite id.
    """

    plaintext_bytes: int
    ciphertext_bytes: int
    encryption_context: Mapping[str, str]
    key_arn: str
    algorithm_suite: int = SUITE_ID
