"""Permissions on a key in identity policies: each must have its other half in the key policy, and the reverse."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Final

from aws_cdk import Annotations, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import IConstruct

from kms_patterns.keys.environment import Home, home_of, is_unresolved, stack_of
from kms_patterns.keys.grants.grantee import SERVICE_LINKED
from kms_patterns.keys.grants.target import KeyInApp
from kms_patterns.keys.synth.identity_statements import (
    ANY_KEY,
    UNATTACHED,
    IdentityStatement,
    attached_policies,
    choices,
    members_of_groups,
    statements_of,
)
from kms_patterns.keys.synth.template_view import References, TemplateView
from kms_patterns.policy.actions import CREATE_GRANT, CRYPTOGRAPHIC_OPERATIONS, meant
from kms_patterns.policy.conditions import PRINCIPAL_ARN, as_list
from kms_patterns.policy.coverage import Allowance, unmatched

_CALLS: Final = (
    "Call grant_encrypt, grant_decrypt, grant_generate_data_key or grant_operations of the key, which write both "
    "halves, instead"
)
_WITH_GRANTS: Final = (
    "Call grant_create_grant(role, operations=[…], via_service=…) of the key, and grant_operations for the rest; of a "
    "role that a construct of the AWS CDK makes, give the construct that has it"
)
_USES: Final = [action.lower() for action in CRYPTOGRAPHIC_OPERATIONS]
FOREIGN: Final = "; if a managed policy from outside of this app allows it, acknowledge this warning"
_WITHOUT_KMS: Final = (
    "policy/AWSXRayDaemonWriteAccess",
    "policy/service-role/AWSLambdaBasicExecutionRole",
    "policy/service-role/AWSLambdaVPCAccessExecutionRole",
    "policy/service-role/AmazonECSTaskExecutionRolePolicy",
)
"""AWS managed policies that constructs of the AWS CDK attach, and that allow nothing of KMS.

