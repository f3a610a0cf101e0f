"""The policies of a principal, and the decision: denies first, then what identity and resource policies allow.

The policies are read from the emulator's IAM with their names, so that a decision can name them.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from kms_patterns.local.server.authorization.policy_statements import (
    Named,
    Request,
    Statement,
    Statements,
    named,
    parse,
    spared,
)
from kms_patterns.local.server.emulator.emulator import EVALUATOR, IAM, STS, reach


@dataclass(frozen=True)
class Decision:
    """Allowed or not, why, and the statement that decided; none where nothing allowed."""

    allowed: bool
    reason: str
    statement: Statement | None = None


@dataclass(frozen=True)
class Limit:
    """What narrows a principal's permissions; ``kind`` is ``permissions boundary`` or ``session policy``."""

    kind: str
    statements: Sequence[Statement]


@dataclass(frozen=True)
class Policies:
    """The policies that bear on a request; each of ``limits`` (boundary, session policies) must allow as well."""

    identity: Sequence[Statement]
    limits: Sequence[Limit] = field(default=())
    resource: Sequence[Statement] = field(default=())


def explicit_deny(request: Request, policies: Policies) -> Decision | None:
    """Return the denial by the first Deny that is about the request, resource-based policies first."""
    for statement in policies.resource:
        if statement.effect == "Deny" and _concerns(statement, request) and statement.about(request):
            return Decision(
                allowed=False, reason="with an explicit deny in a resource-based policy", statement=statement
            )
    limits = [(f"a {limit.kind}", limit.statements) for limit in policies.limits]
    own: list[tuple[str, Sequence[Statement]]] = [("an identity-based policy", policies.identity), *limits]
    for kind, statements in own:
        found = first(request, statements, "Deny")
        if found is not None:
            return Decision(allowed=False, reason=f"with an explicit deny in {kind}", statement=found)
    return None


def decide(request: Request, policies: Policies, *, resource_required: bool) -> Decision:
    """Return the decision.

    Args:
        request: What is asked for.
        policies: All that bear on it.
        resource_required: Whether the resource-based policy must allow in any case, as a key policy must; else
            an identity policy suffices within the resource's account.
    """
    denied = explicit_deny(request, policies)
    if denied is not None:
        return denied
    identity = first(request, policies.identity, "Allow")
    narrower = next((it.kind for it in policies.limits if not first(request, it.statements, "Allow")), None)
    within = narrower is None
    closeness, resource = closest(request, policies.resource)
    if resource is not None and (closeness is Named.ITSELF or (closeness is Named.BY_ROLE and within)):
        both = identity is not None and within
        return Decision(
            allowed=True, reason="resource and identity policy" if both else "resource policy", statement=resource
        )
    if resource_required and resource is None:
        return Decision(allowed=False, reason=_missing("resource-based policy", request))
    if identity is None or narrower is not None:
        missing = "identity-based policy" if identity is None else narrower
        return Decision(allowed=False, reason=_missing(str(missing), request))
    return Decision(
        allowed=True, reason="resource and identity policy" if resource else "identity policy", statement=identity
    )


def first(request: Request, statements: Iterable[Statement], effect: str) -> Statement | None:
    """Return the first statement of that effect that is about the request."""
    return next((found for found in statements if found.effect == effect and found.about(request)), None)


def closest(request: Request, statements: Iterable[Statement]) -> tuple[Named, Statement | None]:
    """Return the Allow of a resource-based policy that names the caller most closely."""
    best: tuple[Named, Statement | None] = (Named.NOT, None)
    for statement in statements:
        closeness = named(statement.body.get("Principal"), request.principal)
        if statement.effect == "Allow" and closeness > best[0] and statement.about(request):
            best = (closeness, statement)
    return best


def _concerns(statement: Statement, request: Request) -> bool:
    # A Deny whose principal cannot be parsed still applies.
    body = statement.body
    if "NotPrincipal" in body:
        return not spared(body["NotPrincipal"], request.principal)
    return "Principal" not in body or named(body["Principal"], request.principal) is not Named.NOT


def _missing(kind: str, request: Request) -> str:
    return f"because no {kind} allows the {request.action} action"


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


def _statements(documents: list[tuple[str, Any]]) -> Statements:
    return [statement for name, document in documents for statement in parse(document, name)]


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
