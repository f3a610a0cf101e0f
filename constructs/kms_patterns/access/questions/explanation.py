"""One decision explained: each policy's part in it, and for a refusal what is missing; all decided by the simulator."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Final

from kms_patterns.access.evaluate.access_conditions import NEVER, Condition, any_of
from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.entries import Access, What, Who
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import Model, Policy, Principal, Resource, ResourceKind

_VERSION: Final = "2012-10-17"
Change = tuple[str, Callable[[Principal, Resource], tuple[Principal, Resource]]]


@dataclass(frozen=True)
class Part:
    """What one policy does in a decision.

    Attributes:
        policy: Its readable place.
        says: What it does, in words.
        condition: Under which condition it allows; None if it does not.
    """

    policy: str
    says: str
    condition: Condition | None = None


@dataclass(frozen=True)
class Explanation:
    """Why a principal can, or cannot, do something.

    Attributes:
        principal: How it is printed.
        action: The action.
        resource: The resource's kind and id.
        found: What the matrix lists: of every scope of objects, or of the resource.
        parts: What each policy does.
        missing: For a refusal, the fewest changes that would allow it; several are alternatives.
    """

    principal: str
    action: str
    resource: str
    found: Sequence[Access]
    parts: Sequence[Part]
    missing: Sequence[Sequence[str]]

    @property
    def allowed(self) -> bool:
        """Whether the principal can do it, of some object at least, under some condition."""
        return any(entry.condition != NEVER for entry in self.found)


def explain(model: Model, running: Simulator, names: tuple[str, str, str]) -> Explanation:
    """Explain whether a principal can do something.

    Args:
        model: An assembly.
        running: A running simulator.
        names: Principal, action and resource; principal and resource by id, label or unique end of an id.

    Raises:
        KeyError: The principal, the resource, or the action on that kind of resource does not exist.
    """
    named = Matrix(model.stacks, *_names(model), {}, [], [], [])
    who, what = named.principal(names[0]), named.resource(names[2])
    principal = next(item for item in model.principals if item.id == who.id)
    resource = next(item for item in model.resources if item.id == what.id)
    asked = _Question(model, running, names[1])
    found = asked.entries(principal, resource)
    parts = list(asked.parts(principal, resource))
    explained = Explanation(who.label, asked.action, f"{resource.kind} {resource.id}", found, parts, [])
    return explained if explained.allowed else replace(explained, missing=asked.missing(principal, resource))


def _names(model: Model) -> tuple[list[Who], list[What]]:
    who = [Who(item.id, item.kind, item.label, item.stack) for item in model.principals]
    return who, [What(item.id, item.kind, item.label, item.stack, None, None) for item in model.resources]


class _Question:
    """Asks the simulator about one action of one principal on one resource, with their policies changed."""

    def __init__(self, model: Model, running: Simulator, action: str) -> None:
        self._model = model
        self._running = running
        self.action = action

    def entries(self, principal: Principal, resource: Resource) -> list[Access]:
        """Return what the matrix of these two alone lists for the action."""
        alone = replace(self._model, principals=[principal], resources=[resource], unresolved=[])
        matrix: Matrix = build_with(alone, self._running)
        known = {item.name.lower(): item.name for item in matrix.actions[resource.kind]}
        if self.action.lower() not in known:
            services = ", ".join(sorted({name.partition(":")[0] for name in known.values()}))
            raise KeyError(f"{self.action} is not an action on a {resource.kind}; known: those of {services}")
        self.action = known[self.action.lower()]
        return [entry for entry in matrix.entries if entry.action == self.action]

    def condition(self, principal: Principal, resource: Resource) -> Condition:
        """Return when the action is allowed at all."""
        return any_of(entry.condition for entry in self.entries(principal, resource))

    def parts(self, principal: Principal, resource: Resource) -> Iterator[Part]:
        """Yield what every policy does, the principal's first."""
        delegated = _delegating(resource, principal)
        for policy in principal.identity:
            alone = replace(principal, identity=[policy], boundaries=None)
            yield self._part(policy, alone, delegated, "allows it")
        for policy in principal.boundaries or ():
            bounded = replace(principal, identity=[_everything()], boundaries=[policy])
            yield self._part(
                policy, bounded, delegated, "lets it pass (a permissions boundary allows nothing by itself)"
            )
        if resource.policy:
            nothing = replace(principal, identity=[], boundaries=None)
            by_itself = self.condition(nothing, resource)
            with_iam = self.condition(replace(nothing, identity=[_everything()]), resource)
            if by_itself != NEVER:
                yield Part(resource.policy.where, "allows it by itself", by_itself)
            elif with_iam != NEVER:
                yield Part(resource.policy.where, "allows it if the principal's own policies do", with_iam)
            else:
                denies = self._denied(resource.policy, replace(nothing, identity=[_everything()]), resource)
                yield Part(resource.policy.where, "denies it" if denies else "has no statement that allows it")
        elif resource.kind is not ResourceKind.KEY:
            yield Part(resource.id, "has no policy of its own")

    def _part(self, policy: Policy, principal: Principal, resource: Resource, allows: str) -> Part:
        condition = self.condition(principal, resource)
        if condition != NEVER:
            return Part(policy.where, allows, condition)
        denies = self._denied(policy, _allowed(principal), replace(resource, policy=None))
        return Part(policy.where, "denies it" if denies else "has no statement that allows it")

    def _denied(self, policy: Policy, principal: Principal, resource: Resource) -> bool:
        """Return whether a Deny of ``policy`` refuses what every other policy allows."""
        denies = any(statement.get("Effect") == "Deny" for statement in _statements(policy))
        return denies and self.condition(principal, _opened(resource, principal)) == NEVER

    def missing(self, principal: Principal, resource: Resource) -> list[list[str]]:
        """Return the smallest sets of changes under which the action is allowed."""

        def allowed(chosen: Sequence[Change]) -> bool:
            who, what = principal, resource
            for _, change in chosen:
                who, what = change(who, what)
            return self.condition(who, what) != NEVER

        changes = list(self._changes(principal, resource))
        # What no set can do without is not tried: of many Denies each must go.
        needed = [one for one in changes if not allowed([item for item in changes if item is not one])]
        others = [one for one in changes if one not in needed]
        for size in range(len(others) + 1 if allowed(changes) else 0):
            sets = [[*needed, *chosen] for chosen in combinations(others, size)]
            if found := [chosen for chosen in sets if allowed(chosen)]:
                return [[name for name, _ in sorted(chosen, key=changes.index)] for chosen in found]
        return []

    def _changes(self, principal: Principal, resource: Resource) -> Iterator[Change]:
        policy = "key policy" if resource.kind is ResourceKind.KEY else f"policy of the {resource.kind}"
        yield (f"an Allow of {self.action} in the principal's own policies", lambda who, what: (_allowed(who), what))
        yield (
            f"an Allow of {self.action} for the principal in the {policy} of {resource.id}",
            lambda who, what: (who, _opened(what, who)),
        )
        for item in principal.identity:
            if any(statement.get("Effect") == "Deny" for statement in _statements(item)):
                yield f"no Deny in {item.where}", _freed(item)
        if resource.policy and any(statement.get("Effect") == "Deny" for statement in _statements(resource.policy)):
            yield f"no Deny in {resource.policy.where}", lambda who, what: (who, _without_denies(what))
        if principal.boundaries is not None:
            yield "an Allow in the permissions boundary", lambda who, what: (replace(who, boundaries=None), what)
        if resource.block_public_access:
            yield "public access not blocked", lambda who, what: (who, replace(what, block_public_access=False))


