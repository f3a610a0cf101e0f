"""The four forms in which a public key is published, each a file: JSON document, PEM, DER and JSON Web Key."""

import json
from dataclasses import dataclass
from typing import Final

from kms_runtime.public_keys.public_key import PublicKey

CONTENT_TYPES: Final = {
    "json": "application/json",
    "pem": "application/x-pem-file",
    "der": "application/octet-stream",
    "jwk": "application/jwk+json",
}
"""The content type of each form, by the ending of its file's name."""


@dataclass(frozen=True, slots=True)
class PublicKeyFile:
    """One form of a public key.

    Args:
        name: Name of the file, such as ``inbox.pem``.
        content_type: What HTTP calls it.
        content: Its bytes, the same for the same key, so that caches stay valid.
    """

    name: str
    content_type: str
    content: bytes


def public_key_files(name: str, key: PublicKey) -> list[PublicKeyFile]:
    """Return the files in which ``key`` is published under ``name``.

    Raises:
        PublicKeyInvalid: The key has no form that others can read (SM2).
    """
    contents = {"json": _json(key.document()), "pem": key.pem.encode(), "der": key.der, "jwk": _json(key.jwk())}
    return [PublicKeyFile(f"{name}.{form}", CONTENT_TYPES[form], content) for form, content in contents.items()]


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
