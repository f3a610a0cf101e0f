"""Assertions about a matrix for an app's own tests; a failure shows what was expected and what is reachable."""

from collections.abc import Iterable, Mapping
from typing import Any

from kms_patterns.access.evaluate.access_conditions import ALWAYS, NEVER, Condition, from_block
from kms_patterns.access.evaluate.entries import Access, What, Who
from kms_patterns.access.evaluate.simulator import simulator
from kms_patterns.access.evaluate.widening import Change, Judge
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import PrincipalKind, ResourceKind
from kms_patterns.access.report.wording import in_words

Block = Mapping[str, Mapping[str, Any]]
"""A policy statement's ``Condition`` member; None means always."""

_IN_ACCOUNT = {PrincipalKind.ADMINISTRATOR, PrincipalKind.ANY_ROLE}


def check_only(matrix: Matrix, principal: str, resource: str, expected: Mapping[str, Block | None]) -> None:
    """See ``AccessMatrix.assert_only``."""
    who, what = matrix.principal(principal), matrix.resource(resource)
    actual = {_name(entry): entry.condition for entry in matrix.of(principal=who.id, resource=what.id)}
    wanted = {name: from_block(block) for name, block in expected.items()}
    problems = [f"unexpected: {name} {_when(actual[name])}" for name in sorted(set(actual) - set(wanted))]
    problems += [f"missing: {name} {_when(wanted[name])}" for name in sorted(set(wanted) - set(actual))]
    pairs = {name: (wanted[name], actual[name]) for name in sorted(set(wanted) & set(actual))}
    problems += [
        f"{name}: expected {_when(pairs[name][0])}, reachable {_when(pairs[name][1])} ({change})"
        for name, change in _changes(pairs).items()
    ]
    _raise(f"{who.label} on {what.kind} {what.id}", problems)


def check_nobody_else(
    matrix: Matrix, resource: str, allowed: Iterable[str], actions: Iterable[str] | None = None
) -> None:
    """See ``AccessMatrix.assert_nobody_else``."""
    what = matrix.resource(resource)
    names = {matrix.principal(name).id for name in allowed}
    watched = set(actions) if actions is not None else _uses(matrix, what)
    kinds = {who.id: who for who in matrix.principals}
    problems = [
        f"{kinds[entry.principal].label}: {_name(entry)} {_when(entry.condition)}"
        for entry in matrix.of(resource=what.id)
        if entry.action in watched and entry.principal not in names and _counts(kinds[entry.principal], what, actions)
    ]
    _raise(f"others than {', '.join(sorted(names)) or 'no principal'} on {what.kind} {what.id}", problems)


def check_administrator_cannot_use(matrix: Matrix, key: str) -> None:
    """See ``AccessMatrix.assert_administrator_cannot_use``."""
    what = matrix.resource(key)
    watched = _uses(matrix, what)
    administrators = {who.id: who for who in matrix.principals if who.kind in _IN_ACCOUNT}
    problems = [
        f"{administrators[entry.principal].label}: {_name(entry)} {_when(entry.condition)}"
        for entry in matrix.of(resource=what.id)
        if entry.action in watched and entry.principal in administrators
    ]
    _raise(f"administrators on {what.kind} {what.id}", problems)


def _counts(who: Who, what: What, actions: Iterable[str] | None) -> bool:
    """An administrator of the account reaches its buckets by IAM alone; there the key is what withholds content."""
    return actions is not None or what.kind is ResourceKind.KEY or who.kind not in _IN_ACCOUNT


def _uses(matrix: Matrix, what: What) -> set[str]:
    """What gives access to content: cryptographic use, and grants, by which use can be handed on."""
    groups = {"use"} if what.kind is ResourceKind.KEY else set()
    names = {
        action.name
        for action in matrix.actions[what.kind]
        if action.group in groups or action.target in {"object", "role"}
    }
    return names | ({"kms:CreateGrant"} if what.kind is ResourceKind.KEY else set())


def _changes(pairs: Mapping[str, tuple[Condition, Condition]]) -> dict[str, Change]:
    different = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if not different:
        return {}
    with simulator() as running:
        judge = Judge(running, different.values())
        changes = {name: judge.compare(*pair).change for name, pair in different.items()}
    return {name: change for name, change in changes.items() if change is not Change.SAME}


def _name(entry: Access) -> str:
    return entry.action if entry.scope is None else f"{entry.action} {entry.scope}"


def _when(condition: Condition) -> str:
    return in_words(condition) if condition in {ALWAYS, NEVER} else f"when {in_words(condition)}"


def _raise(subject: str, problems: list[str]) -> None:
    if problems:
        raise AssertionError("\n  ".join([f"access of {subject}:", *problems]))
