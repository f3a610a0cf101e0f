"""Aliases: their names, and which key may take over one.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html
"""

import re

from kms_patterns.local.server.emulator.emulator import KMS, reach
from kms_patterns.local.server.kms.control_plane.listing import ALIASES, page
from kms_patterns.local.server.kms.key_records import KeyRecord, find_key
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
    return page(request, "Aliases", items, ALIASES)


def _arn(request: Request) -> str:
    arn: str = reach(KMS, "_alias_arn")(request["AliasName"])
    return arn


def _kind(record: KeyRecord) -> tuple[str, str]:
    spec = record["KeySpec"]
    symmetric = "symmetric" if spec == "SYMMETRIC_DEFAULT" else "HMAC" if spec.startswith("HMAC") else "asymmetric"
    return symmetric, record["KeyUsage"]
