"""Finds the keys that a resource names: by ARN, id or alias, by a reference, or by a function of the template."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import Any, Final

from aws_cdk import CfnResource, Stack

from kms_patterns.keys.environment import arn_of, home_of, path_of, stack_of
from kms_patterns.keys.grants.target import GrantTarget
from kms_patterns.keys.synth.visited_resource import (
    VisitedResource,
    at,
    class_of_resource,
    leaves,
    names,
    parsed,
    resolved_by_path,
)

# What a property that names a key for encryption is called, here or above it, and what passes an ARN on as data.
_ENCRYPTION: Final = re.compile(
    r"kms|encrypt|sse|cmk|customerManagedKey|keyConfiguration|keyManagement|signKey", re.IGNORECASE
)
_DATA: Final = re.compile(
    r"environment(Variables)?|variables|tags|parameters|definition(String|Substitutions)?|\w*polic(y|ies)(Document)?",
    re.IGNORECASE,
)
_MEMBER: Final = re.compile(r'(\w{0,40}kms\w{0,40})\\*" ?: ?\\*"([^\\",}\s]+)', re.IGNORECASE)
"""A member of a JSON text that names a key, and its value."""
_WITH_KEYS_IN_DATA: Final = (
    "aws-cdk-lib.aws_opensearchserverless.CfnSecurityPolicy",
    # Of the AWS CDK's rotation of secrets; the other is its name as a plain resource.
    "aws-cdk-lib.aws_sam.CfnApplication",
    "aws-cdk-lib.aws_serverless.CfnApplication",
)
_ARN, _KEY, _ALIAS = ":kms:", ":key/", "aws-cdk-lib.aws_kms.CfnAlias"
_FUNCTIONS: Final = ('{"Ref"', '{"Fn::')
_LITERAL: Final = re.compile(r'(?:"Ref": "|"Fn::GetAtt": \["|\$\{)(\w+)')
"""Logical id of a resource, where the app itself writes a function of the template."""

Place = tuple[str, ...]
"""A property, as the names on the way to it."""


class KeyNames:
    """The keys of one app or stage, and all that may name them."""

    def __init__(self) -> None:
        self._keys: dict[str, GrantTarget] = {}
        self._texts: list[str] = []
        self._unasked: list[tuple[Stack, CfnResource, str]] = []
        self._tokens: dict[str, str] = {}
        # End of an ARN; account, Region, and id or alias; path of an alias; stack and logical id -> name of the key.
        self._others: dict[tuple[str, ...], str] = {}
        self._has_aliases = False

    def add(self, key: GrantTarget, name: str) -> None:
        """Know ``key`` under a name.

        Args:
            key: A key of this app, or of another owner.
            name: The construct path of its L1 construct, or the resolved ARN of a key of another owner.
        """
        self._keys[name] = key
        resource = getattr(key, "resource", None)
        if resource is None:
            self._texts.append(name)
            self._tokens.setdefault(arn_of(key), name)
            self._others |= {(name.rpartition(_ARN)[2],): name, (*_place(stack_of(key)), str(key.key_id)): name}
            return
        self._unasked.append((stack_of(key), resource, name))
        # The ARN as nearly all resources name it; any other reference is found by the logical id.
        self._tokens[arn_of(key)] = name

    def __getitem__(self, name: str) -> GrantTarget:
        """Return the key of this name."""
        return self._keys[name]

    def of_arn(self, given: str, resolved: str) -> GrantTarget | None:
        """Return the key with an ARN, as the app gives it and resolved by path."""
        return self._keys.get(self._tokens.get(given, resolved))

    def named(self, visited: VisitedResource) -> Iterator[tuple[Place, str]]:
        """Yield where properties name a key, and the name of the key."""
        # Each request of the CDK's process counts, and most resources have no token or one of the key's own.
        for where, value in leaves(visited.given):
            if visited.kind not in _WITH_KEYS_IN_DATA and any(_DATA.fullmatch(name) for name in where):
                continue
            if isinstance(value, str) and value in self._tokens:
                yield where, self._tokens[value]
            elif isinstance(value, str) and "{Token[" not in value:
                if "alias/" in value or encrypts(where):
                    yield from ((where, name) for name in self._behind(visited.stack, value))
            else:
                text = json.dumps(at(visited.resolved, where), sort_keys=True)
                if encrypts(where) or any(own in text for own in self._own_texts()):
                    by_path = resolved_by_path(value, visited.stack)
                    found = [(_property(below), part) for below, part in names(by_path, where) if below]
                    if isinstance(by_path, str):
                        found += [((*where, member), part) for member, part in _MEMBER.findall(by_path)]
                    for place, part in found:
                        yield from ((place, name) for name in self._behind(visited.stack, part))

    def in_template(
        self, stack: Stack, properties: Any, name_of: Callable[[Stack, Any], str]
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield where the template of a resource names a key for encryption, and the names of the keys it may mean.

        An alias names a key of this app, and also an import of it.

        Args:
            stack: The stack of the resource.
            properties: Its properties in the template.
            name_of: Gives what a part of the template refers to, as :meth:`add` has the keys.
        """
        for where, value in _values(properties):
            if encrypts(where) and not any(_DATA.fullmatch(name) for name in where):
                texts = [(text, name_of(stack, parsed(text))) for _, text in names(value)]
                found = (
                    name for text, it in texts for name in ([it] if it in self._keys else self._behind(stack, text))
                )
                if meant := tuple(dict.fromkeys(found)):
                    yield ".".join(where), meant

    def _behind(self, stack: Stack, text: str) -> Iterator[str]:
        named = text.rpartition(_KEY)[2]
        if named not in self._keys and "/" in named:
            self._note_aliases(stack)
        # An ARN may end in a reference to an alias, which resolves to its construct path.
        end = text.rpartition(":")[2]
        places: list[tuple[str, ...]] = [(named,), (text.rpartition(_ARN)[2],), (end,), (*_place(stack), end)]
        if text.startswith(_FUNCTIONS) and self._own_texts():
            places = [(path_of(stack), found) for found in _LITERAL.findall(text)]
        yield from (name for name in (text, named, *map(self._others.get, places)) if name in self._keys)

    def _note_aliases(self, stack: Stack) -> None:
        if self._has_aliases:
            return
        self._has_aliases = True
        for alias in stack.node.root.node.find_all():
            if isinstance(alias, CfnResource) and class_of_resource(alias) == _ALIAS:
                home, given = alias.stack, alias._cfn_properties  # noqa: SLF001 -- a plain resource has no other way
                title, target = resolved_by_path([at(given, ["aliasName"]), at(given, ["targetKeyId"])], home)
                for name in self._behind(home, str(target)):
                    self._others |= {(path_of(alias),): name, (*_place(home), str(title)): name}

    def _own_texts(self) -> Sequence[str]:
        # Asked for when the first resource needs them: most apps have none that does.
        for stack in dict.fromkeys(stack for stack, *_ in self._unasked):
            own = [(resource, name) for at, resource, name in self._unasked if at is stack]
            ids = stack.resolve([resource.logical_id for resource, _ in own])
            self._texts += ids
            self._others |= {(path_of(stack), it): name for it, (_, name) in zip(ids, own, strict=True)}
        self._unasked.clear()
        return self._texts


def _values(part: Any, where: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield the values in the properties of a template, functions whole but for both branches of Fn::If, and where."""
    if isinstance(part, dict) and "Fn::If" in part:
        yield from _values(part["Fn::If"][1:], where)
    elif isinstance(part, dict) and not any(name == "Ref" or name.startswith("Fn::") for name in part):
        for name, member in part.items():
            yield from _values(member, (*where, name))
    elif isinstance(part, list):
        for member in part:
            yield from _values(member, where)
    else:
        yield where, part


def encrypts(where: Place) -> bool:
    """Return whether a property at ``where`` names a key for encryption, if it names one."""
    return any(_ENCRYPTION.search(name) for name in where)


def _property(where: Place) -> Place:
    # Functions of the template may make the value of a key.
    return tuple(takewhile(lambda name: not name.startswith("Fn::"), where))


def _place(stack: Stack) -> tuple[str, str]:
    return home_of(stack).account, home_of(stack).region
