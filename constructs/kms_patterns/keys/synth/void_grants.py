"""Permissions on a key in identity policies: each must have its other half in the key policy, and the reverse."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import Any, Final, cast

from aws_cdk import Annotations, CfnResource, Stack
from aws_cdk import aws_iam as iam
from aws_cdk.aws_sns import CfnTopic
from aws_cdk.aws_sqs import CfnQueue

from kms_patterns.keys.grants.target import GrantTarget, KeyInApp
from kms_patterns.keys.synth.template_view import References, TemplateView
from kms_patterns.policy.actions import CREATE_GRANT, DECRYPT, GENERATE_DATA_KEY
from kms_patterns.policy.conditions import PRINCIPAL_ARN
from kms_patterns.policy.coverage import Allowance, is_about_kms, unmatched

UNATTACHED: Final = "no role, user or group"
_CALLS: Final = (
    "Call grant_encrypt, grant_decrypt, grant_generate_data_key or grant_operations of the key, which write both "
    "halves, instead"
)
_WITH_GRANTS: Final = (
    "Call grant_create_grant(role, operations=[…], via_service=…) of the key, and grant_operations for the rest; of a "
    "role that a construct of the AWS CDK makes, give the construct that has it"
)
_KINDS: Final = ("role", "user", "group")
_POLICIES: Final = (
    iam.CfnPolicy,
    iam.CfnManagedPolicy,
    iam.CfnRolePolicy,
    iam.CfnUserPolicy,
    iam.CfnGroupPolicy,
)
_HOLDERS: Final = (iam.CfnRole, iam.CfnUser, iam.CfnGroup)
_Documents = Iterator[tuple[dict[str, Any], list[str]]]


@dataclass(frozen=True)
class IdentityStatement:
    """One Allow statement of an identity policy.

    Attributes:
        principals: Names of the roles, users and groups whose policy it is part of.
        actions: Its actions, of those that were asked for.
        resources: Names of the resources that it mentions; ``*`` for every resource.
        conditions: Its conditions, resolved.
        where: Construct path of the policy.
    """

    principals: tuple[str, ...]
    actions: tuple[str, ...]
    resources: frozenset[str]
    conditions: dict[str, dict[str, Any]]
    where: str


def identity_statements(
    view: TemplateView, references: References, about: Callable[[str], bool] = is_about_kms
) -> Iterator[IdentityStatement]:
    """Yield the Allow statements about KMS, or about other actions, of all identity policies of the app."""
    attached = _attached_managed_policies(view, references)
    for item in view.every(*_POLICIES, *_HOLDERS):
        for document, principals in _documents(item, view, references, attached):
            for statement in as_list(document.get("Statement", [])):
                actions = tuple(act for act in as_list(statement.get("Action", [])) if about(act))
                if statement.get("Effect") == "Allow" and actions:
                    yield IdentityStatement(
                        tuple(principals) or (UNATTACHED,),
                        actions,
                        _mentioned(item, statement, view, references),
                        statement.get("Condition", {}),
                        item.node.path,
                    )


def as_list(value: Any) -> list[Any]:
    """Return ``value`` as the list that a policy document may write without brackets."""
    return value if isinstance(value, list) else [value]


def _mentioned(
    item: CfnResource, statement: dict[str, Any], view: TemplateView, references: References
) -> frozenset[str]:
    resources, stack = as_list(statement.get("Resource", [])), view.stack_of(item)
    return frozenset(name for value in resources for name in references.mentioned(stack, value))


def _documents(
    item: CfnResource, view: TemplateView, references: References, attached: dict[str, list[str]]
) -> _Documents:
    properties, stack = view.properties(item), view.stack_of(item)
    if isinstance(item, _HOLDERS):
        for policy in properties.get("policies") or []:
            yield policy.get("policyDocument") or policy.get("PolicyDocument") or {}, [references.identity(item)]
        return
    names = [
        references.name(stack, name, f"{kind}/")
        for kind in _KINDS
        for name in [*(properties.get(f"{kind}s") or []), *as_list(properties.get(f"{kind}Name") or [])]
    ]
    yield properties.get("policyDocument") or {}, [*names, *attached.get(view.name(item), [])]


def _attached_managed_policies(view: TemplateView, references: References) -> dict[str, list[str]]:
    """Managed policies that a role, user or group names in its own properties."""
    attached: dict[str, list[str]] = {}
    for holder in view.every(*_HOLDERS):
        for policy in view.properties(holder).get("managedPolicyArns") or []:
            name = references.name(view.stack_of(holder), policy)
            attached.setdefault(name, []).append(references.identity(holder))
    return attached


def void_grants(
    key: KeyInApp, statements: Iterable[IdentityStatement], view: TemplateView, references: References
) -> Iterator[str]:
    """Yield one message per statement about ``key`` that lacks its other half."""
    in_identities = list(_identity_allowances(view.name(key.resource), statements))
    in_key_policy = list(_key_allowances(view.properties(key.resource)["keyPolicy"], key.stack, references))
    for identity in in_identities:
        missing = unmatched(identity, in_key_policy) if identity.names_key else []
        if missing:
            yield (
                f"{key.node.path}: {identity.where} allows {references.label(str(identity.principal))} "
                f"{', '.join(missing)}, which the key policy does not: the call would end in AccessDeniedException. "
                f"{_WITH_GRANTS if CREATE_GRANT in missing else _CALLS}"
            )
    for allowance in in_key_policy:
        here = allowance.principal and allowance.where not in key.statements_for_elsewhere
        missing = unmatched(allowance, in_identities) if here else []
        if missing:
            yield (
                f"{key.node.path}: the key policy statement {allowance.where} allows "
                f"{references.label(str(allowance.principal))} {', '.join(missing)}, which no policy of that role or "
                "user does. Call a grant_… method of the key, which writes both halves, instead of "
                "add_to_resource_policy (a bare ARN: import it with iam.Role.from_role_arn first); if its policy is "
                "written elsewhere, give the grant key_policy_only=True"
            )


def _identity_allowances(name: str, statements: Iterable[IdentityStatement]) -> Iterator[Allowance]:
    for statement in statements:
        if name in statement.resources or "*" in statement.resources:
            for principal in statement.principals:
                names_key = name in statement.resources
                yield Allowance(principal, statement.actions, statement.conditions, statement.where, names_key)


def _key_allowances(document: dict[str, Any], stack: Stack, references: References) -> Iterator[Allowance]:
    for position, statement in enumerate(as_list(document["Statement"])):
        if statement["Effect"] == "Allow":
            where = statement.get("Sid", f"number {position + 1}")
            for principal in _principals(statement, stack, references):
                actions = as_list(statement.get("Action", []))
                yield Allowance(principal, actions, statement.get("Condition", {}), where)


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
) -> Iterator[str]:
    """Yield one message per identity that may use an encrypted topic or queue, and not its key; warn where unknown.

    Constructs of the AWS CDK write such statements, for example for the dead-letter queue of a function.

    Args:
        under: Construct path of a topic or queue -> its key.
        statements: Allow statements about KMS.
        view: The app.
        references: Names of its roles.
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
            in_key_policy = [it for it in _key_allowances(document, key.stack, references) if _has(it.actions, needed)]
            elsewhere = {it.principal for it in in_key_policy if it.where in key.statements_for_elsewhere}
            granted = principal in {UNATTACHED, *elsewhere} or (own, principal, needed) in grants
            if granted or _may(known, principal, needed, {own, "*"}):
                continue
            text = (
                f"{key.node.path}: {asked.where} allows {references.label(principal)} {action} on {name}, "
                f"which is encrypted under this key, and no policy allows it {needed}: the call would end "
                f"in KMS.AccessDeniedException. Call grant_operations(role, {needed!r}, …, "
                f"via_service={service!r}) of the key, or the grant of the topic or queue"
            )
            if principal in unknown and any(it.principal in (None, principal) for it in in_key_policy):
                text += "; if a managed policy from outside of this app allows it, acknowledge this warning"
                Annotations.of(key).add_warning_v2(f"kms-patterns:UnknownPolicy:{principal}:{name}:{needed}", text)
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
    attached = _attached_managed_policies(view, references)
    return {holder for policy, holders in attached.items() if policy not in own for holder in holders}


def _has(patterns: Iterable[str], action: str) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)


def _may(statements: Iterable[IdentityStatement], principal: str, action: str, own: set[str]) -> bool:
    return any(principal in it.principals and it.resources & own and _has(it.actions, action) for it in statements)
