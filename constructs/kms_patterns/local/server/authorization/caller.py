"""Who calls: the emulator's principal, with the role behind an assumed-role session."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kms_patterns.local.server.authorization.evaluation import Limit
from kms_patterns.local.server.authorization.identity_policies import policies_of
from kms_patterns.local.server.authorization.principals import Principal
from kms_patterns.local.server.authorization.statements import Statement
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

    @property
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
