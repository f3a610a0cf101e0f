"""The access matrix: who can do what to every key and bucket of an assembly, under which condition."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from kms_patterns.access.evaluate.entries import Access, ActionName, Statement, What, Who
from kms_patterns.access.evaluate.expressions import NEVER
from kms_patterns.access.model import ResourceKind
from kms_patterns.access.read.intrinsics import Unresolved

_Item = TypeVar("_Item", Who, What)


@dataclass(frozen=True)
class AccessMatrix:
    """Everything that is reachable in an assembly; what is not listed is denied.

    Attributes:
        stacks: Ids of the assembly's stacks.
        principals: All that were asked about.
        resources: Keys, buckets and roles.
        actions: All actions that were asked about, by kind of resource.
        entries: What is reachable, sorted.
        statements: The statements that entries refer to.
        unresolved: What synthesized output cannot tell, with its place.
    """

    stacks: Sequence[str]
    principals: Sequence[Who]
    resources: Sequence[What]
    actions: Mapping[ResourceKind, Sequence[ActionName]]
    entries: Sequence[Access]
    statements: Sequence[Statement]
    unresolved: Sequence[Unresolved]

    @classmethod
    def from_assembly(cls, path: str | Path, *, project: Path | None = None) -> "AccessMatrix":
        """Evaluate a cloud assembly.

        Args:
            path: ``cdk.out``, or one template file in JSON.
            project: Where the search for the simulator's ``node_modules`` starts; the current folder if left out.

        Raises:
            NotAnAssembly: ``path`` is neither.
            ToolMissing: Node or the simulator is not installed.
            SimulationFailed: The simulator could not evaluate a request.
        """
        from kms_patterns.access.evaluate.building import build  # noqa: PLC0415 - only this needs the resolver and the simulator

        return build(Path(path), project=project)

    @classmethod
    def from_json(cls, text: str) -> "AccessMatrix":
        """Read what ``to_json`` wrote.

        Raises:
            NotAMatrix: ``text`` is something else, or of another version.
        """
        from kms_patterns.access.report.matrix_json import read  # noqa: PLC0415 - it builds what this module defines

        return read(text)

    def to_json(self) -> str:
        """Return the matrix as JSON; ``schema/access-matrix-1.json`` describes it."""
        from kms_patterns.access.report.matrix_json import write  # noqa: PLC0415

        return write(self)

    def of_stack(self, stack: str) -> "AccessMatrix":
        """Return the part about the resources of one stack (every principal may still reach them).

        Raises:
            KeyError: The assembly has no such stack.
        """
        if stack not in self.stacks:
            raise KeyError(f"no stack {stack!r}; the assembly has {', '.join(self.stacks)}")
        resources = [resource for resource in self.resources if resource.stack == stack]
        ids = {resource.id for resource in resources}
        return replace(
            self,
            stacks=[stack],
            resources=resources,
            entries=[entry for entry in self.entries if entry.resource in ids],
            unresolved=[item for item in self.unresolved if item.where == stack or item.where.startswith(f"{stack}/")],
        )

    def resource(self, name: str) -> What:
        """Return a resource by id, by label, or by a unique end of its id.

        Raises:
            KeyError: None or several match.
        """
        return _one(name, self.resources)

    def principal(self, name: str) -> Who:
        """Return a principal by id, by label, or by a unique end of its id.

        Raises:
            KeyError: None or several match.
        """
        return _one(name, self.principals)

    def of(self, *, principal: str | None = None, resource: str | None = None) -> list[Access]:
        """Return the entries of a principal, of a resource, or of both, by id."""
        return [
            entry
            for entry in self.entries
            if principal in {None, entry.principal} and resource in {None, entry.resource} and entry.condition != NEVER
        ]

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
            KeyError: There is no such principal or resource.
        """
        from kms_patterns.access.assertions import check_only  # noqa: PLC0415 - it builds on this module

        check_only(self, principal, resource, expected)

    def assert_nobody_else(
        self, resource: str, allowed: Iterable[str] = (), *, actions: Iterable[str] | None = None
    ) -> None:
        """Assert that only the principals named in ``allowed`` can use a resource.

        Args:
            resource: Id, label or unique end of an id.
            allowed: Principals that may.
            actions: What counts as use. When left out: of a key every cryptographic operation and ``kms:CreateGrant``;
                of a bucket every action on objects, except by the account's administrators, whom only the key stops;
                of a role, assuming it.

        Raises:
            AssertionError: Somebody else can.
            KeyError: There is no such principal or resource.
        """
        from kms_patterns.access.assertions import check_nobody_else  # noqa: PLC0415

        check_nobody_else(self, resource, allowed, actions)

    def assert_administrator_cannot_use(self, key: str) -> None:
        """Assert that neither an administrator with ``*:*`` nor another role with ``kms:*`` can use a key.

        Args:
            key: Id, label or unique end of an id.

        Raises:
            AssertionError: They can use it, or create a grant for it.
            KeyError: There is no such key.
        """
        from kms_patterns.access.assertions import check_administrator_cannot_use  # noqa: PLC0415

        check_administrator_cannot_use(self, key)


def _one(name: str, items: Sequence[_Item]) -> _Item:
    for matches in (
        [item for item in items if name in {item.id, item.label}],
        [item for item in items if item.id.endswith(f"/{name}")],
    ):
        if len(matches) == 1:
            return matches[0]
    raise KeyError(f"{name!r} is not one of: {', '.join(sorted(item.id for item in items))}")
