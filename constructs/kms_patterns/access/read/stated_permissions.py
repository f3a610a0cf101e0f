"""Lambda permissions, and what macros and custom resources may do, as the statements they amount to."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION, Stack
from kms_patterns.access.read.identifiers import CUSTOM, may_be_equal
from kms_patterns.access.read.not_read import CALLS, calls_in, transforms_of
from kms_patterns.access.read.sdk_calls import SERVICE, SdkCall, sdk_calls
from kms_patterns.access.read.template import Template
from kms_patterns.access.templates.template_text import text
from kms_patterns.access.unknowns.symbols import (
    GUARD,
    TRUE,
    Proposition,
    could_be,
    globbed,
    is_symbol,
    is_symbolic,
    shown,
)

_CONDITIONS = {
    "SourceArn": ("ArnLike", "aws:SourceArn"),
    "SourceAccount": ("StringEquals", "aws:SourceAccount"),
    "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
    "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
    "InvokedViaFunctionUrl": ("Bool", "lambda:InvokedViaFunctionUrl"),
    "EventSourceToken": ("StringEquals", "lambda:EventSourceToken"),
}

_ARN = re.compile(
    r"(?:arn:[^:]+:lambda:)?(?:(?P<region>[a-z]+(?:-[a-z]+)+-\d|[^:]*(?=:[^:]*:function:)):)?"
    r"(?:(?P<account>\d{12}|[^:]*(?=:function:)):)?(?:function:)?(?P<name>[^:]+)(?::(?P<qualifier>.+))?"
)


def names_function(named: str, arn: str, own: tuple[str, str]) -> Sequence[Proposition] | None:
    """Return under which propositions ``named`` is the function with ``arn``; None if it is another one.

    A permission names its function by name, ARN or partial ARN, each with or without a version or alias; see
    https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html.

    Args:
        named: The permission's ``FunctionName``.
        arn: The function's ARN.
        own: Region and account of the permission, which are the function's where it does not name them.
    """
    match = _ARN.fullmatch(named)
    *_, region, account, _, name = arn.split(":", 6)
    given = match["name"] if match else named.partition(":")[0]
    place = ((match and match["region"]) or own[0], (match and match["account"]) or own[1])
    qualifier = match and match["qualifier"]
    of: Sequence[Proposition] = [(f"version or alias {shown(qualifier)}", TRUE)] if qualifier else ()
    if (*place, given) == (region, account, name):
        return of
    any_name = could_be(name) if could_be(given) == given else name
    known = not is_symbolic("".join((*place, given, name))) and not _UNKNOWN & {*place, region, account}
    may = (not known or any_name != name) and may_be_equal(globbed(given), globbed(any_name))
    may = may and _may_be_same(place[0], region) and _may_be_same(place[1], account)
    return [*of, (f"{shown(named)} is the function {shown(name)}", TRUE)] if may else None


_UNKNOWN = {UNKNOWN_ACCOUNT, UNKNOWN_REGION}


def _may_be_same(one: str, other: str) -> bool:
    return one == other or is_symbolic(one) or bool(_UNKNOWN & {one, other})


def permission_statement(permission: Mapping[str, Any], given: Sequence[Proposition] = ()) -> dict[str, Any]:
    """Return the policy statement that Lambda makes of a permission.

    Args:
        permission: Resolved properties of an ``AWS::Lambda::Permission``.
        given: Propositions under which it exists.
    """
    conditions: dict[str, dict[str, str]] = {}
    for name, (operator, key) in _CONDITIONS.items():
        if permission.get(name) is not None:
            conditions.setdefault(operator, {})[key] = text(permission[name])
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": _principal(text(permission.get("Principal", "*"))),
        "Action": text(permission.get("Action", "lambda:*")),
        "Resource": "*",
    }
    if conditions:
        statement["Condition"] = conditions
    return statement | ({GUARD: list(given)} if given else {})


def _principal(value: str) -> str | dict[str, str]:
    if value == "*" or is_symbol(value):
        return value
    return {"Service": value} if SERVICE.fullmatch(value) else {"AWS": value}


_FALSE = "false"
_ADDING = frozenset({"addPermission", "createGrant"})
"""Calls that add to a resource's policy; the others replace it, Denies included."""
_PRINCIPALS = ("AWS::IAM::Role", "AWS::IAM::User")
_TYPES: Mapping[str, tuple[str, ...]] = {
    "boundary": _PRINCIPALS,
    "bucket": ("AWS::S3::Bucket",),
    "function": ("AWS::Lambda::Function",),
    "group": ("AWS::IAM::Group",),
    "key": ("AWS::KMS::Key", "AWS::KMS::ReplicaKey"),
    "policy": ("AWS::IAM::ManagedPolicy",),
    "role": ("AWS::IAM::Role",),
    "role of": ("AWS::Lambda::Function",),
    "set": ("AWS::SSO::PermissionSet",),
    "tags": _PRINCIPALS,
    "trust": ("AWS::IAM::Role",),
    "user": ("AWS::IAM::User",),
}
_GIVEN_FROM_OUTSIDE = frozenset({"bucket", "function", "group", "role", "user"})
"""What another stack can give a policy to, if it is told the name."""
_WORD = re.compile(r"[\w\ue000-\uf8ff-]+")


