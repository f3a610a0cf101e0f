"""What identity policies of an app allow its roles, users and groups, whichever conditions of the template hold."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import count, product
from typing import Any, Final

from aws_cdk import CfnResource, Stack
from aws_cdk import aws_iam as iam

from kms_patterns.keys.environment import path_of
from kms_patterns.keys.synth.template_view import References, TemplateView
from kms_patterns.policy.conditions import as_list
from kms_patterns.policy.coverage import DEMANDING, is_about_kms

UNATTACHED: Final = "no role, user or group"
ANY_KEY: Final = "any key"
"""Stands for a resource that may be any key: a pattern, or what is known at deployment only."""
_KINDS: Final = ("role", "user", "group")
_POLICIES: Final = (
    iam.CfnPolicy,
    iam.CfnManagedPolicy,
    iam.CfnRolePolicy,
    iam.CfnUserPolicy,
    iam.CfnGroupPolicy,
)
_HOLDERS: Final = (iam.CfnRole, iam.CfnUser, iam.CfnGroup)
_NO_VALUE: Final = {"Ref": "AWS::NoValue"}


@dataclass(frozen=True)
class IdentityStatement:
    """One Allow statement of an identity policy, as one choice of the template's conditions shows it.

    Attributes:
        number: The same for all choices of one statement.
        principals: Names of the roles, users and groups whose policy it is part of.
        actions: Its actions, of those that were asked for.
        resources: Names of the resources that it mentions, patterns as written; :data:`ANY_KEY` for what may be any.
        conditions: Its conditions, resolved.
        where: Construct path of the policy.
    """

    number: int
    principals: tuple[str, ...]
    actions: tuple[str, ...]
    resources: frozenset[str]
    conditions: dict[str, dict[str, Any]]
    where: str

    @cached_property
    def aliases(self) -> list[Any]:
        """Aliases that it demands of the key."""
        demanded = [
            pair
            for operator, those in self.conditions.items()
            if operator.rpartition(":")[2] in DEMANDING
            for pair in those.items()
        ]
        return [one for name, value in demanded if name.lower() == "kms:resourcealiases" for one in as_list(value)]


def branches(value: Any) -> Iterator[Any]:
    """Yield the members of a list, of both branches where a condition of the template chooses; nothing of NoValue."""
    for member in as_list(value):
        if isinstance(member, list):
            yield from branches(member)
        elif isinstance(member, dict) and set(member) == {"Fn::If"}:
            yield from branches(member["Fn::If"][1:])
        elif member != _NO_VALUE:
            yield member


def statements_of(document: Any) -> Iterator[dict[str, Any]]:
    """Yield the statements of a policy document, of both branches where a condition of the template chooses."""
    for chosen in branches(document):
        # What is not one is AWS's to refuse.
        yield from branches(chosen.get("Statement", [])) if isinstance(chosen, dict) else ()


def choices(statement: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a statement says, once for each choice of the conditions of the template within it."""
    text = json.dumps(statement)
    if "AWS::NoValue" not in text and "Fn::If" not in text:
        return [dict(statement)]
    names = sorted(set(re.findall(r'"Fn::If": \["([^"]+)"', text)))
    return [
        _chosen(statement, dict(zip(names, holds, strict=True))) for holds in product((True, False), repeat=len(names))
    ]


def _chosen(value: Any, holds: Mapping[str, bool]) -> Any:
    if isinstance(value, dict) and set(value) == {"Fn::If"}:
        name, true, false = value["Fn::If"]
        return _chosen(true if holds[name] else false, holds)
    if isinstance(value, dict):
        chosen = {name: _chosen(member, holds) for name, member in value.items()}
        return {name: member for name, member in chosen.items() if member != _NO_VALUE}
    if isinstance(value, list):
        found: list[Any] = []
        for given in value:
            member = _chosen(given, holds)
            # A list that a branch brings into a list is part of it.
            found += member if isinstance(member, list) and isinstance(given, dict) else [member]
        return [member for member in found if member != _NO_VALUE]
    return value


