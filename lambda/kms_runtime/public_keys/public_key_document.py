"""The published document of a public key, checked before anything of it is used."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

from kms_runtime.errors import PublicKeyInvalid

_STRINGS = ("keyArn", "keySpec", "keyUsage", "sha256", "der")
_USAGES = ("ENCRYPT_DECRYPT", "SIGN_VERIFY", "KEY_AGREEMENT")


def check_document(document: Mapping[str, Any]) -> bytes:
    """Return the DER of ``document``.

    Raises:
        PublicKeyInvalid: A member is missing or of another type, or the checksum is of other bytes.
    """
    wrong = [name for name in _STRINGS if not isinstance(document.get(name), str)]
    algorithms = document.get("algorithms")
    if not isinstance(algorithms, list) or not all(isinstance(name, str) for name in algorithms):
        wrong.append("algorithms")
    if wrong:
        raise PublicKeyInvalid(f"this is no document of a public key: {', '.join(wrong)} missing or of another type")
    if document["keyUsage"] not in _USAGES:
        raise PublicKeyInvalid(f"keyUsage {document['keyUsage']!r} is none of {', '.join(_USAGES)}")
    try:
        der = base64.b64decode(document["der"], validate=True)
    except (binascii.Error, ValueError):
        raise PublicKeyInvalid("der is not Base64") from None
    if hashlib.sha256(der).hexdigest() != document["sha256"]:
        raise PublicKeyInvalid("sha256 is not that of der: the document is damaged; fetch it again")
    return der
