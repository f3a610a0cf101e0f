"""What a least-privilege review would object to, found in an evaluated assembly."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from kms_patterns.access.evaluate.action_catalogue import USE_OF_KEY
from kms_patterns.access.evaluate.building import matrix_of
from kms_patterns.access.evaluate.evaluation import Evaluation, evaluate
from kms_patterns.access.evaluate.simulator import simulator
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import Model, Policy, Principal, PrincipalKind, Resource, ResourceKind, is_administrator
from kms_patterns.access.read.identifiers import matches

RULES: Mapping[str, tuple[str, str]] = {
    "AdministratorUsesKey": (
        "an administrator of the account can use the key",
        "Let the key policy name who uses the key, and let the account's root only administer it (EncryptionKey does)",
    ),
    "OutsiderUsesKey": (
        "a principal outside the account can use the key",
        "Name the principals of other accounts, or demand kms:CallerAccount",
    ),
    "VoidGrant": (
        "a statement allows what no principal gets: the other policy, or a boundary, does not",
        "Grant by the key's own grant methods, which write both policies, or remove the statement",
    ),
    "WildcardOnKey": (
        "a statement allows use of the key by a wildcard",
        "Name each action and the key's ARN",
    ),
}
"""Rules with what is wrong and what to do."""

_USES = {name.lower(): name for name in USE_OF_KEY | {"kms:CreateGrant"}}
"""Names of actions as published, by what IAM compares: case does not count."""


@dataclass(frozen=True, order=True)
class Violation:
    """One objection.

    Attributes:
        rule: A name in ``RULES``.
        stack: The stack of the resource that holds the policy.
        logical_id: That resource.
        detail: Who, what and where.
        evidence: The statements with their principals and keys, or the access with its conditions, in one form.
    """

    rule: str
    stack: str
    logical_id: str
    detail: str
    evidence: str = ""

    @property
    def fingerprint(self) -> str:
        """A digest of all of it: another statement, principal, key or condition has another."""
        parts = [self.rule, self.stack, self.logical_id, self.detail, self.evidence]
        return sha256(json.dumps(parts).encode()).hexdigest()


def reviewed(model: Model, project: Path | None = None) -> tuple[Matrix, Sequence[Violation], Mapping[str, Path]]:
    """Return the matrix, every objection, and the template file of each stack.

    Args:
        model: An assembly.
        project: Where the search for the simulator's ``node_modules`` starts; defaults to the current folder.

    Raises:
        ToolMissing: Node or the simulator is not installed.
    """
    with simulator(project) as running:
        evaluation = evaluate(model, running)
        matrix = matrix_of(model, evaluation, running)
    return matrix, violations(model, evaluation), model.files


def violations(model: Model, evaluation: Evaluation) -> list[Violation]:
    """Return what least privilege objects to about the assembly's keys, sorted: one for each detail."""
    keys = [resource for resource in model.resources if resource.kind is ResourceKind.KEY]
    homes = {it.id: it.policy.origin for it in model.resources if it.kind is ResourceKind.ROLE and it.policy}
    reached = {
        (finding.request.principal.id, finding.request.resource.id, finding.action.name)
        for finding in evaluation.findings
    }
    found = [
        *_by_strangers(evaluation, keys),
        *(item for key in keys for who in model.principals for item in _void(who, key, reached)),
        *(item for who in model.principals for item in _wildcards(who.identity, keys, who.id, homes.get(who.id))),
        *(item for key in keys if key.policy for item in _wildcards([key.policy], [key], "", None)),
    ]
    evidence: dict[Violation, set[str]] = defaultdict(set)
    for item in found:
        evidence[replace(item, evidence="")].add(item.evidence)
    return sorted(replace(item, evidence="\n".join(sorted(seen))) for item, seen in evidence.items())


def _evidence(*parts: object) -> str:
    return json.dumps(parts, sort_keys=True)


def _by_strangers(evaluation: Evaluation, keys: Iterable[Resource]) -> Iterator[Violation]:
    for key in keys:
        for administrators, rule in ((True, "AdministratorUsesKey"), (False, "OutsiderUsesKey")):
            uses = [
                finding
                for finding in evaluation.findings
                if finding.request.resource is key
                and _is_stranger(finding.request.principal, administrators=administrators)
                and finding.action.name in _USES.values()
            ]
            if uses and key.policy and key.policy.origin:
                names = sorted({finding.action.name for finding in uses})
                ways = sorted((use.request.principal.id, use.action.name, str(use.condition)) for use in uses)
                yield Violation(rule, *key.policy.origin, f"{key.id}: {', '.join(names)}", _evidence(ways))


