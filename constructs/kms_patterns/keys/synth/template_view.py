"""The resources of an app as their templates will show them, and one name for each role, user and key in them."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import chain
from typing import Any, Final, TypeVar

from aws_cdk import CfnElement, CfnOutput, CfnParameter, CfnResource, NestedStack, Stack
from aws_cdk import aws_iam as iam
from constructs import IConstruct

from kms_patterns.keys.environment import path_of
from kms_patterns.keys.grants.key_policy import KeyPolicy, documents, own_policies
from kms_patterns.keys.synth.visited_resource import class_of_resource, joined

Resource = TypeVar("Resource", bound=CfnElement)


class TemplateView:
    """Resolved properties, logical ids and stacks of resources, each asked for once.

    Every response of the CDK's process takes as long as hundreds of steps of Python.
    """

    def __init__(self, constructs: Iterable[IConstruct]) -> None:
        self._constructs = [item for item in constructs if isinstance(item, CfnElement | Stack)]
        self.stacks = [item for item in self._constructs if isinstance(item, Stack)]
        """All stacks, nested ones also."""
        self._by_path = {path_of(stack): stack for stack in self.stacks}
        # By path, never by construct: jsii makes a new Python object each time it meets one that JavaScript made.
        self._stacks: dict[str, Stack] = {}
        self._ids: dict[str, str] = {}
        self._properties: dict[str, dict[str, Any]] = {}
        self.key_policies: dict[str, KeyPolicy] = {}
        """Path of a key of this package whose properties were asked for -> its policy."""

    def every(self, *kinds: type[Resource]) -> Iterator[Resource]:
        """Yield all resources of these L1 types, also those that are written as a ``CfnResource`` of their type."""
        typed = (item for item in self._constructs if isinstance(item, kinds))
        return chain(typed, *(self.plain.get(str(getattr(kind, "__jsii_type__", "")), ()) for kind in kinds))

    @cached_property
    def plain(self) -> dict[str, list[Any]]:
        """L1 class, or type that is not AWS's -> all resources that are written as a ``CfnResource`` of it."""
        plain: dict[str, list[Any]] = {}
        for item in (it for it in self._constructs if type(it) is CfnResource):
            plain.setdefault(class_of_resource(item), []).append(item)
        return plain

    def stack_of(self, item: CfnElement) -> Stack:
        """Return the stack whose template holds ``item``."""
        path = path_of(item)
        if path not in self._stacks:
            homes = (self._by_path.get(path.rsplit("/", parts)[0]) for parts in range(1, path.count("/") + 1))
            self._stacks[path] = next((stack for stack in homes if stack is not None), None) or item.stack
        return self._stacks[path]

    def logical_id(self, item: CfnElement) -> str:
        """Return the id of ``item`` in its template, which the app may have overridden."""
        if path_of(item) not in self._ids:
            self._ids |= self._resolved(type(item), lambda it: it.logical_id)
        return self._ids[path_of(item)]

    def name(self, item: CfnElement) -> str:
        """Return a name of ``item`` that is unique in the app: path of the stack, ``#``, logical id."""
        return f"{path_of(self.stack_of(item))}#{self.logical_id(item)}"

    def properties(self, item: CfnResource) -> dict[str, Any]:
        """Return the resolved properties of ``item``, spelled as its L1 construct does (``keyPolicy``)."""
        if path_of(item) not in self._properties:
            found = self._resolved(type(item), lambda it: it._cfn_properties)  # noqa: SLF001 -- the one way to them
            self._properties |= {path: _spelled(given or {}, type(item)) for path, given in found.items()}
        return self._properties[path_of(item)]

    def _resolved(self, kind: type[CfnElement], read: Callable[[Any], Any]) -> dict[str, Any]:
        """Read something of all constructs of a type, and resolve what is in one stack together."""
        by_stack: dict[str, dict[str, Any]] = {}
        for item in (it for it in self.every(kind) if type(it) is kind):
            by_stack.setdefault(path_of(self.stack_of(item)), {})[path_of(item)] = read(item)
        found: dict[str, Any] = {}
        for stack, given in by_stack.items():
            resolve = self._by_path[stack].resolve
            own = own_policies(given)
            found |= {**dict.fromkeys(given), **(resolve(given) or {})}
            found |= {path: {**(found[path] or {}), "keyPolicy": it} for path, it in documents(own, resolve).items()}
            self.key_policies |= own
        return found


