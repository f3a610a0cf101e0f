"""The role that creates an app's resources, AWS CloudFormation's from the CDK's bootstrap, and what is left to it."""

import tempfile
from collections.abc import Sequence
from functools import cache
from typing import Final

from aws_cdk import (
    App,
    CfnWaitConditionHandle,
    CliCredentialsStackSynthesizer,
    DefaultStackSynthesizer,
    Environment,
    Fn,
    LegacyStackSynthesizer,
    NestedStack,
    Stack,
    StackSynthesizer,
    Token,
)

from kms_patterns.keys.environment import once
from kms_patterns.keys.errors import DeployerUnknown
from kms_patterns.policy import guardrails
from kms_patterns.policy.conditions import not_deploying

_QUALIFIER = "@aws-cdk/core:bootstrapQualifier"


_AS_CALLER: Final = (CliCredentialsStackSynthesizer, LegacyStackSynthesizer)
# Service Catalog and stack sets deploy these stacks, as their caller. Their synthesizers have no public class.
_DEPLOYED_BY_A_SERVICE: Final = {"aws-cdk-lib.aws_servicecatalog.ProductStack", "cdk-stacksets.StackSetStack"}


def _deployment_role_arn(stack: Stack) -> str | None:
    while isinstance(stack, NestedStack) and stack.nested_stack_parent is not None:
        stack = stack.nested_stack_parent
    synthesizer = stack.synthesizer
    if isinstance(synthesizer, _AS_CALLER) or getattr(type(stack), "__jsii_type__", "") in _DEPLOYED_BY_A_SERVICE:
        return None
    if not isinstance(synthesizer, DefaultStackSynthesizer):
        raise DeployerUnknown(
            f"the synthesizer of {stack.node.path} is none of the AWS CDK's, so the role with which AWS CloudFormation "
            "deploys the stack is not known, and a policy that leaves changes to the deployment would lock it out "
            "(AccessDenied)"
        )
    try:
        arn: str | None = synthesizer.cloud_formation_execution_role_arn
    except RuntimeError:
        # jsii returns the synthesizer that the app made, not the copy of it that is bound to the stack.
        account, region = (None if Token.is_unresolved(value) else value for value in (stack.account, stack.region))
        arn = _written_by(synthesizer, account, region, stack.node.try_get_context(_QUALIFIER))
    return _resolvable(arn) if arn else None


deployment_role_arn = once(_deployment_role_arn)[0]
"""Return the ARN of the role with which AWS CloudFormation deploys a stack; None if it acts as its caller.

Raises:
    DeployerUnknown: The synthesizer is none of the AWS CDK's, and what it writes can be read at the end only.

See https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html
"""


def deployers(stack: Stack, named: Sequence[str]) -> list[str | None]:
    """Return the role that deploys ``stack``, as :func:`deployment_role_arn` does; none if only the app knows it.

    Args:
        stack: The stack of a bucket.
        named: ARNs of roles that the app lets configure the bucket.

    Raises:
        DeployerUnknown: It is not known, and the app names no role.
    """
    try:
        return [deployment_role_arn(stack)]
    except DeployerUnknown as error:
        if named:
            return []
        raise DeployerUnknown(f"{error}: name it in configured_by=[…]") from error


class Replication:
    """The statements that leave the replication of a multi-Region key to the app: its Regions, and who deploys there.

    Args:
        home: The stack of the key. KMS replicates into no Region that has the key, so its own stands for none.
    """

    def __init__(self, home: Stack) -> None:
        self._home = home
        try:
            self._at_home: list[str | None] = [deployment_role_arn(home)]
        except DeployerUnknown:
            # It needs no replica of its own Region: with none elsewhere, every principal is denied.
            self._at_home = []
        self._away: dict[str, str | None] = {}
        self.statements = [
            guardrails.no_replication(guardrails.SID_DENY_OTHER_REGIONS, {}),
            guardrails.no_replication(guardrails.SID_DENY_REPLICATION, {}),
        ]
        self._write()

    def allow(self, stack: Stack) -> None:
        """Let the role that deploys ``stack`` replicate the key to its Region."""
        self._away[stack.region] = deployment_role_arn(stack)
        self._write()

    def _write(self) -> None:
        regions = sorted(self._away)
        others, strangers = self.statements
        others["Condition"] = {"StringNotEquals": {"kms:ReplicaRegion": [self._home.region, *regions]}}
        deployers = [*self._at_home, *(self._away[region] for region in regions)]
        strangers["Condition"] = not_deploying(deployers)


@cache
def _written_by(
    synthesizer: StackSynthesizer, account: str | None, region: str | None, qualifier: str | None
) -> str | None:
    """Return the role that ``synthesizer`` writes into the manifest of a stack in this account and Region."""
    with tempfile.TemporaryDirectory() as folder:
        app = App(outdir=folder, analytics_reporting=False, context={_QUALIFIER: qualifier} if qualifier else None)
        stack = Stack(app, "Stack", env=Environment(account=account, region=region), synthesizer=synthesizer)
        CfnWaitConditionHandle(stack, "Handle")
        return app.synth().get_stack_by_name("Stack").cloud_formation_execution_role_arn


@cache
def _resolvable(arn: str) -> str:
    # One token for one role: grants to it are recognized by its ARN.
    return Fn.sub(arn) if "${AWS::" in arn else arn
