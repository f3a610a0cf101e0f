"""Roles and users of an assembly with all policies that apply to them: inline, attached, of groups, boundaries."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from kms_patterns.access.model import Policy, Principal, PrincipalKind
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, Stack
from kms_patterns.access.read.documents import may_allow
from kms_patterns.access.read.identifiers import may_be_equal
from kms_patterns.access.read.managed_policies import (
    UNLIMITED,
    ManagedPolicies,
    anything,
    distinct,
    guarded,
    holder,
    of_one_name,
    permission_sets,
    undenied,
)
from kms_patterns.access.read.stated_permissions import Additions, with_additions
from kms_patterns.access.read.template import Template
from kms_patterns.access.templates.template_text import items, mapping, text
from kms_patterns.access.unknowns.symbols import TRUE, Proposition, globbed, is_symbolic, plain, settled, shown

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
        self._additions = Additions(template)
        self._managed = ManagedPolicies(template)
        self._attached: dict[Place, list[Policy]] = defaultdict(list)
        self._groups: dict[tuple[str, str], list[tuple[Sequence[Proposition], str]]] = defaultdict(list)
        self._known_groups: set[Place] = set()
        self._any_account = None if template.only_account else UNKNOWN_ACCOUNT
        self._spelled: dict[Place, str] = {}
        self._changed: dict[Place, Sequence[Proposition]] = {}
        self._names: dict[str, str] = {}
        self._collect()

    def principals(self) -> Iterator[Principal]:
        """Yield every role and user, and roles and users outside the assembly to which it attaches policies.

        A policy that no principal of the assembly has stands for a principal of its own: any that it is attached to.
        """
        known = set()
        for stack, logical_id, _ in self._template.of_type("AWS::IAM::Role", "AWS::IAM::User"):
            kind = "role" if stack.resources[logical_id]["Type"] == "AWS::IAM::Role" else "user"
            name = self._template.name(stack, logical_id)
            known.add(self._place(kind, stack.account, name))
            yield self._defined(stack, logical_id, kind, name)
        for kind, account, name in sorted({*self._attached, *(("user", *it) for it in self._groups)} - known):
            if kind != "group":
                yield self._foreign(kind, account, name)
            elif ("group", account, name) not in self._known_groups:
                self._template.unresolved(f"group {shown(name)}", "its users", "it is not defined in the assembly")
        yield from permission_sets(self._template, self._managed, self._additions)
        yield from self._unattached()

    def _collect(self) -> None:
        managed: dict[tuple[str, str], Policy] = {}
        for stack, logical_id, _ in self._template.of_type("AWS::IAM::ManagedPolicy"):
            policy = self._policy(stack, logical_id, self._template.raw(stack, logical_id, "PolicyDocument"))
            self._managed.own[self._template.arn(stack, logical_id)].append(policy)
            managed[stack.id, logical_id] = policy
        for stack, logical_id, properties in self._template.of_type(*_ATTACHABLE):
            policy = managed.get((stack.id, logical_id)) or self._policy(
                stack, logical_id, self._template.raw(stack, logical_id, "PolicyDocument")
            )
            for member, kind in _MEMBERS:
                if properties.get(member) is not None:
                    self._attach_all(stack, logical_id, member, kind, policy)
        for stack, logical_id, _ in self._template.of_type(*_SINGLE):
            kind, member = _SINGLE[stack.resources[logical_id]["Type"]]
            policy = self._policy(stack, logical_id, self._template.raw(stack, logical_id, "PolicyDocument"))
            self._attach_all(stack, logical_id, member, kind, policy)
        for stack, logical_id, _ in self._template.of_type("AWS::IAM::Group"):
            place = self._place("group", stack.account, self._template.name(stack, logical_id))
            self._known_groups.add(place)
            self._attached[place].extend(self._own(stack, logical_id, place))
        for stack, logical_id, _ in self._template.of_type("AWS::IAM::UserToGroupAddition"):
            where, given = self._template.where(stack, logical_id), self._template.existence(stack, logical_id)
            users, group = (self._template.raw(stack, logical_id, name) for name in ("Users", "GroupName"))
            for in_group, name in self._template.ways(stack, group, where):
                for guard, user in self._template.several(stack, users, where):
                    self._groups[stack.account, text(user)].append(([*given, *in_group, *guard], text(name)))

    def _attach_all(self, stack: Stack, logical_id: str, member: str, kind: str, policy: Policy) -> None:
        where = self._template.where(stack, logical_id)
        for guard, name in self._template.several(stack, self._template.raw(stack, logical_id, member), where):
            self._attached[self._place(kind, stack.account, text(name))].append(guarded(policy, guard))

    def _place(self, kind: str, account: str, name: str) -> Place:
        """Return what a name stands for: IAM's names are not told apart by case."""
        return kind, account, self._spelled.setdefault((kind, account, name.lower()), name)

    def _attached_to(self, kind: str, account: str, name: str) -> list[Policy]:
        """Return what is attached by this name, and under propositions what is attached by one that may be it."""
        own = self._place(kind, account, name)
        found = list(self._attached.get(own, ()))
        for place in self._attached if is_symbolic(name) or account == self._any_account else self._open_places:
            same = self._same(place[1:], own[1:]) if place != own and place[0] == kind else None
            if same is not None:
                found += [guarded(policy, same) for policy in self._attached[place]]
        self._managed.used.update(policy.where for policy in found)
        changed = self._changed.get(own, ())
        return [undenied(policy, changed) for policy in found]

    def _same(self, one: tuple[str, str], other: tuple[str, str]) -> list[Proposition] | None:
        """Return under which propositions two accounts and names are one principal or group; None if they are not."""
        (there, given), (account, name) = one, other
        near = there == account or self._any_account in {there, account}
        if not near or not may_be_equal(globbed(given).lower(), globbed(name).lower()):
            return None
        where = [("<account>", account if there == self._any_account else there)] if there != account else []
        named = [(f"{shown(given)} is the name {shown(name)}", TRUE)] if given.lower() != name.lower() else []
        return [*where, *named]

    @cached_property
    def _open_places(self) -> list[Place]:
        return [place for place in self._attached if is_symbolic(place[2]) or place[1] == self._any_account]

    def _defined(self, stack: Stack, logical_id: str, kind: str, name: str) -> Principal:
        where, arn = self._template.where(stack, logical_id), self._template.arn(stack, logical_id)
        own = self._own(stack, logical_id, self._place(kind, stack.account, name))
        policies = of_one_name(distinct([*own, *self._attached_to(kind, stack.account, name)]), self._names)
        if kind == "user":
            given = self._template.raw(stack, logical_id, "Groups")
            groups = [(guard, text(group)) for guard, group in self._template.several(stack, given, where)]
            policies += self._of_groups(where, stack.account, [*groups, *self._memberships(stack.account, name)])
        user = {"aws:PrincipalType": "User", "aws:username": name}
        return Principal(
            id=where,
            kind=PrincipalKind(kind),
            label=f"{kind} {where}",
            arn=arn,
            stack=stack.id,
            identity=distinct(policies),
            boundaries=self._boundaries(stack, logical_id, where),
            attributes=user if kind == "user" else {"aws:PrincipalType": "AssumedRole"},
            tags=self._tags(stack, logical_id, kind),
        )

    def _memberships(self, account: str, user: str) -> list[tuple[Sequence[Proposition], str]]:
        """Return the groups that a user is added to, by its name or by one that may be it."""
        found: list[tuple[Sequence[Proposition], str]] = []
        for place, groups in self._groups.items():
            if (same := self._same(place, (account, user))) is not None:
                found += [([*guard, *same], group) for guard, group in groups]
        return found

    def _of_groups(self, where: str, account: str, groups: Sequence[tuple[Sequence[Proposition], str]]) -> list[Policy]:
        found = []
        for guard, group in groups:
            policies = of_one_name(self._attached_to("group", account, group), self._names)
            if self._place("group", account, group) not in self._known_groups:
                why = "the group is not defined in the assembly"
                self._template.unresolved(where, f"its group {shown(group)}", why)
                policies.append(anything(f"policies of group {shown(group)}"))
            found += [guarded(policy, guard) for policy in policies]
        return found

    def _boundaries(self, stack: Stack, logical_id: str, where: str) -> list[Policy] | None:
        """Return what limits a principal, each way under its propositions; None if nothing does."""
        found: list[Policy] = []
        raw = self._template.raw(stack, logical_id, "PermissionsBoundary")
        for guard, arn in self._template.ways(stack, raw, where):
            limits = [UNLIMITED] if arn is None else self._managed.by_arn(where, text(arn), limits=True)
            found += [guarded(policy, guard) for policy in limits]
        found += [guarded(UNLIMITED, [given]) for given in self._additions.to(stack, logical_id, "boundary")]
        return None if UNLIMITED in found else found

    def _tags(self, stack: Stack, logical_id: str, kind: str) -> Mapping[str, str] | None:
        """Return the principal's tags; None if they are not known, or a session may bring tags of its own."""
        given = self._template.raw(stack, logical_id, "Tags")
        found = self._template.several(stack, given, self._template.where(stack, logical_id))
        trust = self._template.raw(stack, logical_id, "AssumeRolePolicyDocument")
        session = kind == "role" and may_allow(self._template.document(stack, stack.id, trust), "sts:TagSession")
        said = [mapping(tag) for _, tag in found if tag is not None]
        tags = {text(tag.get("Key")): settled(text(tag.get("Value"))) for tag in said}
        session = session or bool(self._additions.to(stack, logical_id, "tags"))
        return None if session or any(guard for guard, _ in found) or is_symbolic([*tags]) else tags

    def _foreign(self, kind: str, account: str, name: str) -> Principal:
        arn = f"arn:{self._template.partition(account)}:iam::{account}:{kind}/{name}"
        where = f"{kind} {plain(name)}"
        groups = self._of_groups(where, account, self._memberships(account, name)) if kind == "user" else []
        self._template.unresolved(where, "its other policies", "it is not defined in the assembly")
        return Principal(
            id=plain(f"{kind}/{name}") if account == self._template.only_account else shown(arn),
            kind=PrincipalKind(kind),
            label=f"{where} (imported: only the policies that this assembly attaches)",
            arn=arn,
            identity=distinct([*self._attached_to(kind, account, name), *groups]),
        )

    def _unattached(self) -> Iterator[Principal]:
        """Yield who has a managed policy that no principal here has, and who is in a group that no user here is in."""
        for (kind, account, name), policies in sorted(self._attached.items()):
            known = (kind, account, name) in self._known_groups
            used = known and any(policy.where in self._managed.used for policy in policies)
            if kind == "group" and policies and not used:
                self._managed.used.update(policy.where for policy in policies)
                arn = f"arn:{self._template.partition(account)}:iam::{account}:group/{name}"
                yield holder(f"group {plain(name)}", arn, policies)
        for arn, policies in self._managed.own.items():
            free = (policy for policy in policies if policy.where not in self._managed.used)
            yield from (holder(f"policy {policy.where}", arn, [policy]) for policy in free)

    def _own(self, stack: Stack, logical_id: str, place: Place) -> list[Policy]:
        where = self._template.where(stack, logical_id)
        found = self._inline(stack, logical_id, where)
        if (given := self._template.raw(stack, logical_id, "ManagedPolicyArns")) is not None:
            for guard, arn in self._template.several(stack, given, where):
                found += [guarded(policy, guard) for policy in self._managed.by_arn(where, text(arn))]
        self._changed[place] = added = self._additions.to(stack, logical_id, place[0])
        found = [undenied(policy, added) for policy in found]
        return [*found, *(guarded(anything(name), [(name, value)]) for name, value in added)]

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
        read = self._template.document(stack, where, document, given)
        kind = stack.resources[logical_id]["Type"]
        if name or kind in {"AWS::IAM::Policy", *_SINGLE}:
            own = self._template.resolver.resolve(stack, self._template.raw(stack, logical_id, "PolicyName"), where)
            self._names[where] = name.removeprefix(" policy ") or shown(text(own))
        if kind in _ATTACHABLE:
            read = with_additions(read, self._additions.to(stack, logical_id, "policy"), resource=False)
        return Policy(where, "identity", read, (stack.id, logical_id))
