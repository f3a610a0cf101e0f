"""The access matrix: who can do what to every key and bucket of an assembly, under which condition."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self, TypeVar

from kms_patterns.access.evaluate.access_conditions import NEVER
from kms_patterns.access.evaluate.entries import Access, ActionName, Escalation, Statement, What, Who
from kms_patterns.access.model import ResourceKind, Unresolved

_Item = TypeVar("_Item", Who, What)


@dataclass(frozen=True)
class Matrix:
    """Everything that is reachable in an assembly; what is not listed is denied.

    Attributes:
        stacks: Ids of the assembly's stacks.
        principals: All that were asked about.
        resources: Keys, buckets and roles.
        actions: All actions that were asked about, by kind of resource.
        entries: What is reachable, sorted.
        statements: The statements that entries refer to.
        unresolved: What synthesized output cannot tell, with its place.
        escalations: Who can come to use a key, by which path.
        policies: Every statement of the policies that decide about access, whether an entry refers to it or not.
        paired: Of the new side of a comparison: old id -> new id of stacks taken as one though these differ.
        only: The filters that left something out, as on a command line; empty if nothing is left out.
        live: Whether an account was read, its KMS grants included, instead of templates.
    """

    stacks: Sequence[str]
    principals: Sequence[Who]
    resources: Sequence[What]
    actions: Mapping[ResourceKind, Sequence[ActionName]]
    entries: Sequence[Access]
    statements: Sequence[Statement]
    unresolved: Sequence[Unresolved]
    escalations: Sequence[Escalation] = ()
    policies: Sequence[Statement] = ()
    paired: Mapping[str, str] = field(default_factory=dict)
    only: str = ""
    live: bool = False

    @cached_property
    def by_resource(self) -> Mapping[str, Sequence[Access]]:
        """The entries of each resource, by id."""
        found: dict[str, list[Access]] = {}
        for entry in self.entries:
            found.setdefault(entry.resource, []).append(entry)
        return found

    def of_stack(self, stack: str) -> Self:
        """Return the part about the resources of one stack (every principal may still reach them).

        Raises:
            KeyError: The assembly has no such stack.
        """
        if stack not in self.stacks:
            raise KeyError(f"no stack {stack!r}; the assembly has {', '.join(self.stacks)}")
        unresolved = [item for item in self.unresolved if item.where == stack or item.where.startswith(f"{stack}/")]
        return replace(self.of_stacks({stack}), unresolved=unresolved)

    def of_stacks(self, stacks: Set[str]) -> Self:
        """Return what is about the resources of some stacks; every principal may still reach them."""
        resources = [resource for resource in self.resources if resource.stack in stacks]
        ids = {resource.id for resource in resources}
        return replace(
            self,
            stacks=[stack for stack in self.stacks if stack in stacks],
            resources=resources,
            entries=[entry for entry in self.entries if entry.resource in ids],
            escalations=[item for item in self.escalations if item.resource in ids],
        )

    def resource(self, name: str) -> What:
        """Return a resource by id, by label, or by a unique end of its id.

        Raises:
            KeyError: None or several do.
        """
        return _one(name, self.resources)

    def principal(self, name: str) -> Who:
        """Return a principal by id, by label, or by a unique end of its id.

        Raises:
            KeyError: None or several do.
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
        if matches:
            raise KeyError(f"{name!r} is several: {', '.join(sorted(item.id for item in matches))}; give one whole id")
    raise KeyError(f"{name!r} is not one of: {', '.join(sorted(item.id for item in items))}")
