"""Statements of a policy: which principals one names, and whether it is about a request.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from hashlib import sha256
from typing import Any

from kms_patterns.local.server.authorization.operators import Unreadable, met
from kms_patterns.local.server.authorization.patterns import Lookup, UnknownVariable, arn_matches, matches, resolvable


class Named(IntEnum):
    """How closely a statement names the caller; the closer, the less else is needed."""

    NOT = 0
    BY_ACCOUNT = 1
    """The account: it delegates to its identity policies."""
    BY_ROLE = 2
    """The role behind a session: boundaries and session policies still narrow."""
    ITSELF = 3
    """The user's or the session's own ARN, or everyone: no boundary or session policy narrows.

    The page above says so of ``*`` with aws:PrincipalArn under "IAM role principals".
    """


@dataclass(frozen=True)
class Principal:
    """Who calls.

    Args:
        arn: The user's, session's or role's ARN.
        source: The role's ARN behind a session, with its path; the same as ``arn`` for anyone else.
        account: The 12 digits of its account.
        service: The service principal, if an AWS service itself calls.
        bounded: Whether it has a permissions boundary.
    """

    arn: str
    source: str
    account: str
    service: str | None = None
    bounded: bool = False

    @property
    def chain(self) -> tuple[str, ...]:
        """All that a NotPrincipal must list to spare this principal: itself, its role, its account."""
        return tuple(dict.fromkeys((self.arn, self.source, f"arn:aws:iam::{self.account}:root")))


def named(principal: object, caller: Principal) -> Named:
    """Return how the element Principal names ``caller``. No wildcard but a lone ``*`` stands for anyone."""
    if principal == "*":
        return Named.ITSELF
    if not isinstance(principal, Mapping):
        return Named.NOT
    if caller.service is not None and caller.service in _listed(principal, "Service"):
        return Named.ITSELF
    # S3 knows an account by a canonical id as well; the emulator's is this digest.
    canonical = _listed(principal, "CanonicalUser")
    closest = max((_as_aws(entry, caller) for entry in _listed(principal, "AWS")), default=Named.NOT)
    if canonical and sha256(caller.account.encode()).hexdigest() in canonical:
        return max(closest, Named.BY_ACCOUNT)
    return closest


def spared(principal: object, caller: Principal) -> bool:
    """Return whether the element NotPrincipal lists all of the caller's chain; none with a boundary is ever spared.

    AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
    """
    if not isinstance(principal, Mapping) or caller.bounded:
        return False
    if caller.service is not None:
        return caller.service in _listed(principal, "Service")
    listed = {_account_arn(entry) for entry in _listed(principal, "AWS")}
    return listed.issuperset(caller.chain)


def _as_aws(entry: str, caller: Principal) -> Named:
    if entry in {"*", caller.arn} and entry != f"arn:aws:iam::{caller.account}:root":
        return Named.BY_ROLE if entry.startswith("arn:") and ":role/" in entry else Named.ITSELF
    if entry == caller.source:
        return Named.BY_ROLE
    return Named.BY_ACCOUNT if _account_arn(entry) == f"arn:aws:iam::{caller.account}:root" else Named.NOT


def _account_arn(entry: str) -> str:
    return f"arn:aws:iam::{entry}:root" if entry.isdigit() else entry


def _listed(principal: Mapping[str, object], kind: str) -> list[str]:
    entries = principal.get(kind, [])
    return [entries] if isinstance(entries, str) else [str(entry) for entry in entries] if entries else []  # type: ignore[attr-defined]


_WITH_VARIABLES = "2012-10-17"


class Malformed(ValueError):
    """A statement that AWS would have refused when it was written."""


@dataclass(frozen=True)
class Request:
    """What is asked for: an action on a resource, by a principal, with the values of condition keys."""

    action: str
    resource: str
    principal: Principal
    lookup: Lookup


@dataclass(frozen=True)
class Statement:
    """One statement, with the name of its policy and its place there."""

    policy: str
    position: int
    body: Mapping[str, Any]
    variables: bool = False

    @property
    def effect(self) -> str:
        """Allow or Deny; anything else denies."""
        return "Allow" if self.body.get("Effect") == "Allow" else "Deny"

    @property
    def sid(self) -> str:
        """Its Sid, empty if it has none."""
        return str(self.body.get("Sid") or "")

    @property
    def described(self) -> dict[str, object]:
        """Name it for an audit record."""
        return {"policy": self.policy, "sid": self.sid, "position": self.position, "effect": self.effect}

    def about(self, request: Request) -> bool:
        """Return whether action, resource and condition match; a Deny that is malformed or unknown applies."""
        try:
            return self._action(request) and self._resource(request) and self._condition(request)
        except (Malformed, Unreadable, UnknownVariable):
            return self.effect == "Deny"

    def _action(self, request: Request) -> bool:
        wanted, inverted = self._one_of("Action", "NotAction")
        action = request.action.lower()
        return inverted != any(matches(action, pattern.lower()) for pattern in wanted)

    def _resource(self, request: Request) -> bool:
        wanted, inverted = self._one_of("Resource", "NotResource")
        lookup = request.lookup if self.variables else None
        if inverted and not all(resolvable(pattern, lookup) for pattern in wanted):
            # What the statement excludes is not known, so neither is what it is about.
            raise Malformed("NotResource")
        return inverted != any(_resource_matches(request.resource, pattern, lookup) for pattern in wanted)

    def _condition(self, request: Request) -> bool:
        condition = self.body.get("Condition") or {}
        if not isinstance(condition, Mapping):
            raise Malformed("Condition")
        lookup = request.lookup if self.variables else None
        lines = [(name, line) for name, block in condition.items() for line in _lines(block)]
        results = [met(name, request.lookup(key), wanted, lookup) for name, (key, wanted) in lines]
        return all(self.effect == "Deny" if result is None else result for result in results)

    def _one_of(self, positive: str, negative: str) -> tuple[list[str], bool]:
        if (positive in self.body) == (negative in self.body):
            raise Malformed(positive)
        inverted = negative in self.body
        return strings(self.body[negative if inverted else positive]), inverted


Statements = Sequence[Statement]


def parse(document: object, name: str) -> Statements:
    """Return the statements of a policy document; of an unreadable one, a statement that denies everything.

    The same text is read once.
    """
    if document in (None, "", {}):
        return ()
    return _of_text(document, name) if isinstance(document, str) else _statements(document, name)


@lru_cache(maxsize=512)
def _of_text(document: str, name: str) -> Statements:
    try:
        return _statements(json.loads(document), name)
    except ValueError:
        return _statements(None, name)


def _statements(policy: object, name: str) -> Statements:
    found = policy.get("Statement", []) if isinstance(policy, Mapping) else None
    found = [found] if isinstance(found, Mapping) else found
    if not isinstance(policy, Mapping) or not isinstance(found, list):
        return (Statement(name, 0, {}),)
    variables = policy.get("Version") == _WITH_VARIABLES
    return tuple(
        Statement(name, position, body if isinstance(body, Mapping) else {}, variables)
        for position, body in enumerate(found)
        if name != KEY_POLICY or not isinstance(body, Mapping) or _complete(body)
    )


KEY_POLICY = "key policy"


def _complete(body: Mapping[str, Any]) -> bool:
    # KMS stores a statement of a key policy that lacks one of these, and it has no effect.
    return all(body.keys() & {name, f"Not{name}"} for name in ("Action", "Resource"))


def strings(value: object) -> list[str]:
    """Return one value or a list of them as a list of strings.

    Raises:
        Malformed: It is neither.
    """
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str | int | float | bool) for item in values):
        raise Malformed("value")
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in values]


def _lines(block: object) -> list[tuple[str, list[str]]]:
    if not isinstance(block, Mapping):
        raise Malformed("Condition")
    return [(str(key), strings(wanted)) for key, wanted in block.items()]


def _resource_matches(resource: str, pattern: str, lookup: Lookup | None) -> bool:
    if resource == "*":
        # An action without a resource: only statements for all resources are about it.
        return pattern == "*"
    return arn_matches(resource, pattern, lookup, complete=True)
