"""Roles and users of an assembly with all policies that apply to them: inline, attached, of groups, boundaries."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kms_patterns.access.model import Document, Policy, Principal, PrincipalKind
from kms_patterns.access.read.assembly import Stack
from kms_patterns.access.read.managed_policies import AWS_MANAGED
from kms_patterns.access.read.template import Template
from kms_patterns.access.templates.template_text import items, mapping, text, texts
from kms_patterns.access.unknowns.symbols import (
    GUARD,
    TRUE,
    Proposition,
    globbed,
    is_symbolic,
    may_be_equal,
    shown,
    symbol,
)

_ATTACHABLE = {"AWS::IAM::Policy": "PolicyDocument", "AWS::IAM::ManagedPolicy": "PolicyDocument"}
_SINGLE = {
    "AWS::IAM::RolePolicy": ("role", "RoleName"),
    "AWS::IAM::UserPolicy": ("user", "UserName"),
    "AWS::IAM::GroupPolicy": ("group", "GroupName"),
}
_MEMBERS = (("Roles", "role"), ("Users", "user"), ("Groups", "group"))

Place = tuple[str, str, str]
"""Kind, account and name of what a policy is attached to."""


class Identities:
    """Collects the identity policies of an assembly and gives them to their principals."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._managed: dict[str, Policy] = {}
        self._attached: dict[Place, list[Policy]] = defaultdict(list)
        self._groups: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._known_groups: set[tuple[str, str]] = set()
        self._used: set[str] = set()
        self._open: list[Place] | None = None
        self._collect()

    def principals(self) -> Iterator[Principal]:
        """Yield every role and user, and roles and users outside the assembly to which it attaches policies.

        A policy that no principal of the assembly has stands for a principal of its own: any that it is attached to.
        """
        known = set()
        for stack, logical_id, properties in self._template.of_type("AWS::IAM::Role", "AWS::IAM::User"):
            kind = "role" if stack.resources[logical_id]["Type"] == "AWS::IAM::Role" else "user"
            name = self._template.name(stack, logical_id)
            known.add((kind, stack.account, name))
            yield self._defined(stack, logical_id, kind, name, properties)
        for kind, account, name in sorted(set(self._attached) - known):
            if kind != "group":
                yield self._foreign(kind, account, name)
            elif (account, name) not in self._known_groups:
                self._unresolved(f"group {shown(name)}", "its users", "it is not defined in the assembly")
        yield from self._unattached()

    def _collect(self) -> None:
        for stack, logical_id, _ in self._template.of_type("AWS::IAM::ManagedPolicy"):
            policy = self._policy(stack, logical_id, self._template.raw(stack, logical_id, "PolicyDocument"))
            self._managed[self._template.arn(stack, logical_id)] = policy
        for stack, logical_id, properties in self._template.of_type(*_ATTACHABLE):
            policy = self._managed.get(self._template.arn(stack, logical_id)) or self._policy(
                stack, logical_id, self._template.raw(stack, logical_id, "PolicyDocument")
            )
            for member, kind in _MEMBERS:
                if properties.get(member) is not None:
                    self._attach_all(stack, logical_id, member, kind, policy)
        for stack, logical_id, _ in self._template.of_type(*_SINGLE):
            kind, member = _SINGLE[stack.resources[logical_id]["Type"]]
            policy = self._policy(stack, logical_id, self._template.raw(stack, logical_id, "PolicyDocument"))
            self._attach_all(stack, logical_id, member, kind, policy)
        for stack, logical_id, properties in self._template.of_type("AWS::IAM::Group"):
            name = self._template.name(stack, logical_id)
            self._known_groups.add((stack.account, name))
            self._attached["group", stack.account, name].extend(self._own(stack, logical_id, properties))
        for stack, _, properties in self._template.of_type("AWS::IAM::UserToGroupAddition"):
            for user in texts(properties.get("Users")):
                self._groups[stack.account, user].append(text(properties.get("GroupName")))

    def _attach_all(self, stack: Stack, logical_id: str, member: str, kind: str, policy: Policy) -> None:
        where = self._template.where(stack, logical_id)
        for guard, name in self._template.several(stack, self._template.raw(stack, logical_id, member), where):
            self._attached[kind, stack.account, text(name)].append(guarded(policy, guard))

    def _attached_to(self, kind: str, account: str, name: str) -> list[Policy]:
        """Return what is attached by this name, and under a proposition what is attached by an unknown name."""
        found = list(self._attached.get((kind, account, name), ()))
        unknown = self._attached if is_symbolic(name) else self._unknown_names()
        for other, there, given in unknown:
            if (other, there) == (kind, account) and given != name and may_be_equal(globbed(given), globbed(name)):
                same = (f"{shown(given)} is the name {shown(name)}", TRUE)
                found += [guarded(policy, [same]) for policy in self._attached[other, there, given]]
        self._used.update(policy.where for policy in found)
        return found

    def _unknown_names(self) -> list[Place]:
        if self._open is None:
            self._open = [place for place in self._attached if is_symbolic(place[2])]
        return self._open

    def _defined(self, stack: Stack, logical_id: str, kind: str, name: str, properties: Mapping[str, Any]) -> Principal:
        where, arn = self._template.where(stack, logical_id), self._template.arn(stack, logical_id)
        groups = [*texts(properties.get("Groups")), *self._groups[stack.account, name]] if kind == "user" else []
        policies = [*self._own(stack, logical_id, properties), *self._attached_to(kind, stack.account, name)]
        for group in dict.fromkeys(groups):
            policies += self._attached_to("group", stack.account, group)
            if (stack.account, group) not in self._known_groups:
                self._unresolved(where, f"its group {shown(group)}", "the group is not defined in the assembly")
                policies.append(self._any(f"policies of group {shown(group)}"))
        boundary = properties.get("PermissionsBoundary")
        user = {"aws:PrincipalType": "User", "aws:username": name} if kind == "user" else {}
        return Principal(
            id=where,
            kind=PrincipalKind(kind),
            label=f"{kind} {where}",
            arn=arn,
            stack=stack.id,
            identity=_distinct(policies),
            boundaries=None if boundary is None else self._by_arn(where, text(boundary), limits=True),
            attributes={"aws:PrincipalType": "AssumedRole"} | user,
            tags=self._tags(stack, logical_id, kind),
        )

    def _tags(self, stack: Stack, logical_id: str, kind: str) -> Mapping[str, str] | None:
        """Return the principal's tags; None if they are not known, or a session may bring tags of its own."""
        given = self._template.raw(stack, logical_id, "Tags")
        found = self._template.several(stack, given, self._template.where(stack, logical_id))
        trust = self._template.resolver.resolve(
            stack, self._template.raw(stack, logical_id, "AssumeRolePolicyDocument"), stack.id
        )
        session = kind == "role" and ("sts:tagsession" in str(trust).lower() or "sts:*" in str(trust).lower())
        tags = {text(mapping(tag).get("Key")): text(mapping(tag).get("Value")) for _, tag in found if tag is not None}
        if session or any(guard for guard, _ in found) or is_symbolic(found) or "'*'" in str(trust):
            return None
        return tags

    def _foreign(self, kind: str, account: str, name: str) -> Principal:
        arn = f"arn:{self._template.partition(account)}:iam::{account}:{kind}/{name}"
        where = f"{kind} {shown(name)}"
        self._unresolved(where, "its other policies", "it is not defined in the assembly")
        return Principal(
            id=shown(f"{kind}/{name}") if account == self._template.only_account else shown(arn),
            kind=PrincipalKind(kind),
            label=f"{where} (imported: only the policies that this assembly attaches)",
            arn=arn,
            identity=_distinct(self._attached_to(kind, account, name)),
        )

    def _unattached(self) -> Iterator[Principal]:
        """Yield who has a managed policy that no principal here has, and who is in a group that no user here is in."""
        for (kind, account, name), policies in sorted(self._attached.items()):
            if kind == "group" and policies and not any(policy.where in self._used for policy in policies):
                self._used.update(policy.where for policy in policies)
                arn = f"arn:{self._template.partition(account)}:iam::{account}:group/{name}"
                yield self._holder(f"group {shown(name)}", arn, policies)
        for arn, policy in self._managed.items():
            if policy.where not in self._used:
                yield self._holder(f"policy {policy.where}", arn, [policy])

    def _holder(self, what: str, arn: str, policies: Sequence[Policy]) -> Principal:
        partition, account = arn.split(":")[1], arn.split(":")[4]
        relation = "in" if what.startswith("group ") else "with"
        return Principal(
            id=f"any {relation} {what}",
            kind=PrincipalKind.HOLDER,
            label=f"any principal {relation} {what} (none in this assembly)",
            arn=f"arn:{partition}:iam::{account}:role/{symbol(f'any {relation} {what}')}",
            identity=_distinct(policies),
        )

    def _own(self, stack: Stack, logical_id: str, properties: Mapping[str, Any]) -> list[Policy]:
        where = self._template.where(stack, logical_id)
        found = self._inline(stack, logical_id, where)
        if properties.get("ManagedPolicyArns") is not None:
            given = self._template.raw(stack, logical_id, "ManagedPolicyArns")
            for guard, arn in self._template.several(stack, given, where):
                found += [guarded(policy, guard) for policy in self._by_arn(where, text(arn))]
        return found

    def _inline(self, stack: Stack, logical_id: str, where: str) -> list[Policy]:
        raw = self._template.raw(stack, logical_id, "Policies")
        found: list[Policy] = []
        for item in raw if isinstance(raw, list) else [raw]:
            if isinstance(item, Mapping) and "PolicyDocument" in item:
                name = text(self._template.resolver.resolve(stack, item.get("PolicyName"), where))
                found.append(self._policy(stack, logical_id, item["PolicyDocument"], f" policy {shown(name)}"))
                continue
            for guard, way in self._template.ways(stack, item, where):
                for part in items(way):
                    name = shown(text(mapping(part).get("PolicyName", part)))
                    document = mapping(part).get("PolicyDocument", part)
                    found.append(guarded(self._policy(stack, logical_id, document, f" policy {name}"), guard))
        return found

    def _policy(self, stack: Stack, logical_id: str, document: object, name: str = "") -> Policy:
        where = f"{self._template.where(stack, logical_id)}{name}"
        given = self._template.existence(stack, logical_id)
        return Policy(where, "identity", self._template.document(stack, where, document, given), (stack.id, logical_id))

    def _by_arn(self, where: str, arn: str, *, limits: bool = False) -> list[Policy]:
        """Return a managed policy; one whose document is not known may allow anything, and limits nothing."""
        if arn in self._managed:
            self._used.add(self._managed[arn].where)
            return [self._managed[arn]]
        name = arn.split(":policy/", 1)[-1]
        if ":iam::aws:policy/" in arn and name in AWS_MANAGED:
            return [Policy(f"AWS managed policy {name}", "identity", AWS_MANAGED[name])]
        self._unresolved(where, shown(arn), "the managed policy's document is not in the assembly")
        return [] if limits else [self._any(f"managed policy {shown(name)}")]

    def _any(self, what: str) -> Policy:
        """Return a policy of which nothing is known: it may allow anything."""
        statement = {"Effect": "Allow", "Action": "*", "Resource": "*", GUARD: [(f"{what} allows it", TRUE)]}
        return Policy(what, "identity", {"Version": "2012-10-17", "Statement": [statement]})

    def _unresolved(self, where: str, what: str, why: str) -> None:
        self._template.unresolved(where, what, why)


def guarded(policy: Policy, given: Sequence[Proposition]) -> Policy:
    """Return ``policy`` as it applies under further propositions."""
    if not given:
        return policy
    return replace(policy, document=guarded_document(policy.document, given))


def guarded_document(document: Document, given: Sequence[Proposition]) -> Document:
    """Return a document whose statements apply under further propositions."""
    statements = [{**item, GUARD: [*item.get(GUARD, ()), *given]} for item in document["Statement"]]
    return {**document, "Statement": statements}


def _distinct(policies: Sequence[Policy]) -> list[Policy]:
    return list({id(policy): policy for policy in policies}.values())
