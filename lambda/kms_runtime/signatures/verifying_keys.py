"""Public keys that signatures are verified with: published by this package, or a bare PEM or DER file of any origin.

See https://docs.aws.amazon.com/kms/latest/developerguide/offline-public-key.html
"""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from kms_runtime.errors import PublicKeyInvalid
from kms_runtime.key_specs import key_spec_of
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.signing_algorithms import ALGORITHMS_OF


class VerifyingKey(Protocol):
    """What verification needs to know of a key; ``kms_runtime.public_keys.PublicKey`` has it all."""

    @property
    def key_arn(self) -> str:
        """What errors call the key."""

    @property
    def key_spec(self) -> str:
        """AWS KMS's name of its kind."""

    @property
    def key_usage(self) -> str:
        """``SIGN_VERIFY``."""

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The signing algorithms that are accepted of it."""

    @property
    def key(self) -> Any:
        """The key as ``cryptography`` has it."""

    def __hash__(self) -> int:
        """Equal keys, equal hashes."""


@dataclass(frozen=True)
class BareKey:
    """A public key without a document: every algorithm of its kind is accepted of it."""

    key_arn: str
    key_spec: str
    algorithms: tuple[str, ...]
    der: bytes
    key_usage: str = "SIGN_VERIFY"

    @cached_property
    def key(self) -> Any:
        """The key as ``cryptography`` has it."""
        return load_der_public_key(self.der)


def read_verifying_key(data: bytes, *, called: str) -> VerifyingKey:
    """Return the key of a file: the JSON document of PublicKeyExport, PEM, or DER.

    Args:
        data: The file's content.
        called: What errors call a key without an ARN, such as the file's name.

    Raises:
        PublicKeyInvalid: None of the three, a private key, or a kind of key that AWS KMS does not have.
        InvalidArnException: The document's ``keyArn`` is not a key ARN.
    """
    text = data.strip()
    if text.startswith(b"{"):
        try:
            return PublicKey.from_document(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise PublicKeyInvalid(f"{called} is not JSON: {error}") from None
    try:
        key: Any = load_pem_public_key(text) if text.startswith(b"-----") else load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise PublicKeyInvalid(
            f"{called} is not a public key: the JSON document of PublicKeyExport, PEM (-----BEGIN PUBLIC KEY-----) or "
            f"DER is expected ({error})"
        ) from None
    spec = key_spec_of(key)
    if spec not in ALGORITHMS_OF:
        raise PublicKeyInvalid(f"{called} is a key of a kind that AWS KMS does not have ({spec})")
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return BareKey(called, spec, ALGORITHMS_OF[spec], der)
