"""What KMS refuses to store as a key policy: malformed ones, unknown principals, and those that lock their author out.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from kms_patterns.local.server.authorization.authorization import authorize_key
from kms_patterns.local.server.authorization.caller import Caller, bound_ids, principal_exists
from kms_patterns.local.server.authorization.operators import is_operator
from kms_patterns.local.server.emulator.emulator import RESPONSES, reach
from kms_patterns.local.server.kms.keys import KeyRecord, find_key
from kms_patterns.local.server.kms.kms_call import Request, ResponseMembers
from kms_patterns.local.server.kms.kms_errors import KmsError

MOST_BYTES = 32768
NAME = "default"
_ANY_KEY = "arn:aws:kms:us-east-1:000000000000:key/any"
_LOCKED_OUT = "The new key policy will not allow you to update the key policy in the future."
_REQUIRED = (("Effect",), ("Principal", "NotPrincipal"), ("Action", "NotAction"), ("Resource", "NotResource"))
_ELEMENTS = frozenset({"Sid", "Condition", *(name for names in _REQUIRED for name in names)})
_VERSIONS = ("2012-10-17", "2008-10-17")
_SERVICE = re.compile(r"[a-z0-9.-]+\.(amazonaws\.com(\.cn)?|aws\.internal)")
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_STORING = frozenset({"CreateKey", "PutKeyPolicy", "ReplicateKey"})


def check(operation: str, request: Request, caller: Caller) -> None:
    """Refuse a request that stores a key policy, or names one, if KMS would refuse it.

    Raises:
        KmsError: MalformedPolicyDocumentException, LimitExceededException, NotFoundException for another name.
    """
    if operation in {"PutKeyPolicy", "GetKeyPolicy"} and request.get("PolicyName", NAME) != NAME:
        raise KmsError("NotFoundException", f"No such policy exists: a key has the policy {NAME} only")
    document = request.get("Policy")
    if operation not in _STORING or document is None:
        return
    _well_formed(document)
    if request.get("BypassPolicyLockoutSafetyCheck"):
        return
    # It binds root here, as which nothing is delegated; what a key policy leaves to IAM, IAM must allow the author.
    # AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html (Policy)
    author = Caller(caller.arn, "Author", caller.account)
    decision = authorize_key(author, "kms:PutKeyPolicy", {"Arn": _ANY_KEY, "Policy": document}, {})
    delegated = decision.reason.startswith("because no identity-based")
    if delegated and not caller.is_root:
        held = find_key(str(request["KeyId"])) if operation == "PutKeyPolicy" else None
        here = f"{reach(RESPONSES, 'get_region')()}:{caller.account}"
        key = {"Arn": held["Arn"] if held else f"arn:aws:kms:{here}:key/new", "Policy": document}
        decision = authorize_key(caller, "kms:PutKeyPolicy", key, {})
    if not decision.allowed and not (delegated and caller.is_root):
        raise _malformed(_LOCKED_OUT)


def put_key_policy(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to PutKeyPolicy; the principals that the policy names are those that exist now."""
    record |= {"Policy": request["Policy"], "_bound_policy": None}
    bound_ids(record)
    return {}


def _well_formed(document: str) -> None:
    if len(document.encode()) > MOST_BYTES:
        raise KmsError("LimitExceededException", f"A key policy has at most {MOST_BYTES} bytes.")
    try:
        policy = json.loads(document, object_pairs_hook=_once)
    except (ValueError, RecursionError) as malformed:
        raise _malformed("This policy contains invalid Json") from malformed
    if not isinstance(policy, Mapping):
        raise _malformed("This policy contains invalid Json")
    if set(policy) - {"Version", "Id", "Statement"}:
        raise _malformed(f"Syntax error at {', '.join(sorted(set(policy) - {'Version', 'Id', 'Statement'}))}")
    if policy.get("Version", _VERSIONS[0]) not in _VERSIONS or not isinstance(policy.get("Id", ""), str):
        raise _malformed("The policy must contain a valid version string")
    statements = policy.get("Statement")
    statements = [statements] if isinstance(statements, Mapping) else statements
    if not isinstance(statements, list) or not statements:
        raise _malformed("Missing required field Statement")
    for statement in statements:
        _statement(statement)
    sids = [statement["Sid"] for statement in statements if statement.get("Sid")]
    if len(set(sids)) < len(sids):
        raise _malformed("Statement IDs (SID) in a single policy must be unique.")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an element is given twice")
    return found


def _statement(statement: Any) -> None:
    if not isinstance(statement, Mapping):
        raise _malformed("a statement must be an object")
    if set(statement) - _ELEMENTS:
        raise _malformed(f"Syntax error: a statement has no element {', '.join(sorted(set(statement) - _ELEMENTS))}")
    for names in _REQUIRED:
        if sum(name in statement for name in names) != 1:
            raise _malformed(f"a statement must have exactly one of {' and '.join(names)}")
    if statement["Effect"] not in ("Allow", "Deny"):
        raise _malformed(f"Invalid effect: {statement['Effect']}")
    if not isinstance(statement.get("Sid", ""), str):
        raise _malformed("a Sid must be a string")
    for name in ("Action", "NotAction", "Resource", "NotResource"):
        if name in statement and not _texts(statement[name]):
            raise _malformed(f"{name} must be a string or a list of strings that is not empty")
    _principals(statement.get("Principal", statement.get("NotPrincipal")))
    _condition(statement.get("Condition", {}))


def _principals(principal: Any) -> None:
    if principal == "*":
        return
    if not isinstance(principal, Mapping) or not principal:
        raise _malformed("Policy contains a statement with no principal.")
    for kind, entries in principal.items():
        listed = _texts(entries)
        if not listed or not all(_is_principal(kind, entry) for entry in listed):
            raise _malformed("Policy contains a statement with one or more invalid principals.")


def _is_principal(kind: str, entry: str) -> bool:
    if kind == "AWS":
        return entry == "*" or _ACCOUNT.fullmatch(entry) is not None or principal_exists(entry)
    return kind == "Federated" or (kind == "Service" and _SERVICE.fullmatch(entry) is not None)


def _condition(condition: Any) -> None:
    if not isinstance(condition, Mapping):
        raise _malformed("Condition must be an object")
    for operator, block in condition.items():
        if not is_operator(operator):
            raise _malformed(f"Invalid Condition type : {operator}.")
        if not isinstance(block, Mapping) or not all(_values(values) for values in block.values()):
            raise _malformed(f"The condition {operator} must map condition keys to values")


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return values if all(isinstance(item, str) and item for item in values) else []


def _values(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(isinstance(item, str | int | float | bool) for item in values)


def _malformed(message: str) -> KmsError:
    return KmsError("MalformedPolicyDocumentException", message)
