"""The one form of key identifier that this package takes.

See https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id-key-ARN
"""

import re

from kms_runtime.aws_errors import InvalidArnException

_KEY_ARN = re.compile(r"arn:[a-z0-9-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+")


def check_key_arn(key_arn: str) -> str:
    """Return ``key_arn`` if it is the ARN of a KMS key.

    Raises:
        InvalidArnException: An alias, a key id or anything else: only a key ARN pins one key in one Region.
    """
    if not _KEY_ARN.fullmatch(key_arn):
        raise InvalidArnException(
            f"{key_arn!r} is not a key ARN (arn:aws:kms:REGION:ACCOUNT:key/KEY-ID); aliases can be moved to another key"
        )
    return key_arn
