"""Checks of a key's properties at synth, each against the limit of KMS that would fail the deployment."""

import re
from collections.abc import Mapping
from typing import Final

from aws_cdk import Duration, Stack, Token
from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns.keys.errors import KeyConfigurationError, RegionUnsupported
from kms_patterns.keys.key_options import KeyLifecycle
from kms_patterns.policy.guardrails import is_account, is_organization
from kms_patterns.policy.key_specs import ALGORITHMS, CHINA_ONLY, OUTSIDE_CHINA, MlKemSpec, MlKemUsage

_ALIAS: Final = re.compile(r"[a-zA-Z0-9/_-]{1,250}")
_ALIAS_PREFIX: Final = "alias/"
_KEY_ID: Final = re.compile(r"key/[A-Za-z0-9-]+")
_ARN_PARTS: Final = 6
ROTATION_DAYS: Final = range(90, 2561)
"""https://docs.aws.amazon.com/kms/latest/developerguide/rotating-keys-enable-disable.html"""
PENDING_WINDOW_DAYS: Final = range(7, 31)
"""https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html"""
DESCRIPTION_LENGTH: Final = 8192
TAGS: Final = 50


def check_alias(alias: str) -> str:
    """Return the full name of an alias, ``alias/…``.

    Args:
        alias: With or without ``alias/``; letters, digits, ``/``, ``_`` and ``-``, at most 256 with the prefix.

    Raises:
        KeyConfigurationError: KMS would refuse it (InvalidAliasNameException, NotAuthorizedException).

    See https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateAlias.html
    """
    if Token.is_unresolved(alias):
        return alias
    name = alias.removeprefix(_ALIAS_PREFIX)
    if name.lower().startswith("aws/"):
        raise KeyConfigurationError(
            f"alias {alias!r}: names under alias/aws/ are reserved for AWS managed keys (NotAuthorizedException); "
            "use another first word"
        )
    if not _ALIAS.fullmatch(name):
        raise KeyConfigurationError(
            f"alias {alias!r}: after alias/, 1 to 250 letters, digits, /, _ and - are allowed "
            "(InvalidAliasNameException); replace the other characters"
        )
    return _ALIAS_PREFIX + name


def check_key_arn(arn: str) -> str:
    """Return the ARN of a key.

    Raises:
        KeyConfigurationError: It is the ARN of something else.
    """
    parts = arn.split(":")
    is_key = len(parts) == _ARN_PARTS and parts[2] == "kms" and _KEY_ID.fullmatch(parts[5])
    if not is_key and not Token.is_unresolved(arn):
        raise KeyConfigurationError(
            f"{arn!r} is not a KMS key ARN (arn:aws:kms:region:account:key/id): IAM policies do not resolve aliases; "
            "for an alias call from_alias or from_lookup"
        )
    return arn


def scoped_alias(alias: str, stack: Stack) -> str:
    """Return the full name of an alias: a full name unchanged, any other below the name of its stack.

    Two deployments of one app then have two names; a full name belongs to the first deployment.

    Raises:
        KeyConfigurationError: See :func:`check_alias`.
    """
    if Token.is_unresolved(alias) or alias.startswith(_ALIAS_PREFIX):
        return check_alias(alias)
    check_alias(alias)
    return check_alias(f"{stack.stack_name}/{alias}")


def check_perimeter(perimeter: str | None, account: str) -> None:
    """Check the id of an organization or account.

    Args:
        perimeter: The id.
        account: The account of the key, which must be inside.

    Raises:
        KeyConfigurationError: No principal of the key's account would be inside, so no one could manage the key.
    """
    if perimeter is None or Token.is_unresolved(perimeter) or is_organization(perimeter):
        return
    if is_account(perimeter):
        if perimeter == account or Token.is_unresolved(account):
            return
        raise KeyConfigurationError(
            f"perimeter {perimeter!r}: the key is in account {account}, whose roles and users would all be outside: "
            "no one could manage the key (MalformedPolicyDocumentException); give that account, or the organization"
        )
    raise KeyConfigurationError(
        f"perimeter {perimeter!r}: neither an organization id (o- and 10 to 32 small letters or digits) nor an account "
        "id (12 digits): every principal would be outside, and no one could manage the key"
    )


