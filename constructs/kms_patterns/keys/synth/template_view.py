"""The resources of an app as their templates will show them, read while the app is being synthesized."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from aws_cdk import CfnElement, CfnResource, Stack
from constructs import IConstruct

Resource = TypeVar("Resource", bound=CfnElement)


class TemplateView:
    """Resolved properties, logical ids and stacks of resources, each asked for once.

    Every answer of the CDK's process takes as long as hundreds of steps here.
    """

    def __init__(self, constructs: Iterable[IConstruct]) -> None:
        self._constructs = list(constructs)
        self._paths = {item: item.node.path for item in self._constructs if isinstance(item, Stack)}
        self._stack_of: dict[IConstruct, Stack] = {}
        self._ids: dict[IConstruct, str] = {}
        self._properties: dict[IConstruct, dict[str, Any]] = {}

    def every(self, *kinds: type[Resource]) -> Iterator[Resource]:
        """Yield all resources of these L1 types."""
        return (item for item in self._constructs if isinstance(item, kinds))

    def stacks(self) -> Iterable[Stack]:
        """Return all stacks, nested ones too."""
        return self._paths

    def stack_path(self, stack: Stack) -> str:
        """Return the construct path of a stack."""
        return self._paths[stack]

    def stack_of(self, item: CfnElement) -> Stack:
        """Return the stack whose template holds ``item``."""
        if item not in self._stack_of:
            self._stack_of[item] = item.stack
        return self._stack_of[item]

    def logical_id(self, item: CfnElement) -> str:
        """Return the id of ``item`` in its template."""
        if item not in self._ids:
            self._ids[item] = self.stack_of(item).get_logical_id(item)
        return self._ids[item]

    def name(self, item: CfnElement) -> str:
        """Return a name of ``item`` that is unique in the app: path of the stack, ``#``, logical id."""
        return f"{self.stack_path(self.stack_of(item))}#{self.logical_id(item)}"

    def properties(self, item: CfnResource) -> dict[str, Any]:
        """Return the resolved properties of ``item``, spelled as its L1 construct does (``keyPolicy``)."""
        if item not in self._properties:
            given = item._cfn_properties  # noqa: SLF001 -- the one way to the properties of any resource
            self._properties[item] = self.stack_of(item).resolve(given) or {}
        return self._properties[item]
