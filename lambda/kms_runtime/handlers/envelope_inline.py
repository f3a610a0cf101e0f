"""Small payloads that travel in the event and in the response, with no object in between."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kms_runtime.envelope.decrypting import decrypt
from kms_runtime.envelope.encrypting import encrypt
from kms_runtime.errors import InvalidRequest
from kms_runtime.handlers.validation import Event, Response, decode_base64, encode_base64, validator
from kms_runtime.keyrings import Keyring

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
