"""What becomes of a key when its stack is deleted."""

from enum import Enum

from aws_cdk import RemovalPolicy


class KeyLifecycle(Enum):
    """What becomes of a key, and of its aliases, when its stack is deleted.

    https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html
    """

    RETAIN = "retain"
    """The key stays, with everything that was encrypted under it. A customer managed key costs about $1 a month. Only a
    first deployment that fails takes back what it made, so that it can be tried again."""

    EPHEMERAL = "ephemeral"
    """For development stacks: the key is deleted after the shortest waiting period, 7 days. **Whatever is still
    encrypted under it is lost then, for good.**"""


def removal_policy(lifecycle: KeyLifecycle) -> RemovalPolicy:
    """Return what CloudFormation is to do with a key, its aliases and buckets under it."""
    if lifecycle is KeyLifecycle.EPHEMERAL:
        return RemovalPolicy.DESTROY
    return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
