"""Finds roles that the key policy refers to and that, by an inline policy, refer back to the key."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Final

from aws_cdk import CfnResource
from aws_cdk import aws_iam as iam

from kms_patterns.keys.grants.target import KeyInApp
from kms_patterns.keys.synth.template_view import TemplateView

_REFERENCE: Final = re.compile(r'"(?:Ref": "|Fn::GetAtt": \[")([A-Za-z0-9]+)"')


def circular_roles(keys: Iterable[KeyInApp], view: TemplateView) -> Iterator[str]:
    """Yield one message per role whose own properties lead to a key that names it, or to something encrypted under it.

    CloudFormation would refuse the stack ("Circular dependency between resources"): the key policy names the role,
    and the role, which holds inline policies and managed policies as properties, names the key. A statement that is
    added to the role afterwards is a resource of its own, and a role with a fixed name is named without a reference:
    neither is a cycle.
    """
    holders = {view.name(item): item for item in view.every(iam.CfnRole, iam.CfnUser) if _holds_policies(view, item)}
    if not holders:
        return
    resources = {view.name(item): item for item in view.every(CfnResource)}
    for key in keys:
        for name in _references(view, key.resource):
            if name in holders and _reaches(view, resources, name, view.name(key.resource)):
                yield _message(key, holders[name])


def _message(key: KeyInApp, role: CfnResource) -> str:
    return (
        f"{key.node.path}: {role.node.path.removesuffix('/Resource')} has an inline or managed policy that names the "
        'key or a resource encrypted under it, while the key policy names the role ("Circular dependency between '
        'resources"): give the role a role_name, or add the statement with role.add_to_policy(…) instead of '
        "inline_policies= or managed_policies="
    )


def _holds_policies(view: TemplateView, item: CfnResource) -> bool:
    properties = view.properties(item)
    return bool(_REFERENCE.search(json.dumps([properties.get("policies"), properties.get("managedPolicyArns")])))


def _references(view: TemplateView, resource: CfnResource) -> list[str]:
    home = view.stack_path(view.stack_of(resource))
    return [f"{home}#{logical_id}" for logical_id in _REFERENCE.findall(json.dumps(view.properties(resource)))]


def _reaches(view: TemplateView, resources: dict[str, CfnResource], start: str, goal: str) -> bool:
    seen, left = {start}, [start]
    while left:
        resource = resources.get(left.pop())
        found = _references(view, resource) if resource else []
        if goal in found:
            return True
        left += [name for name in found if name not in seen]
        seen.update(found)
    return False