def _is_stranger(who: Principal, *, administrators: bool) -> bool:
    return is_administrator(who.kind, who.label) if administrators else who.kind is PrincipalKind.OUTSIDER


def _void(who: Principal, key: Resource, reached: set[tuple[str, str, str]]) -> Iterator[Violation]:
    for policy in who.identity:
        for statement in allowing(policy):
            if key.arn in as_list(statement.get("Resource")):
                yield from _unreached(policy, statement, who, key, reached)
    for statement in allowing(key.policy) if key.policy else ():
        if key.policy and who.stack and who.arn in set(_named(statement)):
            yield from _unreached(key.policy, statement, who, key, reached)


def _unreached(
    policy: Policy, statement: Mapping[str, Any], who: Principal, key: Resource, reached: set[tuple[str, str, str]]
) -> Iterator[Violation]:
    names = _exact(statement)
    void = [name for name in names if (who.id, key.id, name) not in reached]
    if void and policy.origin:
        detail = f"{who.label} cannot {', '.join(void)} with {key.id}"
        yield Violation("VoidGrant", *policy.origin, detail, _evidence(who.id, key.id, statement))


def _wildcards(
    policies: Iterable[Policy], keys: Iterable[Resource], who: str, home: tuple[str, str] | None
) -> Iterator[Violation]:
    """Yield statements that allow by a wildcard; of a policy that no template holds, at the role that has it."""
    for policy in policies:
        for statement in allowing(policy):
            touched = [key for key in keys if _touches(policy, statement, key)]
            wide = _wide(statement, identity=policy.kind == "identity")
            origin = policy.origin or home
            if origin and touched and wide:
                evidence = _evidence(who, sorted(key.id for key in touched), statement)
                yield Violation("WildcardOnKey", *origin, f"{policy.where}: {wide}", evidence)


def _touches(policy: Policy, statement: Mapping[str, Any], key: Resource) -> bool:
    if policy.kind == "resource":
        return True
    if "NotResource" in statement:
        return not any(matches(item, key.arn) for item in as_list(statement["NotResource"]))
    return any(matches(item, key.arn) for item in as_list(statement.get("Resource")))


def _wide(statement: Mapping[str, Any], *, identity: bool) -> str:
    """Say by which wildcard a statement allows use of a key; nothing if it allows none, or none by a wildcard."""
    excluded = as_list(statement.get("NotAction"))
    if "NotAction" in statement:
        return f"all but {', '.join(excluded)}" if _uses_beside(excluded) else ""
    names = as_list(statement.get("Action"))
    wide = [name for name in names if set(name) & {"*", "?"} and _covers_use(name)]
    exact = _exact(statement)
    resources = as_list(statement.get("Resource"))
    if not wide and exact and identity:
        if "NotResource" in statement:
            return f"{', '.join(exact)} on all but {', '.join(as_list(statement['NotResource']))}"
        if any(set(item) & {"*", "?"} for item in resources):
            return f"{', '.join(exact)} on {', '.join(resources)}"
    return ", ".join(wide)


def _exact(statement: Mapping[str, Any]) -> list[str]:
    return [_USES[name.lower()] for name in as_list(statement.get("Action")) if name.lower() in _USES]


def _uses_beside(excluded: Sequence[str]) -> bool:
    return any(not any(matches(pattern.lower(), name) for pattern in excluded) for name in _USES)


def _covers_use(pattern: str) -> bool:
    return any(matches(pattern.lower(), name) for name in _USES)


def allowing(policy: Policy | None) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of ``policy`` that allow."""
    statements = policy.document.get("Statement", []) if policy else []
    for statement in statements if isinstance(statements, list) else [statements]:
        if statement.get("Effect") == "Allow":
            yield statement


def as_list(value: object) -> list[str]:
    """Return a policy element, which may be one text or several, as a list."""
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _named(statement: Mapping[str, Any]) -> Iterator[str]:
    principals = statement.get("Principal", {})
    if isinstance(principals, dict):
        yield from as_list(principals.get("AWS"))
    for operator, keys in statement.get("Condition", {}).items():
        for key, values in keys.items():
            if (
                key.lower() == "aws:principalarn"
                and operator.lower().startswith("arn")
                and "not" not in operator.lower()
            ):
                yield from as_list(values)
