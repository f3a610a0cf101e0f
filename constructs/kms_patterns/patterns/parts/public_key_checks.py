"""What a PublicKeyExport is given, checked at synth."""

import json
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from aws_cdk import Duration, Stack, aws_s3
from aws_cdk import aws_cloudfront as cloudfront

from kms_patterns.keys.customer_managed_key import CustomerManagedKey
from kms_patterns.keys.grants.algorithm_grants import PublicKeyGrants
from kms_patterns.patterns.parts.key_uses import check_key_of_app
from kms_patterns.policy.key_specs import ALGORITHMS, MlKemSpec

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PREFIX = re.compile(r"([A-Za-z0-9_-]+/)*")
_ENVIRONMENT = 4096
# Lengths that synthesis does not know: of the longest ARN, and of the other variables.
_KEY_ARN, _OTHER_VARIABLES = 90, 300
_DAY = 86400
_YEAR = 365 * _DAY


def check_keys(keys: Mapping[str, CustomerManagedKey], algorithms: Mapping[str, Sequence[str]]) -> None:
    """Check the keys, the algorithms that each is to be published with, and that a function's settings hold them all.

    Raises:
        ValueError: No key is given, a name cannot be that of a file, a key is of ML_KEM_512, an algorithm is none of
            its key's, or the deployment would fail, as environment variables have 4 KB.
        TypeError: A key has no public key.
    """
    if not keys:
        raise ValueError('PublicKeyExport needs at least one key, such as keys={"inbox": key}')
    for name, key in keys.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"name {name!r} of a key: give 1 to 63 lower case letters, digits and hyphens")
        if not isinstance(key, PublicKeyGrants):
            raise TypeError(
                f"key {name!r} is a {type(key).__name__}, which has no public key (UnsupportedOperationException); "
                "give an RsaEncryptionKey, a SigningKey, a KeyAgreementKey or a KeyEncapsulationKey"
            )
        check_key_of_app(key.node.path, f"keys[{name!r}]", key)
        if key.key_spec is MlKemSpec.ML_KEM_512:
            raise ValueError(
                f"key {name!r} is of ML_KEM_512, whose public key the publishing function cannot read: "
                "use ML_KEM_768 or ML_KEM_1024"
            )
    for name, chosen in algorithms.items():
        if name not in keys:
            raise ValueError(f"algorithms names {name!r}, which is none of the keys: {', '.join(keys)}")
        known = ALGORITHMS[keys[name].key_usage.value][keys[name].key_spec.value]
        if isinstance(chosen, str) or not chosen or not set(chosen) <= set(known):
            raise ValueError(f"algorithms of {name!r} are {chosen!r}: give a list of some of {', '.join(known)}")
    settings = {name: {"keyArn": "x" * _KEY_ARN, "algorithms": list(algorithms.get(name, ()))} for name in keys}
    size = len(json.dumps(settings)) + _OTHER_VARIABLES
    if size > _ENVIRONMENT:
        raise ValueError(
            f"{len(keys)} keys take up to {size} bytes of a function's environment variables, and {_ENVIRONMENT} are "
            "the limit: make another export for some of them"
        )


def check_files(prefix: str, max_age: Duration, refresh: Duration) -> None:
    """Check what is put before the files' names, how long caches keep a file, and how often it is made anew.

    Raises:
        ValueError: A time is out of range; or the prefix is not empty and does not end in a slash, or has characters
            that an address would have to quote.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"prefix {prefix!r}: give a path that ends in a slash, such as keys/, or leave it out")
    if not max_age.is_unresolved() and not 1 <= max_age.to_seconds() <= _YEAR:
        raise ValueError(f"max_age is {max_age.to_seconds()} seconds: give 1 second to 365 days")
    if not refresh.is_unresolved() and not 60 <= refresh.to_seconds() <= _YEAR:  # noqa: PLR2004 - a minute
        raise ValueError(f"refresh is {refresh.to_seconds()} seconds: give 1 minute to 365 days")


def check_distribution(
    distribution: cloudfront.IDistribution | None, bucket: aws_s3.IBucket | None, files: Sequence[str]
) -> None:
    """Check that a distribution serves the given bucket's files over HTTPS only, as far as this app knows it.

    Raises:
        ValueError: A bucket is missing, or the behavior of one of ``files`` serves HTTP: an attacker in between could
            replace a key.
    """
    if distribution is None:
        return
    if bucket is None:
        raise ValueError("distribution is given and bucket is not: give the bucket that the distribution serves")
    resource = distribution.node.default_child
    if not isinstance(resource, cloudfront.CfnDistribution):
        return
    given = resource._cfn_properties  # noqa: SLF001 -- the properties as they are, not as jsii would cast them
    config = Stack.of(resource).resolve(given)["distributionConfig"]
    for file in files:
        if _behavior(config, file)["viewerProtocolPolicy"] == "allow-all":
            raise ValueError(
                f"{distribution.node.path} serves {file} over HTTP, where an attacker could replace a key; "
                "set viewer_protocol_policy of its behavior to ViewerProtocolPolicy.HTTPS_ONLY"
            )


def _behavior(config: Mapping[str, Any], file: str) -> Mapping[str, Any]:
    """Return the cache behavior that serves ``file``: the first whose path pattern matches, or the default one."""
    for behavior in config.get("cacheBehaviors") or ():
        # CloudFront's patterns know * and ?, and no brackets.
        if fnmatchcase(file, behavior["pathPattern"].removeprefix("/").replace("[", "[[]")):
            return behavior  # type: ignore[no-any-return]
    return config["defaultCacheBehavior"]  # type: ignore[no-any-return]