def identity_statements(
    view: TemplateView, references: References, about: Callable[[str], bool] = is_about_kms
) -> Iterator[IdentityStatement]:
    """Yield the Allow statements about KMS, or about other actions, of all identity policies of the app."""
    numbers = count()
    for item, document, principals in _documents(view, references):
        for written in statements_of(document):
            number = next(numbers)
            for statement in choices(written):
                actions = _actions(statement, about)
                if statement.get("Effect") == "Allow" and actions:
                    yield IdentityStatement(
                        number,
                        tuple(principals) or (UNATTACHED,),
                        actions,
                        _mentioned(view.stack_of(item), statement, references),
                        statement.get("Condition", {}),
                        path_of(item),
                    )


def outside_boundary(name: str, boundary: Any, statements: Iterable[IdentityStatement]) -> list[str]:
    """Return the KMS actions that policies of a role or user allow, and its permissions boundary does not.

    Args:
        name: The role or user.
        boundary: The policy document of its permissions boundary.
        statements: Allow statements of the app about KMS.

    See https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
    """
    within = [it for it in statements_of(boundary) if it.get("Effect") == "Allow"]
    patterns = [act.lower() for it in within for act in _actions(it, lambda _: True)]
    acts = {act for it in statements if name in it.principals for act in it.actions if "*" not in act}
    return sorted(act for act in acts if not any(fnmatchcase(act.lower(), it) for it in patterns))


def _actions(statement: Mapping[str, Any], about: Callable[[str], bool]) -> tuple[str, ...]:
    """Return the actions that matter; ``*`` for a statement that allows all but some, and may allow these."""
    if "NotAction" in statement:
        denied = [str(act).lower() for act in as_list(statement["NotAction"])]
        return () if {"*", "kms:*"} & set(denied) or not about("*") else ("*",)
    return tuple(act for act in as_list(statement.get("Action", [])) if isinstance(act, str) and about(act))


def _mentioned(stack: Stack, statement: dict[str, Any], references: References) -> frozenset[str]:
    if "NotResource" in statement or "NotAction" in statement:
        return frozenset({ANY_KEY, "*"})
    resources = as_list(statement.get("Resource", []))
    named = {name for value in resources for name in references.mentioned(stack, value)}
    open_to_any = any(references.may_be_any(stack, value) for value in resources)
    return frozenset(named | ({ANY_KEY} if open_to_any else set()))


def _documents(view: TemplateView, references: References) -> Iterator[tuple[CfnResource, Any, list[str]]]:
    """Yield each identity policy with the resource that holds it, and the roles, users and groups that have it."""
    for item in view.every(*_HOLDERS):
        for policy in branches(view.properties(item).get("policies") or []):
            document = policy.get("policyDocument") or policy.get("PolicyDocument") or {}
            yield item, document, [references.identity(item)]
    attached = attached_policies(view, references)
    for item in view.every(*_POLICIES):
        properties, stack = view.properties(item), view.stack_of(item)
        names = [
            references.name(stack, name, f"{kind}/")
            for kind in _KINDS
            for name in branches([properties.get(f"{kind}s") or [], properties.get(f"{kind}Name") or []])
        ]
        yield item, properties.get("policyDocument") or {}, [*names, *attached.get(view.name(item), [])]


def attached_policies(view: TemplateView, references: References) -> dict[str, list[str]]:
    """Return managed policy -> the roles, users and groups that name it in their own properties."""
    attached: dict[str, list[str]] = {}
    for holder in view.every(*_HOLDERS):
        for policy in branches(view.properties(holder).get("managedPolicyArns") or []):
            name = references.name(view.stack_of(holder), policy)
            attached.setdefault(name, []).append(references.identity(holder))
    return attached


def members_of_groups(view: TemplateView, references: References) -> dict[str, list[str]]:
    """Return group -> the users that the app puts into it."""
    members: dict[str, list[str]] = {}
    for user in view.every(iam.CfnUser):
        for group in branches(view.properties(user).get("groups") or []):
            name = references.name(view.stack_of(user), group, "group/")
            members.setdefault(name, []).append(references.identity(user))
    for addition in view.every(iam.CfnUserToGroupAddition):
        properties, stack = view.properties(addition), view.stack_of(addition)
        for group in branches(properties["groupName"]):
            users = [references.name(stack, user, "user/") for user in branches(properties["users"])]
            members.setdefault(references.name(stack, group, "group/"), []).extend(users)
    return members
