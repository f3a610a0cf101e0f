"""How a request names a key: key id, key ARN and, where the operation takes it, alias name or alias ARN.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id
"""

import re

from kms_patterns.local.server.emulator.emulator import RESPONSES, reach
from kms_patterns.local.server.kms.kms_errors import KmsError, access_denied

_HEX = "[0-9a-f]"
_KEY_ID = re.compile(rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}|mrk-{_HEX}{{32}}")
_ARN = re.compile(r"arn:(aws[a-z-]*):kms:([a-z0-9-]+):(\d{12}):(key|alias)/(.+)", re.DOTALL)


def arn_of(reference: str) -> str:
    """Return the ARN that ``reference`` has in this account and Region, whether or not it exists."""
    if reference.startswith("arn:"):
        return reference
    resource = reference if reference.startswith("alias/") else f"key/{reference}"
    return f"arn:aws:kms:{_region()}:{_account()}:{resource}"


def check_identifier(reference: str, *, aliases: bool) -> None:
    """Refuse what does not identify a key for an operation.

    Args:
        reference: The member of the request.
        aliases: Whether the operation takes the name and the ARN of an alias.

    Raises:
        KmsError: NotFoundException, InvalidArnException.
    """
    if not reference.startswith("arn:"):
        if not (_KEY_ID.fullmatch(reference) or (aliases and reference.startswith("alias/"))):
            raise KmsError("NotFoundException", f"Invalid keyId '{reference}'")
        return
    arn = _ARN.fullmatch(reference)
    if arn is None or (arn[4] == "key" and not _KEY_ID.fullmatch(arn[5])):
        raise KmsError("InvalidArnException", f"{reference} is not a valid ARN of a KMS key")
    if arn[4] == "alias" and not aliases:
        raise KmsError("InvalidArnException", "Key Aliases are not supported for this operation")
    if arn[2] != _region():
        raise KmsError("NotFoundException", f"Invalid arn {arn[2]}")
    if arn[1] != "aws" or arn[3] != _account():
        raise access_denied(f"The key {reference} is of another partition or account; the embedded AWS has one.")


def alias_in(reference: str) -> str | None:
    """Return the alias name that a reference holds, None for a key id or key ARN."""
    return reference[reference.index("alias/") :] if "alias/" in reference else None


def not_found(reference: str) -> KmsError:
    """Return the refusal of a key or alias that does not exist in this account and Region."""
    arn = arn_of(reference)
    if alias_in(reference):
        return KmsError("NotFoundException", f"Alias {arn} is not found.")
    return KmsError("NotFoundException", f"Key '{arn}' does not exist")


def _region() -> str:
    return str(reach(RESPONSES, "get_region")())


def _account() -> str:
    return str(reach(RESPONSES, "get_account_id")())
