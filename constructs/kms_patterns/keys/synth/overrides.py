"""Compares the templates, once they are written, with what the checks saw of the app.

What ``add_property_override`` puts into a template is merged after every check of the AWS CDK.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from aws_cdk import CfnResource, Stack
from aws_cdk import aws_iam as iam

from kms_patterns.keys.environment import path_of, stack_of
from kms_patterns.keys.grants.key_policy import KeyPolicy, documents
from kms_patterns.keys.grants.target import GrantTarget, KeyInApp
from kms_patterns.keys.key_options import KeyAccess
from kms_patterns.keys.synth.at_rest import AtRest, services_of
from kms_patterns.keys.synth.deliveries import RECEIVING, destinations, is_served
from kms_patterns.keys.synth.identity_statements import identity_statements, outside_boundary
from kms_patterns.keys.synth.template_checks import FIXED
from kms_patterns.keys.synth.template_view import References, TemplateView
from kms_patterns.keys.synth.visited_resource import at, class_of, parsed
from kms_patterns.policy.statements import literal

_CHECKED: Final = {**FIXED, "keyPolicy": "KeyPolicy", "enableKeyRotation": "EnableKeyRotation"}
_NOT_AT_REST: Final = ("AWS::KMS::", "AWS::IAM::", "AWS::CloudFormation::")
_INSTEAD: Final = "Set the property of the L1 construct instead, as in resource.kms_key_id = key.key_arn"
_OVERRIDDEN: Final = (
    "{}: an override changes {} in the template, past every check of the key. Set the property of the L1 construct "
    "instead, as in key.resource.enable_key_rotation = …; add statements with add_to_resource_policy"
)
_NAMED: Final = (
    "{}: it names the key at {}, which the last check did not see: an override, or an aspect of priority "
    f"{AtRest.PRIORITY} or more, set it, or it imports an export of this app by its name. Nothing was allowed for the "
    f"resource under {{}}: creating or using it would end in AccessDeniedException. {_INSTEAD}, in an aspect of a "
    f"lower priority, as in Aspects.of(app).add(aspect, priority={AtRest.PRIORITY - 100})"
)
_NAMED_ELSEWHERE: Final = (
    "{}: an override names the key at {}, after the last check, so the owner of {} was not told of the resource: "
    "unless its key policy allows what the resource needs, creating or using it ends in AccessDeniedException. "
    f"{_INSTEAD}"
)
_TAKEN_AWAY: Final = (
    "{}: an override changes {} in the template: the resource is not encrypted under {}, whose policy allows its use. "
    "Omit the override, or the key of the construct"
)
_HOLDERS: Final = ("AWS::IAM::Role", "AWS::IAM::User")
_OUTSIDE: Final = (
    "{}: its policies allow {}, and its permissions boundary {} does not: the call would end in AccessDeniedException. "
    "Allow it there"
)
_DELIVERED: Final = (
    "{}: an override, or a late aspect, makes a service deliver to {}, after the last check: unless the policy of {} "
    "lets that service in, what it delivers is lost. Set the property of the L1 construct instead, or call "
    "allow_service(…)"
)


class Difference(NamedTuple):
    """What a template has and the checks did not see.

    Attributes:
        template: Its file.
        logical_id: The resource.
        text: What it means, and what to do.
        severity: ``error``, or ``warning`` where it may be meant.
    """

    template: str
    logical_id: str
    text: str
    severity: str = "error"


class Overrides:
    """Compares the templates of an app or stage with what the checks saw of it.

    Args:
        keys: The keys of the app or stage.
        at_rest: What it saw of the resources.
        view: The app.
        references: Names of its resources.
    """

    def __init__(self, keys: Sequence[KeyInApp], at_rest: AtRest, view: TemplateView, references: References) -> None:
        self._at_rest, self._view, self._references = at_rest, view, references
        self._own = {view.name(key.resource): key for key in keys}
        self._paths = {name: path_of(key.resource) for name, key in self._own.items()}
        self._seen: dict[str, dict[tuple[str, str], tuple[str, CfnResource, GrantTarget]]] = {}
        for node, where, name in at_rest.seen:
            known = self._name(view.stack_of(node), parsed(name))
            self._seen.setdefault(view.name(node), {})[where.lower(), known] = where, node, at_rest.keys[name]
        self._targets: dict[str, tuple[str, GrantTarget | None]] = {
            view.name(item): (path_of(item), key)
            for item, key, service in at_rest.encrypted
            if isinstance(item, CfnResource) and service in RECEIVING and hasattr(key, "resource")
        }

    def found(self, folders: Iterable[Path]) -> Iterator[Difference]:
        """Yield what the templates in these folders have, and the checks did not see."""
        for stack, file in ((it, folder / it.template_file) for it in self._view.stacks for folder in folders):
            resources = json.loads(file.read_bytes()).get("Resources", {}) if file.is_file() else {}
            for logical_id, resource in resources.items():
                title, given = f"{path_of(stack)}#{logical_id}", resource.get("Properties", {})
                if title in self._own:
                    texts = self._of_key(title, resource["Type"], given)
                elif resource["Type"].startswith("AWS::") and not resource["Type"].startswith(_NOT_AT_REST):
                    texts = self._of_resource(stack, title, resource["Type"], given)
                elif resource["Type"] in _HOLDERS and "PermissionsBoundary" in given:
                    texts = self._of_boundary(stack, title, given["PermissionsBoundary"])
                else:
                    continue
                yield from (Difference(str(file), logical_id, *it) for it in texts)

    @cached_property
    def _changed(self) -> dict[str, dict[str, Any]]:
        """Path of each key whose policy is now another than the checks saw -> that policy."""
        settled: dict[str, dict[str, KeyPolicy]] = {}
        seen: dict[str, Any] = {}
        for key in self._own.values():
            path, written = path_of(key.resource), self._view.key_policies
            if path in written:
                settled.setdefault(path_of(stack_of(key)), {})[path] = written[path]
                seen[path] = self._view.properties(key.resource)["keyPolicy"]
        stacks = [(it, settled[path_of(it)]) for it in self._view.stacks if path_of(it) in settled]
        now = {path: it for stack, own in stacks for path, it in documents(own, stack.resolve).items()}
        return {path: {"KeyPolicy": it} for path, it in now.items() if it != seen[path]}

    def _name(self, stack: Stack, value: Any) -> str:
        name = self._references.name(stack, value)
        return self._paths.get(name.rpartition(":key/")[2], name)

    def _of_key(self, title: str, kind: str, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        key = self._own[title]
        expected = self._view.properties(key.resource)
        # A policy that the checks settled is written as they saw it, without a change made since.
        given = {**given, **self._changed.get(path_of(key.resource), {})}
        # What is fixed of a replica is its primary's.
        checked = _CHECKED if kind == "AWS::KMS::Key" else {"keyPolicy": "KeyPolicy"}
        changed = [name for member, name in checked.items() if given.get(name) != expected.get(member)]
        if changed:
            yield _OVERRIDDEN.format(key.node.path, " and ".join(changed)), "error"

    def _of_boundary(self, stack: Stack, title: str, boundary: Any) -> Iterator[tuple[str, str]]:
        # The CDK sets it by an override also: PermissionsBoundary.of(…).apply(…).
        named = self._references.name(stack, boundary)
        policy = next((it for it in self._view.every(iam.CfnManagedPolicy) if self._view.name(it) == named), None)
        if policy is not None:
            document = self._view.properties(policy).get("policyDocument")
            name = self._references.name(stack, {"Ref": title.partition("#")[2]})
            lacking = outside_boundary(name, document, identity_statements(self._view, self._references))
            if lacking:
                yield _OUTSIDE.format(title, ", ".join(lacking), path_of(policy)), "warning"

    def _of_resource(self, stack: Stack, title: str, kind: str, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        seen = self._seen.get(title, {})
        named = list(dict.fromkeys(self._at_rest.keys.in_template(stack, given, self._name)))
        found: set[tuple[str, str]] = set()
        for where, meant in named:
            here = {(where.lower(), self._name(stack, parsed(name))) for name in meant}
            found |= here
            if here.isdisjoint(seen):
                keys = [key for key in map(self._at_rest.keys.__getitem__, meant) if key.access is KeyAccess.NAMED]
                yield from (self._new_name(stack, title, kind, where, key) for key in keys)
        for (lower, name), (where, node, key) in seen.items():
            place = where.split(".")
            if (lower, name) not in found and at(given, place) != at(self._view.properties(node), place):
                yield _TAKEN_AWAY.format(title, where, key.node.path), "warning"
        for service, text in dict.fromkeys(destinations(class_of(kind), given)):
            by_name = text, self._at_rest.receiving(text)
            target, under = self._targets.get(self._references.name(stack, parsed(text)), by_name)
            known = (title, target) in self._delivered
            if under is not None and not known and not is_served(under, service, target):
                yield _DELIVERED.format(title, target, under.node.path), "warning"

    def _new_name(self, stack: Stack, title: str, kind: str, where: str, key: GrantTarget) -> tuple[str, str]:
        if hasattr(key, "resource"):
            return _NAMED.format(title, where, key.node.path), "error"
        told = self._owner_needs(stack, kind, where, key)
        return "\n".join([_NAMED_ELSEWHERE.format(title, where, key.node.path), *told]), "warning"

    @cached_property
    def _delivered(self) -> set[tuple[str, str]]:
        return {(self._view.name(node), target) for node, target in self._at_rest.delivered}

    @staticmethod
    def _owner_needs(stack: Stack, kind: str, where: str, key: Any) -> list[str]:
        """Return the statements, as text to paste, that a resource of this type needs in the policy of ``key``."""
        before = len(key.owner_statements)
        for service in services_of(class_of(kind), where):
            key.serve_resources_of(service, stack)
        return [json.dumps(literal(it, stack), indent=2) for it in key.owner_statements[before:]]