def _statements(policy: Policy) -> list[Mapping[str, Any]]:
    found = policy.document.get("Statement", [])
    return found if isinstance(found, list) else [found]


def _everything() -> Policy:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    return Policy("assumed", "identity", {"Version": _VERSION, "Statement": [statement]})


def _allowed(who: Principal) -> Principal:
    return replace(who, identity=[*who.identity, _everything()])


def _freed(policy: Policy) -> Callable[[Principal, Resource], tuple[Principal, Resource]]:
    def change(who: Principal, what: Resource) -> tuple[Principal, Resource]:
        return replace(who, identity=[_no_denies(item) if item is policy else item for item in who.identity]), what

    return change


def _no_denies(policy: Policy) -> Policy:
    kept = [statement for statement in _statements(policy) if statement.get("Effect") != "Deny"]
    return Policy(policy.where, policy.kind, {**policy.document, "Statement": kept}, policy.origin)


def _without_denies(what: Resource) -> Resource:
    return replace(what, policy=_no_denies(what.policy)) if what.policy else what


def _opened(what: Resource, who: Principal) -> Resource:
    """Return the resource with a statement more, which allows everything to the principal."""
    statements = _statements(what.policy) if what.policy else []
    member = {"provider": "Federated", "service": "Service"}.get(str(who.kind), "AWS")
    arn = who.arn.replace("{account}", what.account).replace("{partition}", what.arn.split(":")[1])
    name = arn if arn.startswith("arn:") or member != "AWS" else "*"
    added: dict[str, Any] = {"Effect": "Allow", "Principal": {member: name}, "Action": "*", "Resource": "*"}
    if what.kind is ResourceKind.ROLE:
        added = {**added, "Action": "sts:*"}
        del added["Resource"]
    document = {"Version": _VERSION, "Statement": [*statements, added]}
    where = what.policy.where if what.policy else f"{what.id} policy"
    return replace(what, policy=Policy(where, "resource", document))


def _delegating(what: Resource, who: Principal) -> Resource:
    """Return the resource as one whose own policy asks nothing beyond IAM's."""
    root = f"arn:{what.arn.split(':')[1]}:iam::{what.account}:root"
    own = who.arn.startswith("arn:") and who.arn.split(":")[4] in {what.account, "{account}"}
    if not own:
        return _opened(replace(what, policy=None), who)
    if what.kind is ResourceKind.KEY:
        statement = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"}
    elif what.kind is ResourceKind.ROLE:
        statement = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:*"}
    else:
        return replace(what, policy=None)
    return replace(what, policy=Policy("assumed", "resource", {"Version": _VERSION, "Statement": [statement]}))
