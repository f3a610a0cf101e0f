"""A resource as an aspect visits it: its properties as they are given, and as they resolve."""

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final

from aws_cdk import CfnResource, Stack

_ANY_TYPE: Final = "aws-cdk-lib.CfnResource"
_PARTS: Final = 3


def class_of(kind: str) -> str:
    """Return the L1 class of a CloudFormation type."""
    _, service, name = kind.split("::")
    return f"aws-cdk-lib.aws_{service.lower()}.Cfn{name}"


class VisitedResource:
    """A resource, of which the CDK's process is asked once, and only for what matters."""

    def __init__(self, node: CfnResource, kind: str) -> None:
        self.node, self.kind = node, kind
        self.given: Mapping[str, Any] = node._cfn_properties  # noqa: SLF001 -- the one way to any resource's properties

    @cached_property
    def path(self) -> str:
        """Its construct path."""
        return str(self.node.node.path)

    @cached_property
    def stack(self) -> Stack:
        """Its stack."""
        return self.node.stack

    @cached_property
    def type(self) -> str:
        """Its CloudFormation type."""
        return self.node.cfn_resource_type

    @cached_property
    def resolved(self) -> Mapping[str, Any]:
        """Its properties, resolved."""
        found: Mapping[str, Any] = self.stack.resolve(self.given) or {}
        return found


def at(resolved: Any, where: tuple[str, ...]) -> Any:
    """Return what stands at the place of properties that were given, in all members of lists on the way."""
    for name in where:
        if isinstance(resolved, list):
            resolved = [member.get(name) for member in resolved if isinstance(member, dict)]
        else:
            resolved = resolved.get(name) if isinstance(resolved, dict) else None
    return resolved


def class_of_resource(resource: CfnResource) -> str:
    """Return the L1 class of a resource, also of one that the app wrote as a ``CfnResource`` of some type."""
    kind = str(getattr(type(resource), "__jsii_type__", ""))
    if kind != _ANY_TYPE:
        return kind
    title = resource.cfn_resource_type
    known = title.startswith("AWS::") and len(title.split("::")) == _PARTS
    return class_of(title) if known else "aws-cdk-lib.CfnCustomResource"


def leaves(value: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield what stands in properties, and where; members of one list at one place."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from leaves(member, (*where, name))
    elif isinstance(value, list) and not any(str(member).startswith("#{Token[") for member in value):
        for member in value:
            yield from leaves(member, where)
    elif value is not None and not isinstance(value, bool | int | float):
        yield where, value


def names(value: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the texts and references in a resolved value, and where."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        if len(value) == 1:
            yield where, json.dumps(value, sort_keys=True)
        for name, member in value.items():
            yield from names(member, (*where, name))
    elif isinstance(value, list):
        for member in value:
            yield from names(member, where)
