"""What becomes of a key when its stack is deleted."""

from enum import Enum


class KeyLifecycle(Enum):
    """What becomes of a key, and of its aliases, when its stack is deleted.

    https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html
    """

    RETAIN = "retain"
    """The key stays, with everything that was encrypted under it. A customer managed key costs about $1 a month."""

    EPHEMERAL = "ephemeral"
    """For development stacks: the key is deleted after the shortest waiting period, 7 days. **Whatever is still
    encrypted under it is lost then, for good.**"""
