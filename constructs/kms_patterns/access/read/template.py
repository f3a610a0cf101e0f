"""The resolved view of an assembly's templates, all stacks together."""

from collections.abc import Iterator, Mapping
from typing import Any

from kms_patterns.access.model import Unresolved
from kms_patterns.access.read import identifiers
from kms_patterns.access.read.assembly import NESTED_STACK, Stack
from kms_patterns.access.read.documents import readable
from kms_patterns.access.read.intrinsics import Resolver
from kms_patterns.access.read.not_read import not_read


class Template:
    """The resolved view of all templates, shared by the readers of identities and of resources."""

    def __init__(self, stacks: list[Stack]) -> None:
        self.stacks = stacks
        self.resolver = Resolver(stacks)

    def list_not_read(self) -> None:
        """List what is not evaluated, and nested stacks whose template is not in the assembly."""
        self.resolver.unresolved.update(item for stack in self.stacks for item in not_read(stack))
        found = {(stack.parent[0].id, stack.parent[1]) for stack in self.stacks if stack.parent}
        for stack in self.stacks:
            for logical_id, resource in stack.resources.items():
                if resource["Type"] == NESTED_STACK and (stack.id, logical_id) not in found:
                    why = "its template is not in the assembly"
                    self.resolver.unresolved.add(Unresolved(self.where(stack, logical_id), "nested stack", why))

    def of_type(self, *types: str) -> Iterator[tuple[Stack, str, Mapping[str, Any]]]:
        """Yield stack, logical id and resolved properties of every resource of these types that will exist."""
        for stack in self.stacks:
            for logical_id, resource in stack.resources.items():
                where = self.where(stack, logical_id)
                if resource["Type"] in types and self.resolver.holds(stack, resource.get("Condition"), where):
                    properties = self.resolver.resolve(stack, resource.get("Properties", {}), where)
                    yield stack, logical_id, properties if isinstance(properties, Mapping) else {}

    def document(self, where: str, document: Any) -> dict[str, Any]:
        """Return a policy document with what of it can be read; the rest is listed."""
        return readable(document, lambda what, why: self.unresolved(where, what, why))

    def unresolved(self, where: str, what: str, why: str) -> None:
        """List what synthesized output cannot tell."""
        self.resolver.unresolved.add(Unresolved(where, what, why))

    def where(self, stack: Stack, logical_id: str) -> str:
        """Return the readable, unique place of a resource."""
        return f"{stack.id}/{stack.path(logical_id)}"

    def name(self, stack: Stack, logical_id: str) -> str:
        """Return the resource's physical name."""
        return identifiers.physical_name(stack, logical_id, lambda value: self.resolver.resolve(stack, value, stack.id))

    def arn(self, stack: Stack, logical_id: str) -> str:
        """Return the resource's ARN."""
        return identifiers.arn(stack, logical_id, lambda value: self.resolver.resolve(stack, value, stack.id))

    def names(self) -> dict[str, str]:
        """Return readable names by made-up name."""
        found: dict[str, str] = {}
        for stack in self.stacks:
            for logical_id in stack.resources:
                name = self.name(stack, logical_id)
                if name.lower().startswith((f"{stack.prefix}-".lower(), f"{stack.prefix}.".lower(), "mrk-")):
                    found.setdefault(name, self.where(stack, logical_id))
        return found
