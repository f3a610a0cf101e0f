"""Which methods of escalation the policies of a principal allow, decided by the simulator."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from kms_patterns.access.escalation.escalation_methods import (
    ON_FUNCTIONS,
    ON_OTHERS,
    ON_PRINCIPALS,
    PASS,
    TO_ADMINISTRATOR,
    taking,
)
from kms_patterns.access.evaluate.access_conditions import Condition, any_of, from_simulator
from kms_patterns.access.evaluate.action_catalogue import SERVICES, Action
from kms_patterns.access.evaluate.evaluation import Names
from kms_patterns.access.evaluate.requests import Request, batch
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.model import (
    ADMINISTRATOR,
    ALONE,
    Model,
    Policy,
    Principal,
    PrincipalKind,
    Resource,
    ResourceKind,
)
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT
from kms_patterns.access.read.identifiers import matches, may_be_equal
from kms_patterns.access.templates.template_text import items, text
from kms_patterns.access.unknowns.symbols import is_symbolic, symbol

ACTING = {PrincipalKind.ROLE, PrincipalKind.USER, PrincipalKind.HOLDER}
"""Kinds of principals whose own policies are known."""
DEFINED = {PrincipalKind.ROLE, PrincipalKind.USER}
"""Kinds of principals that one can become, beside those that policies name."""

ALL_METHODS = (*ON_PRINCIPALS, *ON_OTHERS, *ON_FUNCTIONS, *TO_ADMINISTRATOR)
_ACTIONS = {PASS, *(name for method in ALL_METHODS for name in (*method.on_target, *method.besides))}
_ANY_SERVICE = "*"


@dataclass(frozen=True)
class Decisions:
    """What one principal may do.

    Attributes:
        anywhere: On some resource at all.
        targets: On each target by its ARN; iam:PassRole apart for each service that the target trusts.
    """

    anywhere: Mapping[str, Condition]
    targets: Mapping[tuple[str, str | None], Mapping[str, Condition]]


def administrator(account: str) -> str:
    """Return the id of the account's administrator on a path."""
    return ADMINISTRATOR if account == UNKNOWN_ACCOUNT else f"{ADMINISTRATOR} of {account}"


_BEST_KNOWN = ("CreateFunction", "CreateJob", "CreateProject", "CreateStack", "CreateStateMachine", "RunInstances")


def best_known(names: Iterable[str]) -> str:
    """Return the action that stands for all of several."""
    return min(names, key=lambda name: (not name.endswith(_BEST_KNOWN), name))


def account_of(who: Principal) -> str:
    """Return the account of a principal."""
    return who.arn.split(":")[4]


def kind_of(who: Principal) -> str:
    """Return what a principal is by its ARN: ``role``, ``user``."""
    return who.arn.partition("/")[0].rpartition(":")[2]


def targets_of(who: Principal, model: Model) -> list[Principal]:
    """Return whom a principal may become or change: those of its account, and those that only its policies name.

    What is known of neither stands for an administrator: who it is, and what it may do, is decided elsewhere.
    """
    there = account_of(who)
    known = [it for it in model.principals if it.kind in DEFINED and account_of(it) == there]
    named = [it for it in model.principals if it.kind is PrincipalKind.NAMED and not it.id.endswith(ALONE)]
    arns = {it.arn for it in (*known, *named)}
    others = {}
    for pattern in sorted(set(_resources(who)) - arns):
        for arn in _stand_ins(pattern, there):
            account = arn.split(":")[4]
            other = administrator(account) if account == there else f"account {account}"
            if arn not in arns and (account == there or any(other == it.id for it in named)):
                others[arn] = Principal(other, PrincipalKind.ADMINISTRATOR, other, arn)
    return [*known, *(it for it in named if kind_of(it) != "root"), *others.values()]


def _resources(who: Principal) -> Iterator[str]:
    for policy in who.identity:
        for statement in policy.document["Statement"]:
            if statement.get("Effect") == "Allow" and _may_be_methods(statement):
                yield from ["*"] if "NotResource" in statement else map(text, items(statement.get("Resource")))


