"""Who can come to use a key by becoming one of its users, by changing what a user may do, or through the key itself."""

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kms_patterns.access.escalation.allowed_methods import ACTING, DEFINED, Decisions, account_of, decide
from kms_patterns.access.escalation.escalation_methods import (
    ON_FUNCTIONS,
    ON_KEYS,
    ON_PRINCIPALS,
    TO_ADMINISTRATOR,
    Effect,
    Method,
)
from kms_patterns.access.evaluate.access_conditions import ALWAYS, Condition, all_of, any_of
from kms_patterns.access.evaluate.action_catalogue import USE_OF_KEY
from kms_patterns.access.evaluate.entries import Escalation, EscalationStep
from kms_patterns.access.evaluate.evaluation import Evaluation, Finding
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.model import ADMINISTRATOR, Model, Principal, PrincipalKind, Resource, ResourceKind
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT
from kms_patterns.access.templates.template_text import items
from kms_patterns.access.unknowns.symbols import globbed, is_symbolic, may_be_equal

_OUTSIDE = {PrincipalKind.NAMED, PrincipalKind.PROVIDER, PrincipalKind.OUTSIDER}
_REPLICATE = "kms:ReplicateKey"
_OF_FUNCTIONS = {name for method in ON_FUNCTIONS for name in method.besides}

Edges = dict[str, dict[str, dict[str, Condition]]]
"""Principal, target, method: the condition under which the method works."""


def escalations(model: Model, running: Simulator, evaluation: Evaluation) -> list[Escalation]:
    """Return for every key who can come to use it, by which path; sorted.

    Args:
        model: What was evaluated.
        running: A running simulator; it is asked about the actions of ``escalation_methods``.
        evaluation: What the principals can do to keys, functions and roles.
    """
    edges, changes = _edges(model, running, evaluation)
    about: dict[str, list[Finding]] = defaultdict(list)
    for finding in evaluation.findings:
        about[finding.request.resource.id].append(finding)
    found = [
        item
        for key in model.resources
        if key.kind is ResourceKind.KEY
        for item in _of_key(key, _users(about[key.id], key), edges, changes)
    ]
    return sorted(found, key=lambda item: (item.resource, item.principal, item.user, len(item.path)))


def _edges(model: Model, running: Simulator, evaluation: Evaluation) -> tuple[Edges, Edges]:
    become: Edges = defaultdict(lambda: defaultdict(dict))
    change: Edges = defaultdict(lambda: defaultdict(dict))
    roles = {who.arn: who.id for who in model.principals if who.kind is PrincipalKind.ROLE}
    for finding in evaluation.findings:
        for role, name in _by_finding(finding, roles):
            _add(become, finding.request.principal.id, role, name, finding.condition)
    held = [policy for who in model.principals for policy in who.identity]
    held += [what.policy for what in model.resources if what.policy]
    by_tag = any(
        "aws:principaltag/" in str(document).lower() for document in {id(it): it.document for it in held}.values()
    )
    methods = [method for method in ON_PRINCIPALS if by_tag or method.needs != "tags"]
    trusts = {what.id: _trusted(what) for what in model.resources if what.kind is ResourceKind.ROLE}
    for who, decisions in decide(model, running):
        for target in model.principals:
            if target.kind in DEFINED and account_of(who) == account_of(target):
                _on_target(who, target, decisions, trusts.get(target.id), (become, change, methods))
        for method in TO_ADMINISTRATOR:
            condition = _joint(method.besides, decisions.anywhere)
            if condition is not None and (method.kinds != ("user",) or who.kind is not PrincipalKind.ROLE):
                _add(become, who.id, administrator(account_of(who)), method.name, condition)
    for target in model.principals:
        if target.kind is PrincipalKind.ROLE:
            _add(become, administrator(account_of(target)), target.id, "iam:UpdateAssumeRolePolicy", ALWAYS)
    return become, change


def administrator(account: str) -> str:
    """Return the id of the account's administrator on a path."""
    return ADMINISTRATOR if account == UNKNOWN_ACCOUNT else f"{ADMINISTRATOR} of {account}"


