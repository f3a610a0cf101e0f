"""Permissions on a key in identity policies: each must have its other half in the key policy, and the reverse."""

import json
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import product
from typing import Any, Final, cast

from aws_cdk import Annotations, CfnResource, Stack
from aws_cdk import aws_iam as iam
from aws_cdk.aws_sns import CfnTopic
from aws_cdk.aws_sqs import CfnQueue

from kms_patterns.keys.environment import stack_of
from kms_patterns.keys.grants.target import GrantTarget, KeyInApp
from kms_patterns.keys.synth.identity_statements import (
    ANY_KEY,
    UNATTACHED,
    IdentityStatement,
    as_list,
    attached_policies,
    choices,
    identity_statements,
    members_of_groups,
    statements_of,
)
from kms_patterns.keys.synth.template_view import References, TemplateView
from kms_patterns.policy.actions import CREATE_GRANT, DECRYPT, GENERATE_DATA_KEY
from kms_patterns.policy.conditions import PRINCIPAL_ARN
from kms_patterns.policy.coverage import Allowance, unmatched

_CALLS: Final = (
    "Call grant_encrypt, grant_decrypt, grant_generate_data_key or grant_operations of the key, which write both "
    "halves, instead"
)
_WITH_GRANTS: Final = (
    "Call grant_create_grant(role, operations=[…], via_service=…) of the key, and grant_operations for the rest; of a "
    "role that a construct of the AWS CDK makes, give the construct that has it"
)
_FOREIGN: Final = "; if a managed policy from outside of this app allows it, acknowledge this warning"
_WITHOUT_KMS: Final = (
    "policy/AWSXRayDaemonWriteAccess",
    "policy/service-role/AWSLambdaBasicExecutionRole",
    "policy/service-role/AWSLambdaVPCAccessExecutionRole",
    "policy/service-role/AmazonECSTaskExecutionRolePolicy",
)
"""AWS managed policies that constructs of the AWS CDK attach, and that allow nothing of KMS.

See https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
"""
_SERVICE_LINKED: Final = ":role/aws-service-role/"


class Callers:
    """Which names of roles, users and groups may mean one caller; what is not known may."""

    def __init__(self, view: TemplateView, references: References) -> None:
        self._references = references
        self._members = members_of_groups(view, references)
        self._groups = {references.identity(item) for item in view.every(iam.CfnGroup)} | set(self._members)

    def same(self, one: str | None, other: str | None) -> bool:
        """Return whether two names may mean one caller: a group stands for its users."""
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
    in_identities = list(_identity_allowances(view.name(key.resource), statements))
    in_key_policy = list(_key_allowances(view.properties(key.resource)["keyPolicy"], stack_of(key), references))
    about_key = ((number, it) for number, it in in_identities if it.names_key)
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
    foreign = _with_unknown_policies(view, references)
    for allowance, missing in _void(here, [it for _, it in in_identities], callers):
        text = (
            f"{key.node.path}: the key policy statement {allowance.where} allows "
            f"{references.label(str(allowance.principal))} {', '.join(missing)}, which no policy of that role or "
            "user does. Call a grant_… method of the key, which writes both halves, instead of "
            "add_to_resource_policy (a bare ARN: import it with iam.Role.from_role_arn first); if its policy is "
            "written elsewhere, give the grant key_policy_only=True"
        )
        if allowance.principal in foreign:
            Annotations.of(key).add_warning_v2(f"kms-patterns:UnknownPolicy:{allowance.where}", text + _FOREIGN)
        else:
            yield text


_Numbered = Iterator[tuple[object, Allowance]]


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


def _identity_allowances(name: str, statements: Iterable[IdentityStatement]) -> _Numbered:
    for statement in statements:
        if name in statement.resources or ANY_KEY in statement.resources:
            for principal in statement.principals:
                names_key = name in statement.resources
                yield (
                    statement.number,
                    Allowance(principal, statement.actions, statement.conditions, statement.where, names_key),
                )


def _key_allowances(document: dict[str, Any], stack: Stack, references: References) -> _Numbered:
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
        if _SERVICE_LINKED not in json.dumps(arn):
            name = references.name(stack, arn)
            yield None if name in {"*", "{AccountId}"} or name.endswith(":root") or name.isdigit() else name