def permission_calls(template: Template, stack: Stack, logical_id: str) -> list[SdkCall] | None:
    """Return what a custom resource adds to function policies; None if that is not known."""
    made = sdk_calls(template, stack, logical_id)
    added = [call for call in made or () if (call.service, call.action) == ("lambda", "addpermission")]
    return None if made is None or not all("FunctionName" in call.parameters for call in added) else added


class Additions:
    """What macros and calls of custom resources may make of a policy at deployment: anything."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._names: dict[str, set[str]] = {}
        self._calls: list[tuple[str, str, str]] = []
        self._told: dict[str, set[str]] = {}
        for stack, logical_id, properties in template.unread():
            told = re.sub(r"\\.", " ", json.dumps(properties, ensure_ascii=False))
            for word in {*_WORD.findall(told)}:
                self._told.setdefault(word, set()).add(template.where(stack, logical_id))
        for stack, logical_id, _ in template.of_kind(CUSTOM):
            where, given = template.where(stack, logical_id), stack.resources[logical_id].get("Properties")
            said = [given, *(way for _, way in template.ways(stack, given, where))]
            said += [stack.template["Mappings"]] if "Fn::FindInMap" in json.dumps(given) else []
            for call in calls_in(said):
                if call != "addPermission" or permission_calls(template, stack, logical_id) is None:
                    template.unresolved(
                        where, f"call of {call}", "what a custom resource does at deployment is not seen"
                    )
                    self._calls.append((call, where, json.dumps(said, ensure_ascii=False)))

    def to(self, stack: Stack, logical_id: str, *kinds: str) -> list[Proposition]:
        """Return propositions under which the policies of a resource allow anything instead of what they say.

        Args:
            stack: The stack that defines the resource.
            logical_id: The resource.
            kinds: What of it is asked about: values of ``not_read.CALLS``.
        """
        found = [f"transform {name}" for name in transforms_of(stack.template, stack.resources[logical_id])]
        for call, where, text_ in self._calls:
            kind = CALLS[call]
            if kind in kinds and self._is_about(stack, logical_id, kind, text_):
                found.append(f"call of {call} by {where}")
        if not {*kinds}.isdisjoint(_GIVEN_FROM_OUTSIDE):
            words = _WORD.findall(self._template.name(stack, logical_id))
            told = [self._told.get(word, set()) for word in words] or [*self._told.values()]
            found += [f"what {where} makes" for where in sorted(set.intersection(*told) if told else ())]
        return [(f"{what} allows it", TRUE) for what in found]

    def _is_about(self, stack: Stack, logical_id: str, kind: str, text_: str) -> bool:
        """Return whether a call names a resource, or none of the app's that are of its kind."""
        own = self._template.arn(stack, logical_id), self._template.name(stack, logical_id)
        if kind not in self._names:
            known = self._template.of_type(*_TYPES[kind])
            self._names[kind] = {self._template.name(one, name) for one, name, _ in known}
        return (
            is_symbolic(text_)
            or any(name in text_ for name in own)
            or not any(name in text_ for name in self._names[kind])
        )


def without_denies(document: Mapping[str, Any], given: Sequence[Proposition]) -> dict[str, Any]:
    """Return a document whose Denies do not apply under any of the propositions: they may be taken away."""
    gone = [(name, _FALSE) for name, _ in given]
    statements = [
        {**item, GUARD: [*item.get(GUARD, ()), *gone]} if gone and item.get("Effect") != "Allow" else item
        for item in document["Statement"]
    ]
    return {**document, "Statement": statements}


def with_additions(document: dict[str, Any], added: Sequence[Proposition], *, resource: bool) -> dict[str, Any]:
    """Return a document that may be replaced by one that allows anything, under any of the propositions.

    Args:
        document: What the template says.
        added: See ``Additions.to``.
        resource: Whether it is the policy of a resource.
    """
    replaced = [given for given in added if not any(f"call of {call} " in given[0] for call in _ADDING)]
    kept = without_denies(document, replaced)["Statement"]
    everyone = {"Principal": "*"} if resource else {}
    anything = [{"Effect": "Allow", **everyone, "Action": "*", "Resource": "*", GUARD: [given]} for given in added]
    return {**document, "Statement": [*kept, *anything]}
