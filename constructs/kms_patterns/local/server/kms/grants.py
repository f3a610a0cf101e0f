"""Grants: what they allow, under which constraint, and who may pass them on or retire them.

A grant of AWS works everywhere within minutes, and at once with its token; here it works at once.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
"""

from collections.abc import Iterator, Mapping
from typing import Any

from kms_patterns.local.server.authorization.caller import Caller, is_another
from kms_patterns.local.server.authorization.decision import Decision
from kms_patterns.local.server.authorization.policy_statements import Statement
from kms_patterns.local.server.emulator.emulator import KMS, reach
from kms_patterns.local.server.faults import is_pending_grant
from kms_patterns.local.server.kms.kms_call import Request
from kms_patterns.local.server.kms.kms_errors import KmsError

Grant = Mapping[str, Any]
# A constraint is about these operations only; the others of a grant have no encryption context.
_CONSTRAINED = frozenset({
    "Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext",
    "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext",
})  # fmt: skip
_EQUALS, _SUBSET, _SOURCE = "EncryptionContextEquals", "EncryptionContextSubset", "SourceArn"


def check_tokens(request: Request) -> None:
    """Refuse tokens of no grant.

    Raises:
        KmsError: InvalidGrantTokenException.
    """
    named = [*(request.get("GrantTokens") or ()), *([request["GrantToken"]] if request.get("GrantToken") else [])]
    for token in named:
        if by_token(token) is None:
            raise KmsError("InvalidGrantTokenException", "The grant token is invalid.")


def by_token(token: object) -> Grant | None:
    """Return the grant that a token was handed out for."""
    return next((grant for grant in reach(KMS, "_grants").values() if token in grant["_tokens"]), None)


def granted(
    caller: Caller, action: str, key_arn: str, context: Mapping[str, str] | None, request: Request
) -> Decision | None:
    """Return the permission by a grant on the key, if one gives it to the caller."""
    operation = action.removeprefix("kms:")
    for grant in _of(caller, key_arn):
        pending = is_pending_grant(grant, request.get("GrantTokens") or ())
        if not pending and _gives(grant, operation, context or {}, request):
            return _decision(grant)
    return None


def may_retire(caller: Caller, key_arn: str, request: Request) -> Decision | None:
    """Return the permission to retire a grant that its retiring principal has, or its grantee by the operation."""
    names = {caller.arn, caller.principal.source}
    grant = grant_of(request)
    if grant is None or grant["KeyId"] != key_arn:
        return None
    is_grantee = grant.get("GranteePrincipal") in names and not is_another(caller, grant.get("_grantee_id"))
    retires = grant.get("RetiringPrincipal") in names and not is_another(caller, grant.get("_retiring_id"))
    return _decision(grant) if retires or (is_grantee and "RetireGrant" in grant["Operations"]) else None


def grant_of(request: Request) -> Grant | None:
    """Return the grant that a request names by its token or its id."""
    if request.get("GrantToken"):
        return by_token(request["GrantToken"])
    found: Grant | None = reach(KMS, "_grants").get(request.get("GrantId"))
    return found


def constrained_context(source: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the encryption context of a grant's constraints, which policies see in CreateGrant and RetireGrant."""
    constraints = (source or {}).get("Constraints") or {}
    return {**constraints.get(_SUBSET, {}), **constraints.get(_EQUALS, {})}


def constraint_types(action: str, request: Request) -> list[str]:
    """Return the kinds of constraint of the grant that is created or retired."""
    if action not in {"kms:CreateGrant", "kms:RetireGrant"}:
        return []
    source = request if action == "kms:CreateGrant" else grant_of(request) or {}
    return list(source.get("Constraints") or {})


def _of(caller: Caller, key_arn: str) -> Iterator[Grant]:
    names = {caller.arn, caller.principal.source}
    for grant in reach(KMS, "_grants").values():
        named = grant["KeyId"] == key_arn and grant.get("GranteePrincipal") in names
        if named and not is_another(caller, grant.get("_grantee_id")):
            yield grant


def _gives(grant: Grant, operation: str, context: Mapping[str, str], request: Request) -> bool:
    if operation not in grant["Operations"] or operation == "RetireGrant":
        return False
    constraints = grant.get("Constraints") or {}
    if _SOURCE in constraints:
        # Only a service principal's request has aws:SourceArn, and none of those calls here.
        return False
    if operation == "CreateGrant":
        passed_on = set(request.get("Operations") or ()) <= set(grant["Operations"])
        return passed_on and _as_narrow(request.get("Constraints") or {}, constraints)
    return operation not in _CONSTRAINED or _met(constraints, context)


def _met(constraints: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    if _EQUALS in constraints and dict(context) != constraints[_EQUALS]:
        return False
    return _SUBSET not in constraints or constraints[_SUBSET].items() <= context.items()


def _as_narrow(own: Mapping[str, Any], parent: Mapping[str, Any]) -> bool:
    if _EQUALS in parent and own.get(_EQUALS) != parent[_EQUALS]:
        return False
    wanted: Mapping[str, str] = parent.get(_SUBSET, {})
    return any(wanted.items() <= own.get(kind, {}).items() for kind in (_EQUALS, _SUBSET))


def _decision(grant: Grant) -> Decision:
    statement = Statement("grant", 0, {"Sid": grant["GrantId"], "Effect": "Allow"})
    return Decision(allowed=True, reason="grant", statement=statement)
