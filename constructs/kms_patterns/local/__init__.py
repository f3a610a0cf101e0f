"""The embedded AWS: deploy and use keys on this machine, with IAM and key policies enforced."""

from kms_patterns.local.aws_session import AwsSession
from kms_patterns.local.local_aws import AssumeRoleRefused, LocalAws
from kms_patterns.local.server_process import StartFailed

__all__ = ["AssumeRoleRefused", "AwsSession", "LocalAws", "StartFailed"]