def check_description(description: str | None) -> None:
    """Check the length of a description.

    Raises:
        KeyConfigurationError: KMS would refuse it (ValidationException).
    """
    if description is not None and not Token.is_unresolved(description) and len(description) > DESCRIPTION_LENGTH:
        raise KeyConfigurationError(
            f"description has {len(description)} characters: KMS takes {DESCRIPTION_LENGTH} (ValidationException)"
        )


def check_tags(tags: Mapping[str, str] | None) -> None:
    """Check number, names and values of tags.

    Raises:
        KeyConfigurationError: KMS would refuse them (LimitExceededException, TagException).

    See https://docs.aws.amazon.com/kms/latest/developerguide/tagging-keys.html
    """
    given = tags or {}
    bad = [name for name, value in given.items() if not _is_tag(name, value)]
    if bad or len(given) > TAGS:
        raise KeyConfigurationError(
            f"tags {bad or len(given)}: KMS takes {TAGS} tags, names of 1 to 128 characters that do not begin with "
            "aws:, values of up to 256 (TagException, LimitExceededException)"
        )


def _is_tag(name: str, value: str) -> bool:
    taken = Token.is_unresolved(name) or (0 < len(name) <= 128 and not name.lower().startswith("aws:"))  # noqa: PLR2004
    return taken and (Token.is_unresolved(value) or len(value) <= 256)  # noqa: PLR2004


def check_rotates(period: Duration | None, *, rotates: bool) -> None:
    """Check that a key with a rotation period has automatic rotation.

    Raises:
        KeyConfigurationError: KMS would refuse it (UnsupportedOperationException).
    """
    if period is not None and not rotates:
        raise KeyConfigurationError(
            "rotation_period: KMS rotates symmetric encryption keys with its own key material only "
            "(UnsupportedOperationException); omit it, and import new material or make a new key instead"
        )


def check_protection(period: Duration | None, lifecycle: KeyLifecycle, *, enabled: bool) -> Duration | None:
    """Return for how many days after its last use a key stays usable.

    Raises:
        KeyConfigurationError: It is not a number of days, or the stack itself disables or deletes the key.
    """
    if period is None:
        return None
    if period.is_unresolved() or (days := period.to_days(integral=False)) < 1 or days != int(days):
        raise KeyConfigurationError(
            f"protect_while_in_use is {period}: kms:TrailingDaysWithoutKeyUsage counts whole days, so the key would "
            "not be protected; give Duration.days(1) or more"
        )
    if lifecycle is KeyLifecycle.EPHEMERAL or not enabled:
        found = "lifecycle=KeyLifecycle.EPHEMERAL" if enabled else "enabled=False"
        raise KeyConfigurationError(
            f"protect_while_in_use with {found}: AWS CloudFormation itself {'deletes' if enabled else 'disables'} such "
            f"a key and would be denied (AccessDeniedException, explicit deny); omit protect_while_in_use, deploy, and "
            f"then give {found}"
        )
    return period


def check_days(name: str, duration: Duration | None, allowed: range) -> None:
    """Check a duration of whole days.

    Raises:
        KeyConfigurationError: KMS would refuse it (ValidationException).
    """
    if duration is None or duration.is_unresolved():
        return
    days = duration.to_days(integral=False)
    if days != int(days) or int(days) not in allowed:
        raise KeyConfigurationError(
            f"{name} is {days:g} days: KMS takes whole days from {allowed.start} to {allowed.stop - 1} "
            f"(ValidationException); give {allowed.start} to {allowed.stop - 1} days"
        )


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
