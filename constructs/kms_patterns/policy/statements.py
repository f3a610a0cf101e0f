"""Statements of a key policy, and the ids that they carry.

https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from aws_cdk import Stack, Token, region_info

from kms_patterns.policy import actions, conditions

SID_ACCOUNT_ADMINISTRATION: Final = "AccountAdministration"
SID_GRANT_PREFIX: Final = "Allow"
SID_SERVICE_PREFIX: Final = "AllowService"

MAX_KEY_POLICY_BYTES: Final = 32 * 1024
"""https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html"""

_SID_READABLE: Final = 48


Document = dict[str, Any]
"""A statement as a policy document writes it; its texts may hold tokens."""


def account_administration(root: str, administration: Sequence[str] = actions.ADMINISTRATION) -> Document:
    """Return the statement that keeps the key manageable: IAM policies of the account may administer it, not use it.

    PutKeyPolicy is among the actions: a principal that may change the policy can give itself use, and CloudTrail
    shows it.

    Args:
        root: ARN of the root of the key's account.
        administration: What administrators of this key do.
    """
    return _allow(SID_ACCOUNT_ADMINISTRATION, root, administration, {})


def account_use(root: str) -> Document:
    """Return the one statement of the default policy of the AWS CDK: IAM of the account decides about everything."""
    return {"Effect": "Allow", "Principal": {"AWS": root}, "Action": ["kms:*"], "Resource": "*"}


def named_grant(
    sid: str, root: str, principal_arn: str, granted: Sequence[str], extra: conditions.Conditions
) -> Document:
    """Return the key policy's half of a grant: an account's IAM may allow it, to this one role or user only.

    A condition and not a ``Principal``: the key does not fail to deploy when the role does not exist yet, and the
    statement still holds when the role was deleted and made again under its name.

    Args:
        sid: Id of the statement.
        root: ARN of the root of the account of the role or user.
        principal_arn: The role or user.
        granted: Exact KMS actions.
        extra: Further conditions.
    """
    return _allow(sid, root, granted, conditions.merge(conditions.principal(principal_arn), extra))


def service_linked_grant(sid: str, role_arn: str, granted: Sequence[str], extra: conditions.Conditions) -> Document:
    """Return the statement that lets a service-linked role use the key by the key policy alone.

    AWS writes that role's policy, so there is no other half: the role is the ``Principal``, and must exist when the
    key is deployed (MalformedPolicyDocumentException).

    See https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html
    """
    return _allow(sid, role_arn, granted, conditions.merge(extra))


def _allow(sid: str, principal: str, granted: Sequence[str], demanded: conditions.Conditions) -> Document:
    document = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": list(granted),
        "Resource": "*",
    }
    return {**document, "Condition": demanded} if demanded else document


def grant_sid(construct_path: str, ordinal: int = 1) -> str:
    """Return the id of the statement that grants to the role or user at ``construct_path``.

    Stable between deployments, and unique in the key policy: the path's hash follows its readable part.

    Args:
        construct_path: ``role.node.path``.
        ordinal: 1 for the first set of conditions under which it may use the key, 2 for the second, …
    """
    readable = re.sub(r"[^A-Za-z0-9]", "", construct_path)[-_SID_READABLE:]
    digest = hashlib.sha256(construct_path.encode()).hexdigest()[:8]
    return f"{SID_GRANT_PREFIX}{readable}{digest}" + ("" if ordinal == 1 else f"Under{ordinal}")


Group = tuple[Sequence[int], str | None]
"""Numbers of the statements that become one, in the order of their roles, and its id; None for one that stays."""


def groups(statements: Sequence[Mapping[str, Any]], sids: Collection[str]) -> list[Group]:
    """Return which statements of a key policy become one for all roles and users that are granted the same.

    A key policy of 32 KiB holds three times as many roles that way. Principal, actions and conditions must be equal,
    so each role may do what its own statement allowed.

    Args:
        statements: Statements of a resolved policy document.
        sids: Ids of those that may be grouped: what :func:`named_grant` returned.
    """
    members: dict[str, list[int]] = {}
    for position, statement in enumerate(statements):
        key = _but_for_the_role(statement) if statement.get("Sid") in sids else str(position)
        members.setdefault(key, []).append(position)
    return [_group(key, numbers, statements) for key, numbers in members.items()]


def _but_for_the_role(statement: Mapping[str, Any]) -> str:
    if statement["Effect"] != "Allow":
        # Only a caller makes a Deny of a grant's statement: it stays apart.
        return json.dumps(statement, sort_keys=True)
    demanded = {operator: dict(demands) for operator, demands in statement["Condition"].items()}
    # Removed, not masked: a statement that names its roles otherwise has no equal.
    demanded["ArnEquals"].pop(conditions.PRINCIPAL_ARN)
    return json.dumps(
        [statement["Principal"], sorted(conditions.as_list(statement["Action"])), demanded], sort_keys=True
    )


def _group(key: str, numbers: Sequence[int], statements: Sequence[Mapping[str, Any]]) -> Group:
    if len(numbers) == 1:
        return numbers, None
    by_role = {json.dumps(statements[it]["Condition"]["ArnEquals"][conditions.PRINCIPAL_ARN]): it for it in numbers}
    granted = sorted(conditions.as_list(statements[numbers[0]]["Action"]))
    readable = "".join(action.partition(":")[2] for action in granted)[:_SID_READABLE]
    # In an order of their own: the policy does not depend on the order of the grants.
    sid = f"{SID_GRANT_PREFIX}{readable}{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    return [by_role[role] for role in sorted(by_role)], sid


def as_one(members: Sequence[Mapping[str, Any]], sid: str | None) -> Mapping[str, Any]:
    """Return the statement of a group, which names the roles of all its members."""
    first = members[0]
    if sid is None:
        return first
    arns = [arn for it in members for arn in conditions.as_list(it["Condition"]["ArnEquals"][conditions.PRINCIPAL_ARN])]
    demands = {**first["Condition"]["ArnEquals"], conditions.PRINCIPAL_ARN: arns}
    return {**first, "Sid": sid, "Condition": {**first["Condition"], "ArnEquals": demands}}


def service_sid(service: str, source_arn: str | None = None, source_account: str | None = None) -> str:
    """Return the id of the statement that lets an AWS service use the key for itself."""
    source = [part for part in (source_arn, source_account) if part]
    digest = hashlib.sha256("|".join(source).encode()).hexdigest()[:8] if source else ""
    return f"{SID_SERVICE_PREFIX}{service.capitalize()}{digest}"


def literal(value: Any, stack: Stack) -> Any:
    """Return ``value``, resolved in ``stack``, without intrinsic functions.

    Account, Region and partition are those of the stack if it names them; what only the deployment knows stands in
    angle brackets, such as ``<Bucket83908E77.Arn>``.
    """
    region, account = (None if Token.is_unresolved(it) else it for it in (stack.region, stack.account))
    known = {
        "AWS::AccountId": account or "<account id>",
        "AWS::Region": region or "<Region>",
        "AWS::Partition": (region and region_info.RegionInfo.get(region).partition) or "aws",
        "AWS::URLSuffix": (region and region_info.RegionInfo.get(region).domain_suffix) or "amazonaws.com",
    }
    return _rendered(stack.resolve(value), known)


def _rendered(value: Any, known: dict[str, str]) -> Any:
    """Fn::ImportValue and its like keep their form: the value is another stack's."""
    match value:
        case {"Fn::Join": [separator, list(parts)]}:
            return str(separator).join(str(_rendered(part, known)) for part in parts)
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"<{resource}.{attribute}>"
        case {"Ref": name}:
            return known.get(name, f"<{name}>")
        case dict():
            return {_rendered(name, known): _rendered(part, known) for name, part in value.items()}
        case list():
            return [_rendered(part, known) for part in value]
        case _:
            return value
