"""What happens to a key when its stack is deleted."""

from enum import Enum

from aws_cdk import RemovalPolicy


class KeyLifecycle(Enum):
    """What happens to a key when its stack is deleted. Its aliases are deleted with the stack in either case.

    https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html
    """

    RETAIN = "retain"
    """The key stays, with everything that was encrypted under it. A customer managed key costs about $1 a month. Only a
    first deployment that fails deletes what it created, so that it can be repeated. The next deployment of the stack
    creates another key under the same aliases; ``cdk import`` brings the retained one back, see docs/deployment.md."""

    EPHEMERAL = "ephemeral"
    """For development stacks: the key is deleted after the shortest waiting period, 7 days. **Data that is still
    encrypted under it is then lost for good.**"""


def removal_policy(lifecycle: KeyLifecycle) -> RemovalPolicy:
    """Return what CloudFormation is to do with a key and buckets under it."""
    if lifecycle is KeyLifecycle.EPHEMERAL:
        return RemovalPolicy.DESTROY
    return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
