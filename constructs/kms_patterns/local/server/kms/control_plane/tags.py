"""Tags of keys by KMS's rules.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/tagging-keys.html
"""

import re

from kms_patterns.local.server.kms.key_records import KeyRecord
from kms_patterns.local.server.kms.kms_call import Request
from kms_patterns.local.server.kms.kms_errors import KmsError

MOST = 50
_CHARACTERS = re.compile(r"[\w\s+\-=.:/@]*")


def check_tags(request: Request, existing: int = 0) -> None:
    """Refuse tags that KMS refuses: reserved, given twice, more than 50, or with other characters.

    Args:
        request: With the member Tags.
        existing: How many other tags the key has.

    Raises:
        KmsError: TagException.
    """
    tags = request.get("Tags") or []
    names = [tag["TagKey"] for tag in tags]
    _check_names(names)
    if len(set(names)) < len(names):
        raise KmsError("TagException", "Duplicate tag keys")
    if existing + len(names) > MOST:
        raise KmsError("TagException", "Too many tags")
    if not all(_CHARACTERS.fullmatch(text) for tag in tags for text in (tag["TagKey"], tag["TagValue"])):
        raise KmsError("TagException", "A tag has characters other than letters, digits, white space and +-=._:/@")


def tag_resource(record: KeyRecord, request: Request) -> None:
    """Check TagResource, then leave it to the emulator."""
    replaced = {tag["TagKey"] for tag in request["Tags"]}
    # CloudFormation's own tags, which begin with aws:, do not count.
    others = [name for tag in record.get("Tags", []) if not (name := tag["TagKey"]).startswith("aws:")]
    check_tags(request, sum(name not in replaced for name in others))


def untag_resource(_record: KeyRecord, request: Request) -> None:
    """Check UntagResource, then leave it to the emulator."""
    _check_names(request["TagKeys"])


def _check_names(names: list[str]) -> None:
    if any(name.lower().startswith("aws:") for name in names):
        raise KmsError("TagException", "Tags beginning with aws: are reserved")
