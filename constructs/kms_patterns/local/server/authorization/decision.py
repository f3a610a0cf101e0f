"""The decision: denies first, then what identity and resource-based policies allow, within the limits.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics.html
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kms_patterns.local.server.authorization.policy_statements import Named, Request, Statement, named, spared


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
