"""Roles and users of an assembly with all policies that apply to them: inline, attached, of groups, boundaries."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from kms_patterns.access.model import Policy, Principal, PrincipalKind
from kms_patterns.access.read.assembly import Stack
from kms_patterns.access.read.managed_policies import AWS_MANAGED
from kms_patterns.access.read.template import Template

_ATTACHABLE = {"AWS::IAM::Policy": "PolicyDocument", "AWS::IAM::ManagedPolicy": "PolicyDocument"}
_SINGLE = {
    "AWS::IAM::RolePolicy": ("role", "RoleName"),
    "AWS::IAM::UserPolicy": ("user", "UserName"),
    "AWS::IAM::GroupPolicy": ("group", "GroupName"),
}


class Identities:
    """Collects the identity policies of an assembly and gives them to their principals."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._managed: dict[str, Policy] = {}
        self._attached: dict[tuple[str, str, str], list[Policy]] = defaultdict(list)
        self._groups: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._known_groups: set[str] = set()
        self._collect()

    def principals(self) -> Iterator[Principal]:
        """Yield every role and user, and roles and users outside the assembly to which it attaches policies."""
        known = set()
        for stack, logical_id, properties in self._template.of_type("AWS::IAM::Role", "AWS::IAM::User"):
            kind = "role" if stack.resources[logical_id]["Type"] == "AWS::IAM::Role" else "user"
            name = self._template.name(stack, logical_id)
            known.add((kind, stack.account, name))
            yield self._defined(stack, logical_id, kind, name, properties)
        for kind, account, name in sorted(set(self._attached) - known):
            if kind != "group":
                yield self._foreign(kind, account, name)
            elif name not in self._known_groups:
                self._unresolved(f"group {name}", "its users", "it is not defined in the assembly")

    def _collect(self) -> None:
        for stack, logical_id, properties in self._template.of_type("AWS::IAM::ManagedPolicy"):
            policy = self._policy(stack, logical_id, properties.get("PolicyDocument"))
            self._managed[self._template.arn(stack, logical_id)] = policy
        for stack, logical_id, properties in self._template.of_type(*_ATTACHABLE):
            policy = self._policy(stack, logical_id, properties.get("PolicyDocument"))
            for member, kind in (("Roles", "role"), ("Users", "user"), ("Groups", "group")):
                for name in properties.get(member, ()):
                    self._attached[kind, stack.account, name].append(policy)
        for stack, logical_id, properties in self._template.of_type(*_SINGLE):
            kind, member = _SINGLE[stack.resources[logical_id]["Type"]]
            policy = self._policy(stack, logical_id, properties.get("PolicyDocument"))
            self._attached[kind, stack.account, properties[member]].append(policy)
        for stack, logical_id, properties in self._template.of_type("AWS::IAM::Group"):
            name = self._template.name(stack, logical_id)
            self._known_groups.add(name)
            self._attached["group", stack.account, name].extend(self._own(stack, logical_id, properties))
        for stack, _, properties in self._template.of_type("AWS::IAM::UserToGroupAddition"):
            for user in properties["Users"]:
                self._groups[stack.account, user].append(properties["GroupName"])

    def _defined(self, stack: Stack, logical_id: str, kind: str, name: str, properties: Mapping[str, Any]) -> Principal:
        where, arn = self._template.where(stack, logical_id), self._template.arn(stack, logical_id)
        groups = [*properties.get("Groups", ()), *self._groups[stack.account, name]] if kind == "user" else []
        policies = [*self._own(stack, logical_id, properties), *self._attached[kind, stack.account, name]]
        policies += [policy for group in groups for policy in self._attached.get(("group", stack.account, group), ())]
        for group in sorted(set(groups) - self._known_groups):
            self._unresolved(where, f"its group {group}", "the group is not defined in the assembly")
        boundary = properties.get("PermissionsBoundary")
        attributes = {"aws:PrincipalType": "User", "aws:username": name} if kind == "user" else {}
        return Principal(
            id=where,
            kind=PrincipalKind(kind),
            label=f"{kind} {where}",
            arn=arn,
            stack=stack.id,
            identity=policies,
            boundaries=None if boundary is None else self._by_arn(where, boundary),
            attributes={"aws:PrincipalType": "AssumedRole"} | attributes,
        )

    def _foreign(self, kind: str, account: str, name: str) -> Principal:
        arn = f"arn:aws:iam::{account}:{kind}/{name}"
        self._unresolved(f"{kind} {name}", "its other policies", "it is not defined in the assembly")
        return Principal(
            id=f"{kind}/{name}",
            kind=PrincipalKind(kind),
            label=f"{kind} {name} (imported: only the policies that this assembly attaches)",
            arn=arn,
            identity=self._attached[kind, account, name],
        )

    def _own(self, stack: Stack, logical_id: str, properties: Mapping[str, Any]) -> list[Policy]:
        where = self._template.where(stack, logical_id)
        inline = [
            self._policy(stack, logical_id, policy.get("PolicyDocument"), f" policy {policy['PolicyName']}")
            for policy in properties.get("Policies", ())
        ]
        return inline + [
            policy for arn in properties.get("ManagedPolicyArns", ()) for policy in self._by_arn(where, arn)
        ]

    def _policy(self, stack: Stack, logical_id: str, document: object, name: str = "") -> Policy:
        where = f"{self._template.where(stack, logical_id)}{name}"
        return Policy(where, "identity", self._template.document(where, document), (stack.id, logical_id))

    def _by_arn(self, where: str, arn: str) -> list[Policy]:
        if arn in self._managed:
            return [self._managed[arn]]
        name = arn.split(":policy/", 1)[-1]
        if ":iam::aws:policy/" in arn and name in AWS_MANAGED:
            return [Policy(f"AWS managed policy {name}", "identity", AWS_MANAGED[name])]
        self._unresolved(where, arn, "the managed policy's document is not in the assembly")
        return []

    def _unresolved(self, where: str, what: str, why: str) -> None:
        self._template.unresolved(where, what, why)
