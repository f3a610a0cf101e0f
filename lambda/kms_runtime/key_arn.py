"""The one form of key identifier that this package accepts, and the check that a response of AWS KMS is for it.

See https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id-key-ARN
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kms_runtime.aws_errors import IncorrectKeyException, InvalidArnException, typed_errors

_KEY_ARN = re.compile(r"arn:([a-z0-9-]+):kms:([a-z0-9-]+):([0-9]{12}):key/([A-Za-z0-9-]+)")


class KeyArn(NamedTuple):
    """The parts of a key ARN; ``str`` puts them together."""

    partition: str
    region: str
    account: str
    key_id: str

    @property
    def is_multi_region(self) -> bool:
        """Whether the key has, or can have, related keys in other Regions."""
        return self.key_id.startswith("mrk-")

    def __str__(self) -> str:
        """Return the ARN."""
        return f"arn:{self.partition}:kms:{self.region}:{self.account}:key/{self.key_id}"


def parse_key_arn(text: str) -> KeyArn | None:
    """Return the parts of ``text``, or None if it is not the ARN of a KMS key."""
    found = _KEY_ARN.fullmatch(text)
    return KeyArn(*found.groups()) if found else None


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


def same_multi_region_key(one: str, other: str) -> bool:
    """Tell whether two ARNs name related multi-Region keys: all but the Region is the same.

    See https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-overview.html
    """
    first, second = parse_key_arn(one), parse_key_arn(other)
    if not first or not second or not first.is_multi_region:
        return False
    return first._replace(region="") == second._replace(region="")


def call_kms(
    operation: Callable[..., Mapping[str, Any]], name: str, key_arn: str, **parameters: object
) -> Mapping[str, Any]:
    """Return the response of an operation of AWS KMS with one key.

    Args:
        operation: The client's method.
        name: AWS's name of it, for errors.
        key_arn: ARN of the key.
        parameters: The operation's further ones.

    Raises:
        InvalidArnException: ``key_arn`` is not a key ARN; AWS KMS is not called.
        IncorrectKeyException: The response is for another key.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    with typed_errors("AWS KMS"):
        response = operation(KeyId=check_key_arn(key_arn), **parameters)
    check_response_key(response, key_arn, name)
    return response


def check_response_key(response: Mapping[str, Any], key_arn: str, operation: str) -> None:
    """Check that a response of AWS KMS is for the key of the request.

    Raises:
        IncorrectKeyException: It is for another key.
    """
    if response["KeyId"] != key_arn:
        message = f"the response of {operation} is for {response['KeyId']}, not for {key_arn}"
        raise IncorrectKeyException(message, operation=operation)
