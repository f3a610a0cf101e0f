"""Aliases and tags: their names, and which key may take over an alias.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html
https://docs.aws.amazon.com/kms/latest/developerguide/tagging-keys.html
"""

import re

from kms_patterns.local.server.emulator.emulator import KMS, reach
from kms_patterns.local.server.kms.control_plane.listing import ALIASES, page
from kms_patterns.local.server.kms.key_records import MANAGED, KeyRecord, find_key
from kms_patterns.local.server.kms.kms_call import Request, ResponseMembers
from kms_patterns.local.server.kms.kms_errors import KmsError, invalid
from kms_patterns.local.server.kms.targets import check_identifier, not_found

PREFIX, RESERVED = "alias/", "alias/aws/"
_NAME = re.compile(r"alias/[a-zA-Z0-9/_-]+")
_PAGE = "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"


def check_name(request: Request) -> None:
    """Refuse what cannot name an alias of a customer.

    Raises:
        KmsError: ValidationException, NotAuthorizedException, InvalidAliasNameException.
    """
    name = request["AliasName"]
    if not name.startswith(PREFIX):
        raise invalid(f'Alias must start with the prefix "{PREFIX}". Please see {_PAGE}')
    if name.startswith(RESERVED):
        raise KmsError("NotAuthorizedException", f"The alias prefix {RESERVED} is reserved for AWS managed keys.")
    if not _NAME.fullmatch(name):
        raise KmsError("InvalidAliasNameException", f"{name} has characters that an alias name must not have.")


def create_alias(request: Request) -> None:
    """Check CreateAlias, then leave it to the emulator."""
    check_name(request)
    if _arn(request) in reach(KMS, "_aliases"):
        raise KmsError("AlreadyExistsException", f"An alias with the name {_arn(request)} already exists")


def delete_alias(request: Request) -> None:
    """Check DeleteAlias, then leave it to the emulator."""
    check_name(request)
    if _arn(request) not in reach(KMS, "_aliases"):
        raise not_found(request["AliasName"])


def update_alias(request: Request) -> None:
    """Check UpdateAlias, then leave it to the emulator: both keys must be of one kind and usage."""
    check_name(request)
    current, target = find_key(request["AliasName"]), find_key(request["TargetKeyId"])
    if current is None or target is None:
        raise not_found(request["AliasName"])
    if _kind(current) != _kind(target):
        raise KmsError(
            "KMSInvalidStateException",
            f"{_arn(request)} is of a {' '.join(_kind(current))} key and cannot be moved to {target['Arn']}, "
            f"a {' '.join(_kind(target))} key; delete the alias and create it again",
        )


def list_aliases(request: Request) -> ResponseMembers:
    """Return the response to ListAliases, of one key if it is named by key id or key ARN."""
    wanted = None
    if request.get("KeyId"):
        check_identifier(request["KeyId"], aliases=False)
        wanted = find_key(request["KeyId"])
        if wanted is None:
            raise not_found(request["KeyId"])
    dates = reach(KMS, "_alias_dates")
    items = [
        (arn, {"AliasName": arn.split(":", 5)[5], "AliasArn": arn, "TargetKeyId": key_id, **(dates.get(arn) or {})})
        for arn, key_id in reach(KMS, "_aliases").items()
        if wanted is None or key_id == wanted["KeyId"]
    ]
    # A predefined alias whose key nothing has asked for has no TargetKeyId.
    predefined = {reach(KMS, "_alias_arn")(f"{RESERVED}{it}"): f"{RESERVED}{it}" for it in MANAGED if wanted is None}
    made = {arn for arn, _item in items}
    items += [(arn, {"AliasName": name, "AliasArn": arn}) for arn, name in predefined.items() if arn not in made]
    return page(request, "Aliases", items, ALIASES)


def _arn(request: Request) -> str:
    arn: str = reach(KMS, "_alias_arn")(request["AliasName"])
    return arn


def _kind(record: KeyRecord) -> tuple[str, str]:
    spec = record["KeySpec"]
    symmetric = "symmetric" if spec == "SYMMETRIC_DEFAULT" else "HMAC" if spec.startswith("HMAC") else "asymmetric"
    return symmetric, record["KeyUsage"]


_MOST_TAGS = 50
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
    if existing + len(names) > _MOST_TAGS:
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
