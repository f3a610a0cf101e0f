"""Payloads that travel in the response: small messages, and byte ranges of objects."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kms_runtime.envelope.decrypting import decrypt
from kms_runtime.envelope.encrypting import encrypt
from kms_runtime.envelope.ranged import decrypt_range
from kms_runtime.errors import InvalidRequest
from kms_runtime.handlers.validation import Event, Response, decode_base64, encode_base64, validator
from kms_runtime.keyrings import Keyring
from kms_runtime.s3 import S3Object, S3Range

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_PLAINTEXT = 128 * 1024
MAX_MESSAGE = 2 * MAX_PLAINTEXT


@dataclass(frozen=True, slots=True)
class Inline:
    """One direction for small payloads.

    Args:
        given: Field of the event that holds the payload.
        returned: Field of the response that holds the result.
        limit: Most bytes of the payload.
        validate: Checks the event.
        work: ``encrypt`` or ``decrypt``.
    """

    given: str
    returned: str
    limit: int
    validate: Callable[[object], Event]
    work: Callable[..., Any]

    def is_for(self, event: object) -> bool:
        """Tell whether ``event`` brings its payload along."""
        return isinstance(event, dict) and self.given in event

    def run(self, event: Event, *, keyring: Keyring, encryption_context: Mapping[str, str]) -> Response:
        """Return the response with the result.

        Raises:
            InvalidRequest: The payload is not Base64 or too large.
            KmsRuntimeError: As ``encrypt`` and ``decrypt``.
        """
        payload = decode_base64(event, self.given)
        if len(payload) > self.limit:
            raise InvalidRequest(f"event.{self.given} has {len(payload)} bytes; at most {self.limit} fit into an event")
        # What is released before the end is verified stays in this buffer if the end does not verify.
        result = io.BytesIO()
        message = self.work(io.BytesIO(payload), result, keyring=keyring, encryption_context=encryption_context)
        return {
            self.returned: encode_base64(result.getvalue()),
            "plaintextBytes": message.plaintext_bytes,
            "ciphertextBytes": message.ciphertext_bytes,
            "algorithmSuite": f"0x{message.algorithm_suite:04X}",
            "encryptionContext": dict(message.encryption_context),
        }


ENCRYPT_INLINE = Inline(
    "plaintext", "ciphertext", MAX_PLAINTEXT, validator("envelope_cipher/inline_encrypt_request"), encrypt
)
DECRYPT_INLINE = Inline(
    "ciphertext", "plaintext", MAX_MESSAGE, validator("envelope_cipher/inline_decrypt_request"), decrypt
)


def read_range(
    source: S3Object,
    byte_range: tuple[int, int],
    *,
    keyring: Keyring,
    encryption_context: Mapping[str, str],
    s3_client: "S3Client",
) -> Response:
    """Return the plaintext of ``byte_range`` (first byte, number of bytes) and what it belongs to."""
    start, length = byte_range
    message, plaintext = S3Range(source, s3_client=s3_client), io.BytesIO()
    result = decrypt_range(
        message, plaintext, start=start, length=length, keyring=keyring, encryption_context=encryption_context
    )
    return {
        "source": message.location.as_response(),
        "range": {"start": start, "length": result.plaintext_bytes},
        "plaintext": encode_base64(plaintext.getvalue()),
        "algorithmSuite": f"0x{result.algorithm_suite:04X}",
        "encryptionContext": dict(result.encryption_context),
    }