See https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
"""


class Callers:
    """Which names of roles, users and groups may mean one caller; what is not known may."""

    def __init__(self, view: TemplateView, references: References) -> None:
        self._references = references
        self._members = members_of_groups(view, references)
        self._groups = {references.identity(item) for item in view.every(iam.CfnGroup)} | set(self._members)
        own = {view.name(item) for item in view.every(iam.CfnManagedPolicy)}
        attached = attached_policies(view, references)
        unknown = [policy for policy in attached if policy not in own and not policy.endswith(_WITHOUT_KMS)]
        self.foreign = {holder for policy in unknown for holder in attached[policy]}
        """Roles, users and groups with a managed policy that is not of this app."""
        self.same = cache(self._same)
        """Whether two names may mean one caller: a group stands for its users."""

    def _same(self, one: str | None, other: str | None) -> bool:
        return one == other or self._may(str(one), str(other)) or self._may(str(other), str(one))

    def _may(self, one: str, other: str) -> bool:
        foreign = not self._references.is_own(other)
        if one == UNATTACHED or "*" in one or "?" in one:
            return True
        if one in self._groups or one.startswith("group/"):
            return other in self._members.get(one, ()) or (foreign and not other.startswith("role/"))
        return foreign and self._references.is_unknown(one)


def void_grants(
    key: KeyInApp,
    statements: Iterable[IdentityStatement],
    view: TemplateView,
    references: References,
    callers: Callers,
) -> Iterator[str]:
    """Yield one message per statement about ``key`` that lacks its other half; warn where that may be elsewhere.

    A statement with conditions of the template lacks it if none of its forms about the key has one.
    """
    of_alias = _aliases(key, statements, view, references), home_of(stack_of(key))
    in_identities = list(_identity_allowances(view.name(key.resource), *of_alias, statements))
    in_key_policy = list(key_allowances(view.properties(key.resource)["keyPolicy"], stack_of(key), references))
    about_key = ((number, replace(it, actions=meant(it.actions))) for number, it in in_identities if it.names_key)
    others = [it for _, it in in_key_policy]
    for identity, missing in _void(about_key, others, callers):
        yield (
            f"{key.node.path}: {identity.where} allows {references.label(str(identity.principal))} "
            f"{', '.join(missing)}, which the key policy does not: the call would end in AccessDeniedException. "
            f"{_WITH_GRANTS if CREATE_GRANT in missing else _CALLS}"
        )
    here = (
        (number, it)
        for number, it in in_key_policy
        if it.principal and it.where not in key.statements_for_elsewhere and not references.is_unknown(it.principal)
    )
    for allowance, missing in _void(here, [it for _, it in in_identities], callers):
        text = (
            f"{key.node.path}: the key policy statement {allowance.where} allows "
            f"{references.label(str(allowance.principal))} {', '.join(missing)}, which no policy of that role or "
            "user does. Call a grant_… method of the key, which writes both halves, instead of "
            "add_to_resource_policy (a bare ARN: import it with iam.Role.from_role_arn first); if its policy is "
            "written elsewhere, give the grant key_policy_only=True"
        )
        if allowance.principal in callers.foreign:
            Annotations.of(key).add_warning_v2(f"kms-patterns:UnknownPolicy:{allowance.where}", text + FOREIGN)
        else:
            yield text


def on_aliases(statements: Iterable[IdentityStatement], scope: IConstruct) -> Iterator[str]:
    """Yield one message per statement about the use of a key that names it by an alias, which no request matches.

    Warn at ``scope`` of one that also allows to manage the alias itself, which may be meant.

    See https://docs.aws.amazon.com/kms/latest/developerguide/cmks-in-iam-policies.html
    """
    for it in statements:
        patterns = [action for action in it.actions if action != "*"]
        used = [act for act in patterns if any(fnmatchcase(use, act.lower()) for use in _USES)]
        named = sorted(name for name in it.resources if name.startswith("arn:") and ":kms:" in name)
        others = ANY_KEY in it.resources or any("#" in name for name in it.resources)
        if used and named and not others and all(":alias/" in name for name in named):
            text = (
                f"{it.where} allows {', '.join(used)} on {', '.join(named)}: a policy does not resolve "
                "aliases, so no use of a key matches (AccessDeniedException). Call a grant_… method of the key, or of "
                "EncryptionKey.from_alias(…)"
            )
            if all(fnmatchcase("kms:updatealias", act.lower()) for act in used):
                rest = "; if it is meant for the alias alone, acknowledge this warning"
                Annotations.of(scope).add_warning_v2(f"kms-patterns:AliasAlone:{it.where}", text + rest)
            else:
                yield text


_Numbered = Iterator[tuple[object, Allowance]]
_PLACE: Final = re.compile(r":kms:([^:]*):([^:]*):[^:]*$")


def _void(asked: _Numbered, others: Iterable[Allowance], callers: Callers) -> Iterator[tuple[Allowance, list[str]]]:
    """Yield each statement of one side, and what no statement of the other side allows in any of its forms."""
    forms: dict[tuple[object, str | None], list[Allowance]] = {}
    for number, allowance in asked:
        forms.setdefault((number, allowance.principal), []).append(allowance)
    for same_statement in forms.values():
        lacking = [unmatched(form, others, callers.same) for form in same_statement]
        missing = [action for action in lacking[0] if all(action in more for more in lacking[1:])]
        if missing:
            yield same_statement[0], missing


def _aliases(
    key: KeyInApp, statements: Iterable[IdentityStatement], view: TemplateView, references: References
) -> set[str]:
    """Return the aliases of ``key``, if any statement is about the keys that carry one."""
    if not any(statement.aliases for statement in statements):
        return set()
    own = [(view.stack_of(it), view.properties(it)) for it in view.every(kms.CfnAlias)]
    name = view.name(key.resource)
    return {it["aliasName"] for stack, it in own if references.name(stack, it["targetKeyId"]) == name}


def _is_elsewhere(pattern: str, home: Home) -> bool:
    """Return whether a pattern of keys has another Region or account than ``home``."""
    places = _PLACE.search(pattern)
    return places is not None and not all(
        is_unresolved(have) or fnmatchcase(have, want)
        for have, want in zip((home.region, home.account), places.groups(), strict=True)
    )


def _identity_allowances(
    name: str, aliases: set[str], home: Home, statements: Iterable[IdentityStatement]
) -> _Numbered:
    for statement in (it for it in statements if it.resources & {name, ANY_KEY}):
        patterns = statement.resources - {ANY_KEY}
        # A key elsewhere carries aliases of its own.
        here = set() if patterns and all(_is_elsewhere(it, home) for it in patterns) else aliases
        names_key = name in statement.resources or any(isinstance(it, str) and it in here for it in statement.aliases)
        for principal in statement.principals:
            allowed = statement.actions, statement.conditions, statement.where
            yield statement.number, Allowance(principal, *allowed, names_key)


def key_allowances(document: dict[str, Any], stack: Stack, references: References) -> _Numbered:
    """Yield what each Allow statement of a key policy allows, with the position of the statement."""
    for position, written in enumerate(statements_of(document)):
        for statement in choices(written):
            if statement.get("Effect") == "Allow":
                where = statement.get("Sid", f"number {position + 1}")
                for principal in _principals(statement, stack, references):
                    actions = as_list(statement.get("Action", []))
                    yield position, Allowance(principal, actions, statement.get("Condition", {}), where)


def _principals(statement: dict[str, Any], stack: Stack, references: References) -> Iterator[str | None]:
    """Name whom a key policy statement is about; None where it leaves that to the IAM of the account."""
    conditions = statement.get("Condition", {})
    by_condition = [
        arn
        for operator in ("ArnEquals", "StringEquals", "ArnLike", "StringLike")
        for arn in as_list(conditions.get(operator, {}).get(PRINCIPAL_ARN, []))
    ]
    if by_condition:
        yield from (references.name(stack, arn) for arn in by_condition)
        return
    principal = statement.get("Principal", {})
    for arn in as_list(principal.get("AWS", []) if isinstance(principal, dict) else principal):
        # As the principal itself a service-linked role needs no other half, which is AWS's alone.
        if SERVICE_LINKED not in json.dumps(arn):
            name = references.name(stack, arn)
            yield None if name in {"*", "{AccountId}"} or name.endswith(":root") or name.isdigit() else name
