"""The resources of an app as their templates will show them, read while the app is being synthesized."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from aws_cdk import CfnElement, CfnResource, Stack
from constructs import IConstruct

Resource = TypeVar("Resource", bound=CfnElement)


class TemplateView:
    """Resolved properties, logical ids and stacks of resources, each asked for once.

    Every response of the CDK's process takes as long as hundreds of steps of Python.
    """

    def __init__(self, constructs: Iterable[IConstruct]) -> None:
        self._constructs = [item for item in constructs if isinstance(item, CfnElement | Stack)]
        # By path, never by construct: jsii makes a new Python object each time it meets one that JavaScript made.
        self._paths: dict[int, tuple[IConstruct, str]] = {}
        self._stacks: dict[str, Stack] = {}
        self._ids: dict[str, str] = {}
        self._properties: dict[str, dict[str, Any]] = {}

    def every(self, *kinds: type[Resource]) -> Iterator[Resource]:
        """Yield all resources of these L1 types."""
        return (item for item in self._constructs if isinstance(item, kinds))

    def stacks(self) -> Iterable[Stack]:
        """Return all stacks, nested ones also."""
        return [item for item in self._constructs if isinstance(item, Stack)]

    def stack_path(self, stack: Stack) -> str:
        """Return the construct path of a stack."""
        return self._path(stack)

    def stack_of(self, item: CfnElement) -> Stack:
        """Return the stack whose template holds ``item``."""
        path = self._path(item)
        if path not in self._stacks:
            self._stacks[path] = item.stack
        return self._stacks[path]

    def logical_id(self, item: CfnElement) -> str:
        """Return the id of ``item`` in its template."""
        path = self._path(item)
        if path not in self._ids:
            self._ids[path] = self.stack_of(item).get_logical_id(item)
        return self._ids[path]

    def name(self, item: CfnElement) -> str:
        """Return a name of ``item`` that is unique in the app: path of the stack, ``#``, logical id."""
        return f"{self.stack_path(self.stack_of(item))}#{self.logical_id(item)}"

    def properties(self, item: CfnResource) -> dict[str, Any]:
        """Return the resolved properties of ``item``, spelled as its L1 construct does (``keyPolicy``)."""
        path = self._path(item)
        if path not in self._properties:
            given = item._cfn_properties  # noqa: SLF001 -- the one way to the properties of any resource
            self._properties[path] = self.stack_of(item).resolve(given) or {}
        return self._properties[path]

    def _path(self, item: CfnElement | Stack) -> str:
        # Asked of the CDK's process once for each Python object, which is kept so that its id stays its own.
        if id(item) not in self._paths:
            self._paths[id(item)] = item, item.node.path
        return self._paths[id(item)][1]
