"""Which methods of escalation the policies of a principal allow, decided by the simulator."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from kms_patterns.access.escalation.escalation_methods import ON_FUNCTIONS, ON_PRINCIPALS, TO_ADMINISTRATOR
from kms_patterns.access.evaluate.access_conditions import Condition, any_of, from_simulator
from kms_patterns.access.evaluate.action_catalogue import SERVICES, Action
from kms_patterns.access.evaluate.evaluation import Names
from kms_patterns.access.evaluate.requests import Request, batch
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.model import Model, Policy, Principal, PrincipalKind, Resource, ResourceKind
from kms_patterns.access.unknowns.symbols import is_symbolic, matches

ACTING = {PrincipalKind.ROLE, PrincipalKind.USER, PrincipalKind.HOLDER}
"""Kinds of principals whose own policies are known."""
DEFINED = {PrincipalKind.ROLE, PrincipalKind.USER}
"""Kinds of principals that one can become."""

_ALL_METHODS = (*ON_PRINCIPALS, *ON_FUNCTIONS, *TO_ADMINISTRATOR)
_ACTIONS = sorted({name for method in _ALL_METHODS for name in (*method.on_target, *method.besides)})
_SERVICES = {name.partition(":")[0] for name in _ACTIONS} | set(SERVICES.values())


@dataclass(frozen=True)
class Decisions:
    """What one principal may do: on some resource at all, and on each role and user."""

    anywhere: Mapping[str, Condition]
    targets: Mapping[tuple[str, str | None], Mapping[str, Condition]]


def account_of(who: Principal) -> str:
    """Return the account of a principal."""
    return who.arn.split(":")[4]


def decide(model: Model, running: Simulator) -> Iterator[tuple[Principal, Decisions]]:
    """Yield every principal whose own policies allow some method, with what the simulator decides about it."""
    acting = [who for who in model.principals if who.kind in ACTING and _may_escalate(who)]
    wide = [replace(who, identity=_anywhere(who.identity), boundaries=_limits(who)) for who in acting]
    held = {id(item): item for who in (*acting, *wide) for item in (*who.identity, *(who.boundaries or ()))}
    numbers, _ = running.load(list(held.values()))
    asker = _Asker(running, dict(zip(held, numbers, strict=True)), Names(model.names))
    for who, anywhere in zip(acting, wide, strict=True):
        some = asker.allowed(anywhere, who.arn, _ACTIONS)
        targets = [
            other for other in model.principals if other.kind in DEFINED and account_of(who) == account_of(other)
        ]
        yield who, Decisions(some, asker.on_targets(who, targets, some))


@dataclass(frozen=True)
class _Asker:
    running: Simulator
    places: Mapping[int, int]
    names: Names

    def allowed(
        self, who: Principal, arn: str, actions: Iterable[str], known: Mapping[str, str] | None = None
    ) -> dict[str, Condition]:
        """Return which actions on a resource without a policy are allowed, and when."""
        asked = [Action(name, "role", "escalate") for name in actions]
        if not asked:
            return {}
        resource = Resource(arn, ResourceKind.ROLE, "", arn, arn, account_of(who), None)
        answer = self.running.ask(batch(Request(who, resource, arn, None, asked, known or {}), self.places))
        return {
            name: any_of(from_simulator(result["condition"], self.names) for result in results)
            for name, results in answer["allowed"].items()
        }

    def on_targets(
        self, who: Principal, targets: Iterable[Principal], anywhere: Mapping[str, Condition]
    ) -> dict[tuple[str, str | None], Mapping[str, Condition]]:
        """Return what ``who`` may do to each target; passing it to each service by itself."""
        usable = [method for method in ON_PRINCIPALS if {*method.on_target, *method.besides} <= set(anywhere)]
        passed = sorted({method.service for method in usable if method.service and method.on_target})
        direct = sorted({name for method in usable if not method.service for name in method.on_target})
        found: dict[tuple[str, str | None], Mapping[str, Condition]] = {}
        for target in targets if usable else ():
            found[target.id, None] = self.allowed(who, target.arn, direct)
            for service in passed:
                known = {"iam:PassedToService": service}
                found[target.id, service] = self.allowed(who, target.arn, ["iam:PassRole"], known)
        return found


def concerns(statement: Mapping[str, Any]) -> bool:
    """Return whether a statement of an identity policy may be about a key, bucket, function or role, or a method."""
    return "NotAction" in statement or any(
        is_symbolic(item) or item.partition(":")[0].lower() in _SERVICES or "*" in item.partition(":")[0]
        for item in _patterns(statement)
    )


def _patterns(statement: Mapping[str, Any]) -> list[str]:
    named = statement.get("Action", [])
    return [named] if isinstance(named, str) else list(named)


def _may_escalate(who: Principal) -> bool:
    """Return whether an Allow of the principal covers an action of some method, by its text."""
    return any(
        "NotAction" in statement or any(_covers_a_method(item) for item in _patterns(statement))
        for policy in who.identity
        for statement in policy.document["Statement"]
        if statement.get("Effect") == "Allow"
    )


@cache
def _covers_a_method(pattern: str) -> bool:
    return any(matches(pattern.lower(), name.lower()) for name in _ACTIONS)


def _anywhere(policies: Iterable[Policy]) -> list[Policy]:
    """Return policies that allow on everything what the given ones allow on something."""
    return [
        replace(policy, document={**policy.document, "Statement": list(_on_everything(policy.document["Statement"]))})
        for policy in policies
    ]


def _on_everything(statements: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for statement in statements:
        rest = {name: value for name, value in statement.items() if name not in {"Resource", "NotResource"}}
        resources = statement.get("Resource", [])
        if statement.get("Effect") == "Allow" or "*" in ([resources] if isinstance(resources, str) else resources):
            yield {**rest, "Resource": "*"}


def _limits(who: Principal) -> list[Policy] | None:
    return None if who.boundaries is None else _anywhere(who.boundaries)
