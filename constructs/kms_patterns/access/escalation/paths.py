"""Who can come to use a key by becoming one of its users, by changing what a user may do, or through the key itself."""

import re
from collections import defaultdict, deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from kms_patterns.access.escalation.allowed_methods import (
    ACTING,
    DEFINED,
    Decisions,
    account_of,
    administrator,
    best_known,
    decide,
    kind_of,
)
from kms_patterns.access.escalation.escalation_methods import (
    ON_FUNCTIONS,
    ON_KEYS,
    ON_OTHERS,
    ON_PRINCIPALS,
    PASS,
    TO_ADMINISTRATOR,
    Effect,
    Method,
    takers,
    taking,
)
from kms_patterns.access.evaluate.access_conditions import ALWAYS, Condition, all_of, any_of
from kms_patterns.access.evaluate.action_catalogue import USE_OF_KEY
from kms_patterns.access.evaluate.entries import Escalation, EscalationStep
from kms_patterns.access.evaluate.evaluation import Evaluation, Finding
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.model import (
    ADMINISTRATOR,
    ALONE,
    Model,
    Principal,
    PrincipalKind,
    Resource,
    ResourceKind,
)
from kms_patterns.access.templates.template_text import items
from kms_patterns.access.unknowns.symbols import is_symbolic, may_be, shown

_OUTSIDE = {PrincipalKind.NAMED, PrincipalKind.PROVIDER, PrincipalKind.OUTSIDER}
_USERS = {*ACTING, PrincipalKind.ADMINISTRATOR, PrincipalKind.NAMED}
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
    edges, changes = _edges(model, running, evaluation, asked := _asked_about(model))
    through = {method.besides[0] for method in ON_KEYS if re.search(method.needs, asked)}
    named = {who.id for who in model.principals if who.kind is PrincipalKind.NAMED}
    about: dict[str, list[Finding]] = defaultdict(list)
    for finding in evaluation.findings:
        about[finding.request.resource.id].append(finding)
    found = [
        item
        for key in model.resources
        if key.kind is ResourceKind.KEY
        for item in _of_key(key, _users(about[key.id], key, through), edges, changes)
        if item.path[0].effect == Effect.BECOME or item.principal not in named
    ]
    return sorted(found, key=lambda item: (item.resource, item.principal, item.user, len(item.path)))


def _edges(model: Model, running: Simulator, evaluation: Evaluation, asked: str) -> tuple[Edges, Edges]:
    become: Edges = defaultdict(lambda: defaultdict(dict))
    change: Edges = defaultdict(lambda: defaultdict(dict))
    roles = {who.arn: who.id for who in model.principals if who.kind is PrincipalKind.ROLE}
    for finding in evaluation.findings:
        for role, name in _by_finding(finding, roles):
            _add(become, finding.request.principal.id, role, name, finding.condition)
    methods = [item for item in ON_PRINCIPALS if "aws:principaltag/" in asked or item.needs != "tags"]
    trusts = {what.id: _trusted(what) for what in model.resources if what.kind is ResourceKind.ROLE}
    used = {role for what in model.resources for role in _roles_of(what, roles)}
    for who, targets, decisions in decide(model, running, trusts):
        for target in targets:
            on = methods if account_of(target) == account_of(who) else []
            stands, code = target.kind is PrincipalKind.ADMINISTRATOR, "lambda" if target.id in used else ""
            on = [it for it in on if it.on_target or not (stands or it.service == code)]
            on += ON_OTHERS if target.kind not in DEFINED else ()
            _on_target(who, target, decisions, trusts.get(target.id), (become, change, on))
        for method in TO_ADMINISTRATOR:
            condition = _joint(method.besides, decisions.anywhere)
            if condition is not None and (method.kinds != ("user",) or who.kind is not PrincipalKind.ROLE):
                _add(become, who.id, administrator(account_of(who)), method.name, condition)
    for target in model.principals:
        if target.kind is PrincipalKind.ROLE or (target.kind is PrincipalKind.NAMED and kind_of(target) == "role"):
            _add(become, administrator(account_of(target)), target.id, "iam:UpdateAssumeRolePolicy", ALWAYS)
    return become, change


def _asked_about(model: Model) -> str:
    """Return what policies ask about, as text in lower case: condition keys among it."""
    held = [it for who in model.principals for it in who.identity] + [it.policy for it in model.resources if it.policy]
    return " ".join(str(text).lower() for text in {id(policy): policy.document for policy in held}.values())


