"""Records, beside the construct that causes it, why a finding of a rule pack such as cdk-nag is accepted."""

from collections.abc import Mapping

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct


def acknowledge(construct: IConstruct, reasons: Mapping[str, str]) -> None:
    """Acknowledge findings on ``construct``; costs nothing where no rule pack runs.

    Args:
        construct: The smallest construct that contains the finding.
        reasons: Finding id, such as ``AwsSolutions-IAM5[Resource::*]``, to the reason why it is accepted.
    """
    findings = [Acknowledgment(id=finding, reason=reason) for finding, reason in reasons.items()]
    Validations.of(construct).acknowledge(*findings)