_MESSAGES: Final[Mapping[str, tuple[str, str]]] = {
    "sns:publish": (GENERATE_DATA_KEY, "sns"),
    "sqs:receivemessage": (DECRYPT, "sqs"),
    "sqs:sendmessage": (GENERATE_DATA_KEY, "sqs"),
}
"""Action on a topic or queue -> what it needs of the key, and through which service."""


def messages_without_key(
    under: Mapping[str, GrantTarget],
    statements: Iterable[IdentityStatement],
    view: TemplateView,
    references: References,
    callers: Callers,
) -> Iterator[str]:
    """Yield one message per identity that may use an encrypted topic or queue, and not its key; warn where unknown.

    Constructs of the AWS CDK write such statements, for example for the dead-letter queue of a function.

    Args:
        under: Construct path of a topic or queue -> its key.
        statements: Allow statements about KMS.
        view: The app.
        references: Names of its roles.
        callers: Which of these names may mean one caller.
    """
    targets = {
        view.name(item): cast("KeyInApp", under[item.node.path])
        for item in view.every(CfnTopic, CfnQueue)
        if hasattr(under.get(item.node.path), "resource")
    }
    known = list(statements)
    grants = _kms_grants(view, references) if targets else set()
    unknown = _with_unknown_policies(view, references) if targets else set()
    for asked in identity_statements(view, references, lambda act: act.lower() in _MESSAGES) if targets else ():
        for name, action, principal in product(asked.resources & targets.keys(), asked.actions, asked.principals):
            key, (needed, service) = targets[name], _MESSAGES[action.lower()]
            own = view.name(key.resource)
            document = view.properties(key.resource)["keyPolicy"]
            allowances = (it for _, it in _key_allowances(document, key.stack, references))
            in_key_policy = [it for it in allowances if _has(it.actions, needed)]
            elsewhere = {it.principal for it in in_key_policy if it.where in key.statements_for_elsewhere}
            granted = principal == UNATTACHED or any(callers.same(principal, it) for it in elsewhere)
            if granted or (own, principal, needed) in grants or _may(known, principal, needed, {own, ANY_KEY}, callers):
                continue
            text = (
                f"{key.node.path}: {asked.where} allows {references.label(principal)} {action} on {name}, "
                f"which is encrypted under this key, and no policy allows it {needed}: the call would end "
                f"in KMS.AccessDeniedException. Call grant_operations(role, {needed!r}, …, "
                f"via_service={service!r}) of the key, or the grant of the topic or queue"
            )
            if principal in unknown and any(it.principal in (None, principal) for it in in_key_policy):
                warning = f"kms-patterns:UnknownPolicy:{principal}:{name}:{needed}"
                Annotations.of(key).add_warning_v2(warning, text + _FOREIGN)
            else:
                yield text


def _kms_grants(view: TemplateView, references: References) -> set[tuple[str, str, str]]:
    """Return key, grantee and action of what the app's KeyGrants allow."""
    found = [item for item in view.every(CfnResource) if item.cfn_resource_type == "Custom::KmsGrant"]
    return {
        (references.name(stack, grant["KeyId"]), references.name(stack, grant["GranteePrincipal"]), f"kms:{operation}")
        for stack, grant in ((view.stack_of(item), view.properties(item)["Grant"]) for item in found)
        if "GranteePrincipal" in grant
        for operation in grant["Operations"]
    }


def _with_unknown_policies(view: TemplateView, references: References) -> set[str]:
    """Return the roles, users and groups with a managed policy that is not of this app."""
    own = {view.name(item) for item in view.every(iam.CfnManagedPolicy)}
    attached = attached_policies(view, references)
    unknown = [policy for policy in attached if policy not in own and not policy.endswith(_WITHOUT_KMS)]
    return {holder for policy in unknown for holder in attached[policy]}


def _has(patterns: Iterable[object], action: str) -> bool:
    return any(not isinstance(it, str) or fnmatchcase(action.lower(), it.lower()) for it in patterns)


def _may(statements: Iterable[IdentityStatement], principal: str, action: str, own: set[str], callers: Callers) -> bool:
    return any(
        it.resources & own and _has(it.actions, action) and any(callers.same(principal, one) for one in it.principals)
        for it in statements
    )
