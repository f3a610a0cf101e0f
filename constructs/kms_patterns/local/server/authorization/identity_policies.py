"""The policies of a principal, read from the emulator's IAM with their names, so that a decision can name them.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from kms_patterns.local.server.authorization.decision import Limit
from kms_patterns.local.server.authorization.policy_statements import Statement, parse
from kms_patterns.local.server.emulator.emulator import EVALUATOR, IAM, STS, reach

Statements = list[Statement]
_EVERYTHING = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


def policies_of(access_key: str, arn: str, kind: str, account: str) -> tuple[Statements, list[Limit]]:
    """Return the identity policies' statements, and those of each limit: the boundary, the session policies.

    Args:
        access_key: The key that signed, for the session policies.
        arn: The ARN of a user or session.
        kind: User, AssumedRole or FederatedUser.
        account: The 12 digits of the principal's account.
    """
    session = reach(STS, "_sessions").get(access_key) or {}
    if kind == "AssumedRole":
        name = arn.split("/")[1]
        record = _scoped("_roles", account, name)
        documents = [*_inline(record.get("InlinePolicies") or {}), *_attached(record, account)]
    else:
        name = arn.rsplit("/", 1)[1] if kind == "User" else str(session.get("PrincipalName") or "")
        record = _scoped("_users", account, name)
        documents = [*_of_user(name, record, account)] if name else [("the account root", _EVERYTHING)]
    return _statements(documents), [*_boundary(record, account), *_session_policies(session, account)]


@lru_cache(maxsize=512)
def parse_text(document: str, name: str) -> Statements:
    """Return the statements of a policy stored as text; the same text is read once."""
    return parse(document, name)


def _statements(documents: list[tuple[str, Any]]) -> Statements:
    return [
        statement
        for name, document in documents
        for statement in (parse_text(document, name) if isinstance(document, str) else parse(document, name))
    ]


def _of_user(name: str, record: dict[str, Any], account: str) -> Iterator[tuple[str, Any]]:
    yield from _inline(reach(IAM, "_user_inline_policies").get(name) or {})
    yield from _attached(record, account)
    for group, members in reach(IAM, "_groups").items():
        if name in members.get("Users", []):
            yield from _inline(reach(IAM, "_group_inline_policies").get(group) or {})
            yield from _attached(members, account)


def _inline(policies: dict[str, Any]) -> list[tuple[str, Any]]:
    return list(policies.items())


def _attached(record: dict[str, Any], account: str) -> list[tuple[str, Any]]:
    return [(arn, _managed(arn, account)) for arn in record.get("AttachedPolicies", [])]


def _boundary(record: dict[str, Any], account: str) -> list[Limit]:
    arn = record.get("PermissionsBoundary")
    return [Limit("permissions boundary", _statements([(arn, _managed(arn, account))]))] if arn else []


def _session_policies(session: dict[str, Any], account: str) -> list[Limit]:
    passed = session.get("SessionPolicies")
    if passed is None:
        return []
    documents = [("session policy", passed["Policy"])] if passed.get("Policy") else []
    documents += [(arn, _managed(arn, account)) for arn in passed.get("PolicyArns", [])]
    return [Limit("session policy", _statements(documents))]


def _managed(arn: str, account: str) -> Any:
    return reach(EVALUATOR, "_resolve_managed_policy_document")(arn, account)


def _scoped(table: str, account: str, name: str) -> dict[str, Any]:
    record: dict[str, Any] = reach(IAM, table).get_scoped(account, None, name) or {}
    return record