def _by_finding(finding: Finding, roles: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield role and method, where what a principal can do to a role or function lets it act as a role."""
    who, what, name = finding.request.principal, finding.request.resource, finding.action.name
    if what.kind is ResourceKind.ROLE and name.startswith("sts:AssumeRole"):
        if who.kind in ACTING | _OUTSIDE and who.id != what.id:
            yield what.id, name
    elif what.kind is ResourceKind.FUNCTION and name in _OF_FUNCTIONS and who.kind in ACTING and what.acts_as:
        for arn, role in roles.items():
            unknown = is_symbolic(what.acts_as) and may_be_equal(globbed(what.acts_as), arn)
            if (arn == what.acts_as or unknown) and role != who.id:
                yield role, f"{name} of {what.id}"


def _add(edges: Edges, who: str, target: str, method: str, condition: Condition) -> None:
    methods = edges[who][target]
    methods[method] = any_of([methods[method], condition]) if method in methods else condition


def _on_target(
    who: Principal,
    target: Principal,
    decisions: Decisions,
    trusted: Sequence[str] | None,
    edges: tuple[Edges, Edges, Iterable[Method]],
) -> None:
    become, change, methods = edges
    for method in methods:
        if target.kind not in method.kinds or (method.service and not _trusts(trusted, method.service)):
            continue
        # Tags are None where they are not known: a policy may ask for them.
        held = getattr(target, method.needs) if method.needs else None
        if method.needs and not held and (method.needs, held) != ("tags", None):
            continue
        on_target = decisions.targets.get((target.id, method.service if method.on_target else None), {})
        first = _joint(method.on_target, on_target)
        second = _joint(method.besides, decisions.anywhere)
        if first is None or second is None:
            continue
        condition = all_of([first, second])
        if who.id != target.id or method.needs:
            _add(change if method.effect is Effect.CHANGE else become, who.id, target.id, method.name, condition)
        elif method.effect is Effect.CHANGE and method.on_target:
            _add(become, who.id, administrator(account_of(who)), f"{method.name} on itself", condition)


def _joint(names: Iterable[str], allowed: Mapping[str, Condition]) -> Condition | None:
    conditions = [allowed.get(name) for name in names]
    return None if None in conditions else all_of(item for item in conditions if item is not None)


def _trusted(role: Resource) -> Sequence[str]:
    """Return the services that a role trusts; ``*`` if it may trust any."""
    found: list[str] = []
    for statement in role.policy.document["Statement"] if role.policy else ():
        principal = statement.get("Principal", "*")
        if statement.get("Effect") == "Allow":
            named = principal if isinstance(principal, Mapping) else {"Service": "*"}
            found += [name for kind in ("Service", "Federated") for name in items(named.get(kind))]
    return ["*" if is_symbolic(name) else re.sub(r".*:saml-provider/", "saml-provider.", name) for name in found]


def _trusts(trusted: Sequence[str] | None, service: str) -> bool:
    head = service.removesuffix(".amazonaws.com")
    return trusted is None or any(name == "*" or re.match(rf"{re.escape(head)}\.", name) for name in trusted)


def _users(findings: Iterable[Finding], key: Resource) -> dict[str, dict[str, Condition]]:
    """Return who uses the key, or may give itself its use, by method; a direct use has the method ''."""
    through = {name for method in ON_KEYS for name in method.besides}
    found: dict[str, dict[str, Condition]] = defaultdict(dict)
    for finding in findings:
        who, name = finding.request.principal, finding.action.name
        # A replica has a key policy of its own; only keys of several Regions have replicas.
        single = "/mrk-" not in key.arn and not is_symbolic(key.arn)
        if who.kind not in {*ACTING, PrincipalKind.ADMINISTRATOR} or (name == _REPLICATE and single):
            continue
        method = "" if name in USE_OF_KEY else name if name in through else None
        if method is not None:
            acting = administrator(key.account) if who.kind is PrincipalKind.ADMINISTRATOR else who.id
            before = found[acting].get(method)
            found[acting][method] = any_of([before, finding.condition]) if before else finding.condition
    return found


def _of_key(
    key: Resource, users: Mapping[str, Mapping[str, Condition]], become: Edges, change: Edges
) -> Iterator[Escalation]:
    above = administrator(key.account)
    for who in sorted(name for name in {*become, *change, *users} if not name.startswith(ADMINISTRATOR)):
        if users.get(who, {}).get("") == ALWAYS:
            continue
        paths = _paths(who, become, above if "" in users.get(above, {}) else None)
        for user, path in paths.items():
            methods = users.get(user, {})
            if "" in methods and user != who:
                yield _escalation(key, who, user, path)
            elif methods and "" not in methods:
                yield _escalation(key, who, user, (*path, _changing(user, key.id, methods)))
        if above not in paths:
            for user, ways in sorted(change.get(who, {}).items()):
                if user not in (paths.keys() - {who}) and ("" in users.get(user, {}) or "" in users.get(above, {})):
                    yield _escalation(key, who, user, (_changing(who, user, ways),))


def _changing(who: str, target: str, ways: Mapping[str, Condition]) -> EscalationStep:
    return EscalationStep(who, target, tuple(sorted(ways)), str(Effect.CHANGE), any_of(ways.values()))


def _paths(start: str, become: Edges, end: str | None) -> dict[str, tuple[EscalationStep, ...]]:
    """Return the shortest path to every principal that ``start`` can become, itself included; none past ``end``."""
    found: dict[str, tuple[EscalationStep, ...]] = {start: ()}
    queue = deque([start])
    while queue:
        who = queue.popleft()
        for target, ways in sorted(become.get(who, {}).items()) if who != end else ():
            if target not in found:
                step = EscalationStep(who, target, tuple(sorted(ways)), str(Effect.BECOME), any_of(ways.values()))
                found[target] = (*found[who], step)
                queue.append(target)
    return found


def _escalation(key: Resource, who: str, user: str, path: Sequence[EscalationStep]) -> Escalation:
    return Escalation(who, key.id, user, tuple(path), all_of(step.condition for step in path))