def _spelled(properties: dict[str, Any], kind: type) -> dict[str, Any]:
    return {f"{it[:1].lower()}{it[1:]}" if kind is CfnResource else it: value for it, value in properties.items()}


_ACROSS_REGIONS: Final = "/cdk/exports/"
_EXPORT_WRITER: Final = "Custom::CrossRegionExportWriter"
_ANY_KEY: Final = re.compile(r"\*$|arn:[^:]*:(kms|[^:]*[*?][^:]*):.*[*?]")
_ALIAS: Final = re.compile(r"arn:[^:]*:kms:[^:]*:[^:]*:alias/")
_IAM_ARN: Final = re.compile(r"arn:[^:]*:iam::[^:]*:(role|user|group)/(?:.*/)?([^/]+)$")


class References:
    """Follows references within a stack, between stacks and into nested stacks, back to the resource."""

    def __init__(self, view: TemplateView) -> None:
        self._view = view
        self._identities = {view.name(item): item for item in view.every(iam.CfnRole, iam.CfnUser, iam.CfnGroup)}
        self._fixed_names = {
            name: fixed for name, item in self._identities.items() for fixed in [_fixed_name(view, item)] if fixed
        }
        self._own = {self._fixed_names.get(name, name) for name in self._identities}
        self._parameters = {view.name(item) for item in view.every(CfnParameter)}

    def identity(self, item: CfnElement) -> str:
        """Return the name of a role, user or group of this app."""
        name = self._view.name(item)
        return self._fixed_names.get(name, name)

    def name(self, stack: Stack, value: Any, kind: str = "") -> str:
        """Return the name of what ``value``, a resolved part of the template of ``stack``, refers to.

        Args:
            stack: The stack whose template holds it.
            value: An ARN, a name, or an intrinsic function that gives one.
            kind: ``role/``, ``user/`` or ``group/`` if a bare name is the name of one.
        """
        found = self._follow(stack, value)
        arn = _IAM_ARN.match(found)
        if arn:
            return arn[2] if "#" in arn[2] else f"{arn[1]}/{arn[2]}"
        named = self._fixed_names.get(found, found)
        return named if "#" in named or "/" in named or ":" in named else f"{kind}{named}"

    def is_unknown(self, name: str) -> bool:
        """Return whether ``name`` may mean several: a parameter, an export of another app, a pattern."""
        return name in self._parameters or any(mark in name for mark in ('{"', "{{resolve:", "export ", "*", "?"))

    def is_own(self, name: str) -> bool:
        """Return whether this app makes the role, user or group called ``name``."""
        return name in self._own

    def may_be_any(self, stack: Stack, value: Any) -> bool:
        """Return whether ``value``, a resource of a statement, may be any KMS key: a pattern, or not known yet."""
        found = self._follow(stack, value)
        # No request about the use of a key names it by an alias.
        if _ALIAS.match(found):
            return False
        return bool(_ANY_KEY.match(found)) or any(self.is_unknown(name) for name in self.mentioned(stack, value))

    def mentioned(self, stack: Stack, value: Any) -> set[str]:
        """Return the names of what ``value`` refers to, by itself or as parts of a longer text."""
        text = joined(value["Fn::Sub"]) if isinstance(value, dict) and "Fn::Sub" in value else value
        parts = text["Fn::Join"][1] if isinstance(text, dict) and "Fn::Join" in text else []
        return {self.name(stack, part) for part in [value, *parts]}

    def label(self, name: str) -> str:
        """Return the construct path of the role, user or group called ``name``, or the name of one outside this app."""
        item = self._identities.get(name)
        return str(item.node.path).removesuffix("/Resource") if item else name

    def _follow(self, stack: Stack, value: Any) -> str:
        if isinstance(value, str):
            return value
        if not isinstance(value, dict) or len(value) != 1:
            return json.dumps(value, sort_keys=True)
        function, argument = next(iter(value.items()))
        steps: dict[str, Callable[[Stack, Any], str]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Join": self._join,
            "Fn::Sub": lambda at, text: self._follow(at, joined(text)),
            "Fn::ImportValue": self._import_value,
            "Fn::GetStackOutput": self._stack_output,
            # The name of an imported role is cut out of its ARN.
            "Fn::Select": lambda at, part: self._follow(at, part[1]),
            "Fn::Split": lambda at, part: self._follow(at, part[1]),
        }
        step = steps.get(function)
        return step(stack, argument) if step else json.dumps(value, sort_keys=True)

    def _ref(self, stack: Stack, logical_id: str) -> str:
        if logical_id.startswith("AWS::"):
            return f"{{{logical_id.removeprefix('AWS::')}}}"
        if isinstance(stack, NestedStack) and stack.nested_stack_parent:
            resource: Any = stack.nested_stack_resource
            given = self._view.properties(resource).get("parameters") or {}
            if logical_id in given:
                return self._follow(stack.nested_stack_parent, given[logical_id])
        return self._named(stack, logical_id)

    def _get_att(self, stack: Stack, argument: list[str]) -> str:
        logical_id, attribute = argument
        if attribute.startswith(_ACROSS_REGIONS) and attribute in self._exports_across_regions:
            home, value = self._exports_across_regions[attribute]
            return self._follow(home, value)
        nested = self._nested.get(self._named(stack, logical_id))
        return self._output(nested, attribute.removeprefix("Outputs.")) if nested else self._named(stack, logical_id)

    def _join(self, stack: Stack, argument: list[Any]) -> str:
        separator, parts = argument
        return str(separator).join(self._follow(stack, part) for part in parts)

    def _import_value(self, stack: Stack, name: Any) -> str:
        output = self._exports.get(self._follow(stack, name))
        home = self._view.stack_of(output) if output else stack
        return self._follow(home, home.resolve(output.value)) if output else f"export {name}"

    def _stack_output(self, _stack: Stack, argument: dict[str, Any]) -> str:
        region = argument.get("Region")
        named = [
            stack
            for stack in self._view.stacks
            if stack.stack_name == argument["StackName"] and region in (None, stack.region)
        ]
        return self._output(named[0], argument["OutputName"]) if named else json.dumps(argument, sort_keys=True)

    def _output(self, stack: Stack, logical_id: str) -> str:
        name = self._named(stack, logical_id)
        output = self._outputs.get(name)
        return self._follow(stack, stack.resolve(output.value)) if output else name

    def _named(self, stack: Stack, logical_id: str) -> str:
        return f"{path_of(stack)}#{logical_id}"

    @cached_property
    def _outputs(self) -> dict[str, CfnOutput]:
        return {self._view.name(item): item for item in self._view.every(CfnOutput)}

    @cached_property
    def _exports(self) -> dict[str, CfnOutput]:
        return {
            self._follow(item.stack, item.stack.resolve(item.export_name)): item
            for item in self._outputs.values()
            if item.export_name
        }

    @cached_property
    def _exports_across_regions(self) -> dict[str, tuple[Stack, Any]]:
        """What the functions of the AWS CDK carry into other Regions, by the name of the parameter that holds it."""
        found: dict[str, tuple[Stack, Any]] = {}
        for item in self._view.plain.get(_EXPORT_WRITER, ()):
            stack = self._view.stack_of(item)
            exports = self._view.properties(item)["writerProps"]["exports"]
            found |= {name: (stack, value) for name, value in exports.items()}
        return found

    @cached_property
    def _nested(self) -> dict[str, Stack]:
        nested: list[Any] = [stack for stack in self._view.stacks if isinstance(stack, NestedStack)]
        return {self._view.name(stack.nested_stack_resource): stack for stack in nested}


def _fixed_name(view: TemplateView, item: Any) -> str | None:
    given = {kind: view.properties(item).get(f"{kind}Name") for kind in ("role", "user", "group")}
    return next((f"{kind}/{name}" for kind, name in given.items() if isinstance(name, str)), None)
