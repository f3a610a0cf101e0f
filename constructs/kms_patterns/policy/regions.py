"""What Regions lack, and what the endpoints in them are called."""

from collections.abc import Sequence
from typing import Final

from aws_cdk import Token, region_info

_WITHOUT_FUNCTION_URLS: Final = frozenset({
    "ap-east-2", "ap-south-2", "ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-west-1",
    "eu-central-2", "eu-south-2", "il-central-1", "me-central-1", "mx-central-1",
})  # fmt: skip
_OTHER_PARTITIONS: Final = ("cn-", "us-gov-", "us-iso", "eu-iso", "eusc-")
_SUFFIX: Final = "amazonaws.com"


def has_function_urls(region: str) -> bool:
    """Return whether Lambda has function URLs in a Region; it may for a token.

    https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html; ``mx-central-1`` lacks the resource type.
    """
    return region not in _WITHOUT_FUNCTION_URLS and not region.startswith(_OTHER_PARTITIONS)


def endpoint_suffixes(region: str) -> Sequence[str]:
    """Return what may follow the Region in the name of a service, as ``kms:ViaService`` has it.

    Where the partition's endpoints do not end with ``amazonaws.com``, AWS's pages use both and none of them says which
    one the condition key holds. Only AWS sets that value, so to accept either lets no one else in. A token is taken
    for a Region of the partition aws.
    """
    found = None if Token.is_unresolved(region) else region_info.RegionInfo.get(region).domain_suffix
    return tuple(dict.fromkeys((_SUFFIX, found or _SUFFIX)))
