"""What decides about the use of a key."""

from enum import Enum


class KeyAccess(Enum):
    """What decides about the use of a key: the key policy and IAM together, or IAM alone.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    """

    NAMED = "named"
    """Two-key control. The key policy names each role and its exact actions, and IAM must allow them too. An
    administrator with ``*:*`` may manage the key and cannot use it."""

    DELEGATED = "delegated"
    """The default policy of the AWS CDK: a principal with the IAM permission may use the key, and the grants write
    IAM policies only."""
