"""The embedded AWS: deploy and use keys on this machine, with IAM and key policies enforced."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kms_patterns.local.aws_session import AwsSession
    from kms_patterns.local.local_aws import AssumeRoleRefused, LocalAws
    from kms_patterns.local.server_process import StartFailed

__all__ = ["AssumeRoleRefused", "AwsSession", "LocalAws", "StartFailed"]

# Imported when they are asked for: the server is in this package too, and starts faster without boto3.
_HOMES = {"AwsSession": "aws_session", "StartFailed": "server_process"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'local_aws')}"), name)
