"""The access matrix: who can do what to every key and bucket of an assembly, under which condition."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from kms_patterns.access.expressions import NEVER, Condition
from kms_patterns.access.intrinsics import Unresolved
from kms_patterns.access.model import PrincipalKind, ResourceKind


@dataclass(frozen=True)
class Who:
    """A principal of the matrix.

    Attributes:
        id: Stable and readable: its construct path, or what a policy calls it.
        kind: What it is.
        label: How it is printed.
        stack: The stack that defines it, None if the assembly does not.
    """

    id: str
    kind: PrincipalKind
    label: str
    stack: str | None


@dataclass(frozen=True)
class What:
    """A resource of the matrix.

    Attributes:
        id: Its construct path with the stack.
        kind: What it is.
        label: How it is printed inside its stack.
        stack: The stack that defines it.
        encrypted_by: Of a bucket: the id of the key that encrypts its objects.
    """

    id: str
    kind: ResourceKind
    label: str
    stack: str
    encrypted_by: str | None


_Item = TypeVar("_Item", Who, What)


@dataclass(frozen=True)
class ActionName:
    """An action with what it applies to (``key``, ``bucket``, ``object``, ``role``) and the group it is printed in."""

    name: str
    target: str
    group: str


@dataclass(frozen=True)
class Statement:
    """A policy statement that decides about access, with its place."""

    policy: str
    index: int
    text: str


@dataclass(frozen=True)
class Access:
    """One thing that one principal can do.

    Attributes:
        principal: Its id.
        resource: The id of the key, bucket or role.
        action: The action's name.
        target: ``key``, ``bucket``, ``object`` or ``role``.
        scope: A pattern of object keys that it is about, None for all that no other entry is about.
        condition: The condition; ``NEVER`` only for a scope that is cut out of a wider access.
        statements: Indices of the statements that decide it.
    """

    principal: str
    resource: str
    action: str
    target: str
    scope: str | None
    condition: Condition
    statements: tuple[int, ...] = ()

    @property
    def cell(self) -> tuple[str, str, str, str, str]:
        """What identifies the entry in every matrix."""
        return self.resource, self.principal, self.target, self.scope or "", self.action


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
        from kms_patterns.access.building import build  # noqa: PLC0415 - only this needs the resolver and the simulator

        return build(Path(path), project=project)

    @classmethod
    def from_json(cls, text: str) -> "AccessMatrix":
        """Read what ``to_json`` wrote.

        Raises:
            NotAMatrix: ``text`` is something else, or of another version.
        """
        from kms_patterns.access.matrix_json import read  # noqa: PLC0415 - it builds what this module defines

        return read(text)

    def to_json(self) -> str:
        """Return the matrix as JSON; ``schema/access-matrix-1.json`` describes it."""
        from kms_patterns.access.matrix_json import write  # noqa: PLC0415

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


def _one(name: str, items: Sequence[_Item]) -> _Item:
    for matches in (
        [item for item in items if name in {item.id, item.label}],
        [item for item in items if item.id.endswith(f"/{name}")],
    ):
        if len(matches) == 1:
            return matches[0]
    raise KeyError(f"{name!r} is not one of: {', '.join(sorted(item.id for item in items))}")


def statement_text(statement: Mapping[str, Any]) -> str:
    """Return a policy statement as the JSON text that reports show."""
    return json.dumps(statement, indent=2, sort_keys=False, ensure_ascii=False)
