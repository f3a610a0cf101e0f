"""Reads ``kms.ViaServicePrincipal``, which constructs of the AWS CDK hand to a key."""

import json
from dataclasses import dataclass
from typing import Any, Self

from aws_cdk import Reference, Stack, Tokenization
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct


@dataclass(frozen=True)
class ViaService:
    """Somebody who uses the key through a service.

    Attributes:
        host: First label of the service's ``kms:ViaService`` value.
        role: The role or user; None for a whole account.
    """

    host: str
    role: iam.IGrantable | None

    @classmethod
    def of(cls, grantee: iam.IGrantable, scope: Construct) -> Self | None:
        """Return who stands behind a ``ViaServicePrincipal``, with further conditions or not; None for other grantees.

        Args:
            grantee: Who is to be granted.
            scope: Where a role that is known by its ARN only is imported.
        """
        principal: Any = grantee.grant_principal
        if not isinstance(principal, kms.ViaServicePrincipal | iam.PrincipalWithConditions):
            return None
        fragment = principal.policy_fragment
        via = fragment.conditions.get("StringEquals", {}).get("kms:ViaService")
        if via is None:
            return None
        host = str(via).partition(".")[0]
        arns = fragment.principal_json.get("AWS", ["*"])
        return cls(host, _role(str(arns[0]), scope))


def _role(arn: str, scope: Construct) -> iam.IGrantable | None:
    token = Tokenization.reverse_string(arn).first_token if "${Token[" in arn else None
    if token is not None and Reference.is_reference(token):
        return _owner(token)
    known = json.dumps(Stack.of(scope).resolve(arn))
    if known == '"*"' or ":root" in known:
        return None
    name = "ViaService" + arn.rpartition("/")[2]
    found: Any = scope.node.try_find_child(name)
    return found or iam.Role.from_role_arn(scope, name, arn)


def _owner(token: Any) -> iam.IGrantable | None:
    owner: Any = token.target.node.scope
    return owner if hasattr(owner, "grant_principal") else None
