"""What constructs of the AWS CDK write into a key policy for AWS services: made exact, and bound to a source."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam

from kms_patterns.keys.policy_checks import check_symmetric
from kms_patterns.policy.actions import narrow
from kms_patterns.policy.conditions import has_source

if TYPE_CHECKING:
    from kms_patterns.keys.two_key_grants import TwoKeyGrants


def narrowed(key: "TwoKeyGrants", statement: iam.PolicyStatement) -> iam.PolicyStatement:
    """Return ``statement`` with exact actions, and with the key's account as the source of services without one.

    Args:
        key: The key to whose policy it is about to be added.
        statement: What a construct of the AWS CDK wrote, for example for the notifications of a bucket.

    Raises:
        GrantRefused: The key is no symmetric one, which AWS services take.
    """
    services = any(isinstance(principal, iam.ServicePrincipal) for principal in statement.principals)
    if statement.effect is not iam.Effect.ALLOW or not services:
        return statement
    check_symmetric(key, "a service")
    exact = statement.copy(actions=narrow(statement.actions))
    if not has_source(exact.conditions):
        exact.add_condition("StringEquals", {"aws:SourceAccount": key.stack.account})
    return exact


def grant_to_service(key: "TwoKeyGrants", grantee: iam.IGrantable, actions: Sequence[str]) -> iam.Grant:
    """Allow a service principal these exact actions, bound to its source."""
    principal = grantee.grant_principal
    statement = iam.PolicyStatement(principals=[principal], actions=list(actions), resources=["*"])
    return iam.Grant.add_statement_to_resource_policy(
        statement=statement,
        grantee=grantee,
        actions=list(actions),
        resource=key,
        resource_arns=[key.key_arn],
    )
