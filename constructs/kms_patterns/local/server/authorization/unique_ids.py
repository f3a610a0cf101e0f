"""Principals by unique id: a role or user made again under its name is not the one that a key policy or grant names.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kms_patterns.local.server.authorization.caller import Caller, principal_record
from kms_patterns.local.server.authorization.identity_policies import parse_text
from kms_patterns.local.server.authorization.statements import Statement

UniqueIds = Mapping[str, str]


def unique_id(arn: str) -> str | None:
    """Return the unique id of a role or user of this account, None if the ARN is of neither."""
    record = principal_record(arn) or {}
    found = record.get("RoleId") or record.get("UserId")
    return str(found) if found else None


def bound_ids(record: dict[str, Any]) -> UniqueIds:
    """Return the unique id of each principal that a key's policy names by ARN, as it was when the policy was stored."""
    policy = str(record.get("Policy") or "")
    if record.get("_bound_policy") != policy:
        # CloudFormation stores a policy without telling: it is bound when it is first asked.
        arns = {arn for statement in parse_text(policy, "key policy") for arn in _arns(statement.body)}
        record |= {"_bound_policy": policy, "_unique_ids": {arn: it for arn in arns if (it := unique_id(arn))}}
    found: UniqueIds = record["_unique_ids"]
    return found


def is_another(caller: Caller, bound: str | None) -> bool:
    """Return whether the caller has another unique id than the principal of its ARN had when it was named."""
    own = str((caller.keys or {}).get("aws:userid") or "").partition(":")[0]
    return bool(bound and own) and own != bound


def by_unique_id(statements: Sequence[Statement], bound: UniqueIds, caller: Caller) -> Sequence[Statement]:
    """Return the statements with the unique id in place of the caller's ARN, if they mean another principal by it."""
    arn = caller.principal.source
    if not is_another(caller, bound.get(arn)):
        return statements
    return [replace(statement, body=_replaced(statement.body, arn, bound[arn])) for statement in statements]


def _arns(body: Mapping[str, Any]) -> list[str]:
    listed = [_listed(body[name]) for name in ("Principal", "NotPrincipal") if name in body]
    return [arn for arns in listed for arn in arns]


def _listed(principal: object) -> list[str]:
    entries = principal.get("AWS", []) if isinstance(principal, Mapping) else []
    return [entries] if isinstance(entries, str) else [entry for entry in entries if isinstance(entry, str)]


def _replaced(body: Mapping[str, Any], arn: str, by: str) -> dict[str, Any]:
    changed = {
        name: {**body[name], "AWS": [by if entry == arn else entry for entry in _listed(body[name])]}
        for name in ("Principal", "NotPrincipal")
        if isinstance(body.get(name), Mapping) and "AWS" in body[name]
    }
    return {**body, **changed}
