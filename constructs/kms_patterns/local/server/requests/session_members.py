"""The members of STS requests by AWS's rules: names, durations, tags of a chain of sessions, MFA, federation.

AWS: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from kms_patterns.local.server.emulator.emulator import IAM, reach
from kms_patterns.local.server.kms.kms_errors import Response
from kms_patterns.local.server.requests.request_shapes import Params, query_error

Session = Mapping[str, Any]

_FEDERATED = {"AssumeRoleWithWebIdentity": "WebIdentityToken", "AssumeRoleWithSAML": "SAMLAssertion"}
_TEXT = re.compile(r"[\w+=,.@-]*", re.ASCII)
_EXTERNAL = re.compile(r"[\w+=,.@:/-]*", re.ASCII)
# By member: the shortest and longest value, and its characters.
_TEXTS = {
    "RoleSessionName": (2, 64, _TEXT), "SourceIdentity": (2, 64, _TEXT), "ExternalId": (2, 1224, _EXTERNAL),
}  # fmt: skip
_DURATIONS = {"AssumeRole": (900, 43200), "GetSessionToken": (900, 129600), "GetFederationToken": (900, 129600)}
_CHAINED, _MOST_TAGS, _LONGEST_KEY, _LONGEST_VALUE = 3600, 50, 128, 256
_TAG_KEY = re.compile(r"Tags\.member\.\d+\.Key")


def refusal(params: Params, asking: Session) -> Response | None:
    """Return why STS refuses a request for what it holds; None if it does not.

    Args:
        params: The request.
        asking: The session that asks; empty for a user.
    """
    return (
        _federation(params)
        or _members(params)
        or _duration(params, asking)
        or _mfa(params)
        or _duplicates(params)
        or _tags(params, asking)
    )


def _federation(params: Params) -> Response | None:
    token = _FEDERATED.get(params.get("Action", ""))
    if token is None:
        return None
    # Without the provider's published keys no token can be verified; to take one unverified would let anyone in.
    return query_error(
        "sts",
        "InvalidIdentityToken",
        f"The embedded AWS reaches no identity provider, so it cannot verify a {token} and accepts none; "
        "use AssumeRole, or `kms-patterns local as ROLE`.",
    )


def _members(params: Params) -> Response | None:
    found = [rule for name, bounds in _TEXTS.items() if name in params and (rule := _text(name, params[name], bounds))]
    return _invalid(f"1 validation error detected: {found[0]}") if found else None


def _text(member: str, value: str, bounds: tuple[int, int, re.Pattern[str]]) -> str | None:
    shortest, longest, characters = bounds
    if len(value) < shortest:
        rule = f"Member must have length greater than or equal to {shortest}"
    elif len(value) > longest:
        rule = f"Member must have length less than or equal to {longest}"
    elif not characters.fullmatch(value):
        rule = f"Member must satisfy regular expression pattern: {characters.pattern}"
    else:
        return None
    return f"Value '{value}' at '{member[0].lower()}{member[1:]}' failed to satisfy constraint: {rule}"


def _duration(params: Params, asking: Session) -> Response | None:
    operation, given = params.get("Action", ""), params.get("DurationSeconds")
    if operation not in _DURATIONS or given is None:
        return None
    least, most = _DURATIONS[operation]
    seconds = int(given) if re.fullmatch(r"[0-9]{1,9}", given) else -1
    if not least <= seconds <= most:
        return _invalid(
            f"1 validation error detected: Value '{given}' at 'durationSeconds' failed to satisfy constraint: "
            f"Member must have value between {least} and {most}"
        )
    if operation != "AssumeRole":
        return None
    if asking and asking.get("PrincipalType") != "User" and seconds > _CHAINED:
        return _invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by chaining.")
    allowed = int(role_of(params.get("RoleArn", "")).get("MaxSessionDuration") or _CHAINED)
    if seconds > allowed:
        return _invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    return None


def _mfa(params: Params) -> Response | None:
    # No device's code can be verified here; a session that claims MFA must not come of an unverified one.
    if "SerialNumber" not in params and "TokenCode" not in params:
        return None
    message = "MultiFactorAuthentication failed with invalid MFA one time pass code. "
    return query_error("sts", "AccessDenied", message, HTTPStatus.FORBIDDEN)


def _duplicates(params: Params) -> Response | None:
    keys = [key.lower() for name, key in params.items() if _TAG_KEY.fullmatch(name)]
    message = "Duplicate tag keys found. Please note that Tag keys are case insensitive."
    return query_error("sts", "InvalidParameterValue", message) if len(set(keys)) < len(keys) else None


def _tags(params: Params, asking: Session) -> Response | None:
    tags, inherited = given_tags(params), inherited_tags(asking)
    if len(tags) + len(inherited) > _MOST_TAGS:
        return _invalid(f"A session has at most {_MOST_TAGS} tags.")
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            return _invalid(f"Tag keys that begin with aws: are reserved: {key}")
        if not 0 < len(key) <= _LONGEST_KEY or len(value) > _LONGEST_VALUE:
            return _invalid(f"A tag has a key of 1 to {_LONGEST_KEY} characters and a value of up to {_LONGEST_VALUE}.")
        if key.lower() in {tag["Key"].lower() for tag in inherited}:
            return query_error(
                "sts", "InvalidParameterValue", f"One of the specified transitive tag keys can't be set: {key}"
            )
    unknown = set(listed(params, "TransitiveTagKeys.member.")) - set(tags)
    if unknown:
        return query_error("sts", "InvalidParameterValue", f"Transitive tag keys without a tag: {sorted(unknown)}")
    return None


def given_tags(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the session tags that a request sets."""
    keys = {name.removesuffix(".Key"): key for name, key in params.items() if _TAG_KEY.fullmatch(name)}
    return {key: params.get(f"{name}.Value", "") for name, key in keys.items()}


def listed(params: Mapping[str, Any], prefix: str) -> list[str]:
    """Return the members of a list of the query protocol, whose names begin with ``prefix``."""
    return [value for name, value in params.items() if name.startswith(prefix)]


def inherited_tags(asking: Session) -> list[dict[str, str]]:
    """Return the session tags that the next session of a chain inherits."""
    kept = {key.lower() for key in asking.get("TransitiveTagKeys", ())}
    return [tag for tag in asking.get("SessionTags") or () if tag["Key"].lower() in kept]


def role_of(arn: str) -> dict[str, Any]:
    """Return the emulator's record of a role, an empty one if it does not exist."""
    account, name = (arn.split(":") + [""] * 5)[4], arn.rsplit("/", 1)[-1]
    return dict(reach(IAM, "_roles").get_scoped(account, None, name) or {})


def _invalid(message: str) -> Response:
    return query_error("sts", "ValidationError", message)
