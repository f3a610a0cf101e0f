"""Quotas and names of IAM that the emulator does not know: keys of a user, sizes of policies, attachments.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kms_patterns.local.server.emulator.emulator import IAM, reach

Params = Mapping[str, Any]
Refusal = tuple[str, str]
"""Code and message of an error."""

_MOST_KEYS, _MOST_ATTACHED = 2, 10
# By kind of principal: the bytes, without white space, of all its inline policies; of a managed policy.
_INLINE = {"User": 2048, "Group": 5120, "Role": 10240}
_MANAGED = 6144


def _access_key(params: Params) -> Iterator[Refusal]:
    keys = [key for key in reach(IAM, "_access_keys").values() if key.get("UserName") == params.get("UserName")]
    if params.get("UserName") and len(keys) >= _MOST_KEYS:
        yield "LimitExceeded", f"Cannot exceed quota for AccessKeysPerUser: {_MOST_KEYS}"


def _managed(params: Params) -> Iterator[Refusal]:
    if _size(params.get("PolicyDocument")) > _MANAGED:
        yield "LimitExceeded", f"Cannot exceed quota for PolicySize: {_MANAGED}"


def _size(document: Any) -> int:
    return len(re.sub(r"\s", "", str(document or "")).encode())


def _inline(kind: str) -> Callable[[Params], Iterator[Refusal]]:
    def check(params: Params) -> Iterator[Refusal]:
        name, policy = params.get(f"{kind}Name"), params.get("PolicyName")
        others = _inline_policies(kind, str(name))
        total = sum(_size(text if isinstance(text, str) else json.dumps(text)) for it, text in others if it != policy)
        if total + _size(params.get("PolicyDocument")) > _INLINE[kind]:
            said = f"Maximum policy size of {_INLINE[kind]} bytes exceeded for {kind.lower()} {name}"
            yield "LimitExceeded", said

    return check


def _inline_policies(kind: str, name: str) -> list[tuple[str, Any]]:
    if kind == "Role":
        return list(((reach(IAM, "_roles").get(name) or {}).get("InlinePolicies") or {}).items())
    return list((reach(IAM, f"_{kind.lower()}_inline_policies").get(name) or {}).items())


def _attached(kind: str) -> Callable[[Params], Iterator[Refusal]]:
    def check(params: Params) -> Iterator[Refusal]:
        arn = str(params.get("PolicyArn", ""))
        if ":aws:policy/" not in arn and arn not in reach(IAM, "_policies"):
            yield "NoSuchEntity", f"Policy {arn} does not exist or is not attachable."
        record = reach(IAM, f"_{kind.lower()}s").get(str(params.get(f"{kind}Name"))) or {}
        attached = record.get("AttachedPolicies") or []
        if arn not in attached and len(attached) >= _MOST_ATTACHED:
            yield "LimitExceeded", f"Cannot exceed quota for PoliciesPer{kind}: {_MOST_ATTACHED}"

    return check


def _taken(kind: str) -> Callable[[Params], Iterator[Refusal]]:
    def check(params: Params) -> Iterator[Refusal]:
        name = str(params.get(f"{kind}Name", "")).lower()
        if any(name == str(it).lower() for it in reach(IAM, f"_{kind.lower()}s")):
            yield "EntityAlreadyExists", f"{kind} with name {params.get(f'{kind}Name')} already exists."
        if str(params.get("Path", "")).startswith("/aws-service-role/"):
            yield "ValidationError", f"The path {params['Path']} is reserved for service-linked roles."

    return check


def _reserved_tags(params: Params) -> Iterator[Refusal]:
    for name, value in params.items():
        if re.fullmatch(r"Tags\.member\.\d+\.Key", name) and str(value).lower().startswith("aws:"):
            yield "InvalidInput", f"Tag key {value} is invalid: keys that begin with aws: are reserved."


def _provider(params: Params) -> Iterator[Refusal]:
    if not str(params.get("Url", "")).startswith("https://"):
        yield "InvalidInput", "Invalid Open ID Connect Provider URL: it must begin with https://"


RULES: Mapping[str, tuple[Callable[[Params], Iterator[Refusal]], ...]] = {
    "iam:CreateAccessKey": (_access_key,),
    "iam:CreateOpenIDConnectProvider": (_provider, _reserved_tags),
    "iam:CreatePolicy": (_managed, _reserved_tags),
    "iam:CreatePolicyVersion": (_managed,),
    **{f"iam:Create{kind}": (_taken(kind), _reserved_tags) for kind in ("Group", "Role", "User")},
    **{f"iam:Put{kind}Policy": (_inline(kind),) for kind in _INLINE},
    **{f"iam:Attach{kind}Policy": (_attached(kind),) for kind in _INLINE},
    **{f"iam:Tag{kind}": (_reserved_tags,) for kind in ("Policy", "Role", "User")},
}
"""By action, what yields the refusals of a request."""
