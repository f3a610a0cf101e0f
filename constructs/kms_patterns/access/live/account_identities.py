"""Roles, users, groups and policies of a live account, all in one request of IAM.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
"""

from collections.abc import Iterator, Mapping
from typing import Any

from kms_patterns.access.live.asking import Item, Notes, ask, is_unreadable


def identities(client: Any, notes: Notes) -> Iterator[Item]:
    """Yield the account's roles, users, groups and its own managed policies.

    Args:
        client: A client of IAM.
        notes: Where a refusal is noted.
    """

    def call() -> list[Mapping[str, Any]]:
        return list(client.get_paginator("get_account_authorization_details").paginate())

    found = ask("iam:GetAccountAuthorizationDetails", call, notes.add, what="roles, users and their policies")
    if is_unreadable(found):
        return
    documents = {
        policy["Arn"]: version["Document"]
        for page in found
        for policy in page.get("Policies", [])
        for version in policy.get("PolicyVersionList", [])
        if version.get("IsDefaultVersion")
    }
    for page in found:
        for policy in page.get("Policies", []):
            if ":iam::aws:policy/" not in policy["Arn"] and policy["Arn"] in documents:
                properties = {"ManagedPolicyName": policy["PolicyName"], "Path": policy.get("Path", "/")}
                document = {"PolicyDocument": documents[policy["Arn"]]}
                yield Item("AWS::IAM::ManagedPolicy", policy["Arn"], properties | document)
        for role in page.get("RoleDetailList", []):
            trust = {"RoleName": role["RoleName"], "AssumeRolePolicyDocument": role["AssumeRolePolicyDocument"]}
            properties = _of_principal(role, "RolePolicyList", documents) | trust
            yield Item("AWS::IAM::Role", role["RoleName"], properties)
        for user in page.get("UserDetailList", []):
            properties = _of_principal(user, "UserPolicyList", documents)
            properties |= {"UserName": user["UserName"], "Groups": user.get("GroupList", [])}
            yield Item("AWS::IAM::User", user["UserName"], properties)
        for group in page.get("GroupDetailList", []):
            properties = _of_principal(group, "GroupPolicyList", documents) | {"GroupName": group["GroupName"]}
            yield Item("AWS::IAM::Group", group["GroupName"], properties)


def _of_principal(detail: Mapping[str, Any], inline: str, documents: Mapping[str, Any]) -> dict[str, Any]:
    """Return what roles, users and groups have in common; AWS managed policies as the account has them, by document."""
    attached = [policy["PolicyArn"] for policy in detail.get("AttachedManagedPolicies", [])]
    of_aws = [arn for arn in attached if ":iam::aws:policy/" in arn and arn in documents]
    policies = [
        {"PolicyName": policy["PolicyName"], "PolicyDocument": policy["PolicyDocument"]}
        for policy in detail.get(inline, [])
    ]
    policies += [{"PolicyName": arn, "PolicyDocument": documents[arn]} for arn in of_aws]
    found: dict[str, Any] = {
        "Path": detail.get("Path", "/"),
        "Policies": policies,
        "ManagedPolicyArns": [arn for arn in attached if arn not in of_aws],
    }
    boundary = detail.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    if boundary:
        found["PermissionsBoundary"] = boundary
    if detail.get("Tags"):
        found["Tags"] = detail["Tags"]
    return found
