"""Finds every statement about KMS in the policies of roles, users and groups of an app."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from aws_cdk import CfnResource
from aws_cdk import aws_iam as iam

from kms_patterns.keys.synth.references import References
from kms_patterns.keys.synth.template_view import TemplateView
from kms_patterns.policy.coverage import is_about_kms

UNATTACHED: Final = "no role, user or group"
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
    """One Allow statement about KMS.

    Attributes:
        principals: Names of the roles, users and groups whose policy it is part of.
        actions: Its actions about KMS.
        resources: Names of the resources that it mentions; ``*`` for every resource.
        conditions: Its conditions, resolved.
        where: Construct path of the policy.
    """

    principals: tuple[str, ...]
    actions: tuple[str, ...]
    resources: frozenset[str]
    conditions: dict[str, dict[str, Any]]
    where: str


def identity_statements(view: TemplateView, references: References) -> Iterator[IdentityStatement]:
    """Yield the Allow statements about KMS of all identity policies of the app."""
    attached = _attached_managed_policies(view, references)
    for item in view.every(*_POLICIES, *_HOLDERS):
        for document, principals in _documents(item, view, references, attached):
            for statement in as_list(document.get("Statement", [])):
                actions = tuple(act for act in as_list(statement.get("Action", [])) if is_about_kms(act))
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