def _stand_ins(pattern: str, account: str) -> Iterator[str]:
    """Yield ARNs of a role, or of a role and a user, that a pattern of resources covers."""
    parts = pattern.split(":", 5)
    if pattern == "*" or (len(parts) > 2 and parts[2] == "*") or is_symbolic(pattern):  # noqa: PLR2004
        parts = ["arn", "aws", "iam", "", account, "*"]
    if len(parts) == 6 and parts[2] == "iam":  # noqa: PLR2004
        there = parts[4] if re.fullmatch(r"\d{12}", parts[4]) else account
        for kind in ("role", "user"):
            name = parts[5] if parts[5].startswith(f"{kind}/") else f"{kind}/*" if parts[5].startswith("*") else ""
            if name:
                filled = name.replace("*", symbol(f"any other {kind}")).replace("?", "x")
                yield f"arn:{parts[1] if parts[1] != '*' else 'aws'}:iam::{there}:{filled}"


def decide(
    model: Model, running: Simulator, trusts: Mapping[str, Sequence[str]]
) -> Iterator[tuple[Principal, Sequence[Principal], Decisions]]:
    """Yield every principal whose own policies allow some method, its targets, and what the simulator decides.

    Args:
        model: What was evaluated.
        running: A running simulator.
        trusts: The services that each role trusts, by id; any service, if a role is not there.
    """
    acting = [who for who in model.principals if who.kind in ACTING and _covered(who)]
    wide = [replace(who, identity=_anywhere(who.identity), boundaries=_limits(who)) for who in acting]
    held = {id(item): item for who in (*acting, *wide) for item in (*who.identity, *(who.boundaries or ()))}
    numbers, _ = running.load(list(held.values()))
    asker = _Asker(running, dict(zip(held, numbers, strict=True)), Names(model.names))
    for who, anywhere in zip(acting, wide, strict=True):
        # IAM refuses changes of reserved roles, so these must not stand for some resource.
        some = asker.allowed(anywhere, f"{who.arn.rpartition(':')[0]}:role/some", sorted(_covered(who)))
        targets = targets_of(who, model)
        yield who, targets, Decisions(some, asker.on_targets(who, targets, some, trusts))


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
        self,
        who: Principal,
        targets: Iterable[Principal],
        anywhere: Mapping[str, Condition],
        trusts: Mapping[str, Sequence[str]],
    ) -> dict[tuple[str, str | None], Mapping[str, Condition]]:
        """Return what ``who`` may do to each target; passing it to each service by itself."""
        methods = [item for item in (*ON_PRINCIPALS, *ON_OTHERS) if {*item.on_target, *item.besides} <= set(anywhere)]
        direct = sorted({name for method in methods for name in method.on_target})
        passes = PASS in anywhere and not taking().keys().isdisjoint(anywhere)
        found: dict[tuple[str, str | None], Mapping[str, Condition]] = {}
        for target in targets if direct or passes else ():
            found[target.arn, None] = self.allowed(who, target.arn, direct)
            for service in trusts.get(target.id, [_ANY_SERVICE]) if passes and kind_of(target) == "role" else ():
                known = {} if service == _ANY_SERVICE else {"iam:PassedToService": service}
                found[target.arn, service] = self.allowed(who, target.arn, [PASS], known)
        return found


def concerns(statement: Mapping[str, Any]) -> bool:
    """Return whether a statement of an identity policy may be about a key, bucket, function or role, or a method."""
    return _may_be_methods(statement) or any(
        is_symbolic(item) or may_be_equal(item.partition(":")[0].lower(), service)
        for item in _patterns(statement)
        for service in SERVICES.values()
    )


def _patterns(statement: Mapping[str, Any]) -> list[str]:
    named = statement.get("Action", [])
    return [named] if isinstance(named, str) else list(named)


def _covered(who: Principal) -> frozenset[str]:
    """Return the actions of methods that an Allow of the principal may be about, by its text."""
    held = {
        pattern
        for policy in who.identity
        for statement in policy.document["Statement"]
        if statement.get("Effect") == "Allow"
        for pattern in (["*"] if "NotAction" in statement else _patterns(statement))
    }
    return frozenset().union(*map(_covered_by, held))


def _may_be_methods(statement: Mapping[str, Any]) -> bool:
    return "NotAction" in statement or any(map(_covered_by, _patterns(statement)))


@cache
def _covered_by(pattern: str) -> frozenset[str]:
    return frozenset(name for name in {*_ACTIONS, *taking()} if matches(pattern.lower(), name.lower()))


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
