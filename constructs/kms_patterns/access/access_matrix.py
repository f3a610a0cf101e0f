"""The facade of the access proof: a matrix that reads assemblies and asserts what they give."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from kms_patterns.access.evaluate.access_conditions import ALWAYS, NEVER, Condition, from_block
from kms_patterns.access.evaluate.building import build
from kms_patterns.access.evaluate.entries import Access, What, Who
from kms_patterns.access.evaluate.simulator import simulator
from kms_patterns.access.evaluate.widening import Change, Judge
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import PrincipalKind, ResourceKind, is_administrator
from kms_patterns.access.report.matrix_json import NotAMatrix, read, write
from kms_patterns.access.report.wording import in_words

_IN_ACCOUNT = {PrincipalKind.ADMINISTRATOR, PrincipalKind.ANY_ROLE}


class AccessMatrix(Matrix):
    """Everything that is reachable in an assembly; what is not listed is denied."""

    @classmethod
    def _from(cls, matrix: Matrix) -> "AccessMatrix":
        return cls(**{item.name: getattr(matrix, item.name) for item in fields(matrix)})

    @classmethod
    def from_assembly(cls, path: str | Path, *, project: Path | None = None) -> "AccessMatrix":
        """Evaluate a cloud assembly.

        Args:
            path: ``cdk.out``, a template in JSON or YAML, or a folder of templates.
            project: Where the search for the simulator's ``node_modules`` starts. Defaults to the current folder.

        Raises:
            NotAnAssembly: ``path`` is none of these.
            NotATemplate: A template cannot be read.
            ToolMissing: Node or the simulator is not installed.
            SimulationFailed: The simulator could not evaluate a request.
        """
        return cls._from(build(Path(path), project=project))

    @classmethod
    def from_json(cls, text: str) -> "AccessMatrix":
        """Read what ``to_json`` wrote.

        Raises:
            NotAMatrix: ``text`` is something else, of another version, or a report from which filters took something.
        """
        found = read(text)
        if found.only:
            raise NotAMatrix(f"the report holds only {found.only}: save it without filters")
        return cls._from(found)

    def to_json(self) -> str:
        """Return the matrix as JSON; ``schema/access-matrix-1.json`` describes it."""
        return write(self)

    def assert_only(
        self, principal: str, resource: str, expected: Mapping[str, Mapping[str, Mapping[str, Any]] | None]
    ) -> None:
        """Assert that a principal can do exactly ``expected`` to a resource, under exactly these conditions.

        Args:
            principal: Id, label or unique end of an id (``ReaderRole``).
            resource: Likewise (``Key``, ``Data/Bucket``).
            expected: By action the ``Condition`` of a policy statement, None for always; made-up names are written as
                in reports (``<Data/Bucket>``, ``<account>``, ``<region>``), a scope of objects follows the action after
                a space (``s3:GetObject shared/*``). Conditions are compared by what they allow, not by how they look.

        Raises:
            AssertionError: Anything more, less or different is reachable.
            KeyError: No principal or resource has that name.
        """
        who, what = self.principal(principal), self.resource(resource)
        actual = {_name(entry): entry.condition for entry in self.of(principal=who.id, resource=what.id)}
        wanted = {name: from_block(block) for name, block in expected.items()}
        problems = [f"unexpected: {name} {_when(actual[name])}" for name in sorted(set(actual) - set(wanted))]
        problems += [f"missing: {name} {_when(wanted[name])}" for name in sorted(set(wanted) - set(actual))]
        pairs = {name: (wanted[name], actual[name]) for name in sorted(set(wanted) & set(actual))}
        problems += [
            f"{name}: expected {_when(pairs[name][0])}, reachable {_when(pairs[name][1])} ({change})"
            for name, change in _changes(pairs).items()
        ]
        _raise(f"{who.label} on {what.kind} {what.id}", problems)

    def assert_nobody_else(
        self, resource: str, allowed: Iterable[str] = (), *, actions: Iterable[str] | None = None
    ) -> None:
        """Assert that only the principals named in ``allowed`` can use a resource.

        Args:
            resource: Id, label or unique end of an id.
            allowed: Principals that may.
            actions: What counts as use. Defaults to: of a key every cryptographic operation and ``kms:CreateGrant``;
                of a bucket every action on objects, of a function every invocation, both except by the account's
                administrators, whom no policy of theirs stops; of a role, assuming it.

        Raises:
            AssertionError: Another principal can.
            KeyError: No principal or resource has that name, the resource has no such action, or ``actions`` is empty.
        """
        what = self.resource(resource)
        names = {self.principal(name).id for name in allowed}
        watched = _uses(self, what) if actions is None else {_action(self, what, name) for name in actions}
        if not watched:
            raise KeyError("actions is empty, so every principal would pass: name one, or leave it out")
        kinds = {who.id: who for who in self.principals}
        problems = [
            f"{kinds[entry.principal].label}: {_name(entry)} {_when(entry.condition)}"
            for entry in self.of(resource=what.id)
            if entry.action in watched
            and entry.principal not in names
            and _counts(kinds[entry.principal], what, actions)
        ]
        _raise(f"others than {', '.join(sorted(names)) or 'no principal'} on {what.kind} {what.id}", problems)

    def assert_administrator_cannot_use(self, key: str) -> None:
        """Assert that neither an administrator with ``*:*`` nor another role with ``kms:*`` can use a key.

        A role that a policy names by a pattern (``role/Admin*``) counts as one: an administrator can have that name.

        Args:
            key: Id, label or unique end of an id.

        Raises:
            AssertionError: They can use it, or create a grant for it.
            KeyError: No key has that name.
        """
        what = self.resource(key)
        if what.kind is not ResourceKind.KEY:
            raise KeyError(f"{what.id} is a {what.kind}, not a key")
        watched = _uses(self, what)
        administrators = {who.id: who for who in self.principals if is_administrator(who.kind, who.label)}
        problems = [
            f"{administrators[entry.principal].label}: {_name(entry)} {_when(entry.condition)}"
            for entry in self.of(resource=what.id)
            if entry.action in watched and entry.principal in administrators
        ]
        _raise(f"administrators on {what.kind} {what.id}", problems)


def _counts(who: Who, what: What, actions: Iterable[str] | None) -> bool:
    """An administrator reaches buckets and functions of the account by IAM alone; there the key withholds content."""
    by_iam = what.kind in {ResourceKind.BUCKET, ResourceKind.FUNCTION}
    return actions is not None or not by_iam or who.kind not in _IN_ACCOUNT


def _uses(matrix: Matrix, what: What) -> set[str]:
    """What gives access to content: cryptographic use, and grants, by which use can be handed on."""
    names = {
        action.name
        for action in matrix.actions[what.kind]
        if action.group in {"use", "invoke"} or action.target in {"object", "role"}
    }
    return names | ({"kms:CreateGrant"} if what.kind is ResourceKind.KEY else set())


def _action(matrix: Matrix, what: What, name: str) -> str:
    known = {action.name.lower(): action.name for action in matrix.actions[what.kind]}
    if name.lower() not in known:
        raise KeyError(f"{name} is not an action on a {what.kind}, so every principal would pass")
    return known[name.lower()]


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