def _by_finding(finding: Finding, roles: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield role and method, where what a principal can do to a role or function lets it act as a role."""
    who, what, name = finding.request.principal, finding.request.resource, finding.action.name
    if what.kind is ResourceKind.ROLE and name.startswith("sts:AssumeRole"):
        if who.kind in ACTING | _OUTSIDE and who.id != what.id:
            yield what.id, name
    elif name in _OF_FUNCTIONS and (who.kind in ACTING or (who.kind in _OUTSIDE and account_of(who) != what.account)):
        yield from ((role, f"{name} of {what.id}") for role in _roles_of(what, roles) if role != who.id)


def _roles_of(function: Resource, roles: Mapping[str, str]) -> list[str]:
    """Return the roles that a function may act as."""
    return [
        role
        for arn, role in roles.items()
        if any(arn == given or (given not in roles and may_be(given, arn)) for given in function.acts_as)
    ]


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
    also = "" if target.kind in DEFINED else f" of {target.arn.rpartition(':')[2]}, not in this assembly"
    for method in methods:
        if kind_of(target) not in method.kinds or not _trusts(trusted, method.service):
            continue
        if method.needs and not _has(target, method.needs):
            continue
        first = _joint(method.on_target, decisions.targets.get((target.arn, None), {}))
        second = _joint(method.besides, decisions.anywhere)
        if first is None or second is None:
            continue
        condition, name = all_of([first, second]), f"{method.name}{shown(also)}"
        if who.id != target.id or method.needs:
            _add(change if method.effect is Effect.CHANGE else become, who.id, target.id, name, condition)
        elif method.effect is Effect.CHANGE and method.on_target:
            _add(become, who.id, administrator(account_of(who)), f"{name} on itself", condition)
    for service in (trusted or ["*"]) if account_of(who) == account_of(target) else ():
        passed = decisions.targets.get((target.arn, service), {}).get(PASS)
        names = [name for name in decisions.anywhere if name in taking() and name.partition(":")[0] in takers(service)]
        if passed is not None and names and who.id != target.id:
            more = f" or {len(names) - 1} more actions that take it" if len(names) > 1 else ""
            condition = all_of([passed, any_of(decisions.anywhere[name] for name in names)])
            _add(become, who.id, target.id, f"{PASS} and {best_known(names)}{more}{shown(also)}", condition)


def _trusts(trusted: Sequence[str] | None, service: str | None) -> bool:
    pattern = re.compile(rf"\*|{re.escape(service or '')}(\.|$)")
    return trusted is None or service is None or any(map(pattern.match, trusted))


def _has(target: Principal, what: str) -> bool:
    """Return whether a target has what a method changes; tags also where they are not known."""
    if what == "denies":
        return any(each.get("Effect") == "Deny" for policy in target.identity for each in policy.document["Statement"])
    return target.tags is None or bool(target.tags) if what == "tags" else bool(target.boundaries)


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
    found += ["pods.eks" for name in found if ":oidc-provider/oidc.eks." in name]
    return ["*" if is_symbolic(name) else re.sub(r".*:(oidc|saml)-provider/.*", r"\1-provider", name) for name in found]


def _users(findings: Iterable[Finding], key: Resource, through: Container[str]) -> dict[str, dict[str, Condition]]:
    """Return who uses the key, or may give itself its use, by method; a use has the method '' and its own name."""
    found: dict[str, dict[str, Condition]] = defaultdict(dict)
    for finding in findings:
        who, name = finding.request.principal, finding.action.name
        # Only keys of several Regions have replicas, with key policies of their own.
        single = "/mrk-" not in key.arn and not is_symbolic(key.arn)
        void = {"kms:ReplicateKey": single, "kms:ImportKeyMaterial": not key.portable}
        if who.kind not in _USERS or who.id.endswith(ALONE) or void.get(name):
            continue
        acting = administrator(key.account) if who.kind is PrincipalKind.ADMINISTRATOR else who.id
        for method in ("", name) if name in USE_OF_KEY else (name,) if name in through else ():
            before = found[acting].get(method)
            found[acting][method] = any_of([before, finding.condition]) if before else finding.condition
    return found


def _of_key(
    key: Resource, users: Mapping[str, Mapping[str, Condition]], become: Edges, change: Edges
) -> Iterator[Escalation]:
    above = administrator(key.account)
    every = {name: ALWAYS for methods in users.values() for name in methods}
    for who in sorted(name for name in {*become, *change, *users} if not name.startswith(ADMINISTRATOR)):
        own = users.get(who, {})
        paths = _paths(who, become, above if "" in users.get(above, {}) else None)
        for user, path in paths.items():
            methods = users.get(user, {})
            if "" in methods and user != who and not _has_all(own, methods):
                yield _escalation(key, who, user, path)
            ways = {name: when for name, when in methods.items() if name not in {"", *USE_OF_KEY}}
            if ways and (user == who or "" not in methods) and not _has_all(own, every):
                yield _escalation(key, who, user, (*path, _changing(user, key.id, ways)))
        if above not in paths:
            for user, ways in sorted(change.get(who, {}).items()):
                gained = {**users.get(above, {}), **users.get(user, {})}
                if user not in (paths.keys() - {who}) and "" in gained and not _has_all(own, gained):
                    yield _escalation(key, who, user, (_changing(who, user, ways),))


def _has_all(own: Mapping[str, Condition], other: Mapping[str, Condition]) -> bool:
    """Return whether one may always do with a key what another may."""
    return own.get("") == ALWAYS and all(own.get(name) == ALWAYS for name in other if name in USE_OF_KEY)


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
