"""Who calls: the emulator's principal, the role behind an assumed-role session, and unique ids of deleted ones."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from kms_patterns.local.server.authorization.decision import Limit, policies_of
from kms_patterns.local.server.authorization.policy_statements import KEY_POLICY, Principal, Statement, parse
from kms_patterns.local.server.emulator.emulator import EVALUATOR, IAM, RESPONSES, ROUTER, reach
from kms_patterns.local.server.kms.kms_errors import access_denied

_PRINCIPAL = re.compile(
    r"arn:aws[a-z-]*:(iam|sts)::(\d{12}):(root|user|role|assumed-role|federated-user)(?:/([\w+=,.@/-]+))?", re.ASCII
)


@dataclass(frozen=True)
class Caller:
    """An authenticated principal and the policies that bear on it."""

    arn: str
    kind: str
    account: str
    identity: Sequence[Statement] = ()
    limits: Sequence[Limit] = ()
    keys: Mapping[str, Any] | None = None

    @property
    def is_root(self) -> bool:
        """Whether this is the account's root credential, which no policy binds in the emulator."""
        return self.kind == "Root"

    @cached_property
    def principal(self) -> Principal:
        """The principal as policies name it."""
        return principal_of(self.arn, self.account)


def caller_of(headers: Mapping[str, str], query: Mapping[str, Any]) -> Caller:
    """Return the principal whose (already verified) credentials a request carries.

    Raises:
        KmsError: AccessDeniedException: the request is anonymous or its credentials are unknown.
    """
    access_key = reach(ROUTER, "extract_access_key_id")(headers, query)
    if not access_key:
        raise access_denied("The request carries no credentials, so no principal can be authorized for KMS.")
    found = reach(EVALUATOR, "resolve_principal")(access_key, reach(RESPONSES, "get_account_id")())
    if isinstance(found, reach(EVALUATOR, "AuthError")):
        raise access_denied(found.message)
    if found.policies is None:
        return Caller(found.arn, "Root", found.account)
    identity, limits = policies_of(access_key, found.arn, found.type, found.account)
    return Caller(found.arn, found.type, found.account, identity, limits, found.keys)


def principal_arn(access_key: str) -> str:
    """Return the ARN of the principal of an access key, ``anonymous`` if there is none."""
    found = reach(EVALUATOR, "resolve_principal")(access_key, reach(RESPONSES, "get_account_id")())
    return str(getattr(found, "arn", "anonymous"))


def principal_of(arn: str, account: str, service: str | None = None) -> Principal:
    """Return the principal with the role behind it."""
    return Principal(arn, role_arn_of(arn), account, service, _bounded(arn, account))


def principal_exists(arn: str) -> bool:
    """Return whether an ARN is of a principal: of this account one that exists, of another one of the right form.

    AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    parts = _PRINCIPAL.fullmatch(arn)
    if parts is None or (parts[1] == "sts") != (parts[3] in {"assumed-role", "federated-user"}):
        return False
    account, kind, path = parts[2], parts[3], parts[4]
    if kind in {"root", "federated-user"} or account != reach(RESPONSES, "get_account_id")():
        return (kind == "root") == (path is None)
    return principal_record(arn) is not None


def principal_record(arn: str) -> dict[str, Any] | None:
    """Return the emulator's record of the user or role of an ARN, of the role for a session; None if there is none."""
    parts = _PRINCIPAL.fullmatch(arn)
    if parts is None or parts[4] is None or parts[3] not in {"user", "role", "assumed-role"}:
        return None
    kind, path = parts[3], parts[4]
    table = "_users" if kind == "user" else "_roles"
    name = path.split("/")[0] if kind == "assumed-role" else path.rpartition("/")[2]
    record: dict[str, Any] | None = reach(IAM, table).get_scoped(parts[2], None, name)
    return record if record is not None and (kind == "assumed-role" or record.get("Arn") == arn) else None


def _bounded(arn: str, account: str) -> bool:
    kind, _, name = arn.partition(f":{account}:")[2].partition("/")
    table = {"assumed-role": "_roles", "role": "_roles", "user": "_users"}.get(kind)
    if table is None:
        return False
    name = name.split("/")[0] if kind == "assumed-role" else name.rpartition("/")[2]
    return bool((reach(IAM, table).get_scoped(account, None, name) or {}).get("PermissionsBoundary"))


def role_arn_of(principal_arn: str) -> str:
    """Return the ARN, with its path, of the role behind a session; any other principal's ARN unchanged.

    AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html (aws:PrincipalArn)
    """
    before, marker, session = principal_arn.partition(":assumed-role/")
    if not marker:
        return principal_arn
    account, name = before.rsplit(":", 1)[1], session.split("/", 1)[0]
    role = reach(IAM, "_roles").get_scoped(account, None, name) or {}
    return str(role.get("Arn") or f"arn:aws:iam::{account}:role/{name}")


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
        arns = {arn for statement in parse(policy, KEY_POLICY) for arn in _arns(statement.body)}
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
