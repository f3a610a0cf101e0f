"""Records, beside the construct that causes it, why a finding of a rule pack such as cdk-nag is accepted."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Acknowledgment, Stack, Validations, aws_s3
from constructs import IConstruct


def acknowledge(construct: IConstruct, reasons: Mapping[str, str]) -> None:
    """Acknowledge findings on ``construct``; costs nothing where no rule pack runs.

    Args:
        construct: The smallest construct that contains the finding.
        reasons: Finding id, such as ``AwsSolutions-IAM5[Resource::*]``, to the reason why it is accepted.
    """
    findings = [Acknowledgment(id=finding, reason=reason) for finding, reason in reasons.items()]
    Validations.of(construct).acknowledge(*findings)


def acknowledge_objects(role: IConstruct, bucket: aws_s3.IBucket, pattern: str = "*") -> None:
    """Acknowledge that ``role`` is granted the objects of ``bucket``, the wildcard being the object's name."""
    every = "every object" if pattern == "*" else f"every object {pattern}"
    reason = f"The role serves {every} of this bucket; the actions are exact and the bucket is named."
    acknowledge(role, {wildcard(Stack.of(role).resolve(bucket.arn_for_objects(pattern))): reason})


def wildcard(resource: Any) -> str:
    """Return cdk-nag's id of the finding that a statement's ``resource``, as it is in the template, has a wildcard."""
    return f"AwsSolutions-IAM5[Resource::{_as_cdk_nag_writes(resource)}]"


def _as_cdk_nag_writes(value: Any) -> str:
    match value:
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(_as_cdk_nag_writes(part) for part in parts)
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"<{resource}.{attribute}>"
        case {"Ref": name}:
            return f"<{name}>"
        case _:
            return str(value)
