"""Checks of key specs and of the algorithms that a grant pins, each named after the error of KMS."""

from collections.abc import Sequence

from aws_cdk import Stack, Token
from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns.keys.errors import GrantRefused, KeyConfigurationError, RegionUnsupported
from kms_patterns.policy.key_specs import ALGORITHMS, CHINA_ONLY, OUTSIDE_CHINA, MlKemSpec, MlKemUsage


def check_key_spec(
    scope: Construct, spec: kms.KeySpec | MlKemSpec, usage: kms.KeyUsage | MlKemUsage, *, symmetric: bool
) -> None:
    """Check that keys of this spec have this usage, in this Region.

    Args:
        scope: Where the key will be.
        spec: Key spec.
        usage: Key usage.
        symmetric: Whether the type of key is the symmetric encryption key, which shares its usage with RSA.

    Raises:
        KeyConfigurationError: KMS would refuse it at deployment (ValidationException, UnsupportedOperationException).

    See https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html
    """
    allowed = [name for name in ALGORITHMS[usage.value] if (name == "SYMMETRIC_DEFAULT") is symmetric]
    if spec.value not in allowed:
        raise KeyConfigurationError(
            f"key_spec {spec.value} with key usage {usage.value}: KMS has none of this type (ValidationException); "
            f"give one of {', '.join(allowed)}"
        )
    if spec.value in CHINA_ONLY | OUTSIDE_CHINA:
        _check_china(spec.value, Stack.of(scope).region)


def _check_china(spec: str, region: str) -> None:
    if Token.is_unresolved(region):
        return
    in_china = region.startswith("cn-")
    if spec in OUTSIDE_CHINA and in_china:
        raise RegionUnsupported(
            f"key_spec {spec} in {region}: the China Regions do not support it (UnsupportedOperationException); use a "
            "KeyAgreementKey there, or deploy to another Region"
        )
    if spec in CHINA_ONLY and not in_china:
        raise RegionUnsupported(
            f"key_spec {spec} in {region}: only the China Regions support it (UnsupportedOperationException); "
            "give another spec, or deploy to cn-north-1 or cn-northwest-1"
        )


def check_pins(path: str, what: str, given: Sequence[str] | None, allowed: Sequence[str]) -> None:
    """Check values that a grant pins: at least one, and each one that the key supports.

    Raises:
        GrantRefused: No request could meet the condition, so the grant would be void.
    """
    unknown = [value for value in given or () if value not in allowed]
    if unknown or (given is not None and not given):
        raise GrantRefused(
            f"{path}: {what} {list(given or ())}: this key supports {', '.join(allowed)} only, so no request would "
            "match and the call would end in AccessDeniedException; name those, or omit it for all of them"
        )
