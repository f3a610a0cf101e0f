"""What an access matrix is made of."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kms_patterns.access.evaluate.access_conditions import Condition
from kms_patterns.access.model import KEPT, PrincipalKind, ResourceKind
from kms_patterns.access.read.identifiers import matches

ONLY_LIMITS = re.compile(
    r"PermissionsBoundary|TargetIds|\w*Kms|BlockPublic|IgnorePublic|RestrictPublic|ObjectOwnership", re.I
)
ONLY_GIVES = re.compile(
    rf"{KEPT}|\w*Role(Arn|Name)?$|\w*InstanceProfile|\w*Principal|PermissionSetArn|Target(Key)?Id$|A(uthType|llowUn)"
    r"|AWS::(?!.*(Policy|BlockPublicAccess)$)",
    re.I,
)
"""Members of items beside statements, or types of which every property tells: what only takes, and what only gives."""


@dataclass(frozen=True)
class Who:
    """A principal of the matrix.

    Attributes:
        id: Stable and readable: its construct path, or what a policy calls it.
        kind: What it is.
        label: How it is printed.
        stack: The stack that defines it, None if the assembly does not.
    """

    id: str
    kind: PrincipalKind
    label: str
    stack: str | None


@dataclass(frozen=True)
class What:
    """A resource of the matrix.

    Attributes:
        id: Its construct path with the stack.
        kind: What it is.
        label: How it is printed inside its stack.
        stack: The stack that defines it.
        encrypted_by: Of a bucket: the id of the key that encrypts its objects; "one or another" if a condition decides.
        acts_as: Of a function: the id of its role, whose permissions its callers make use of.
    """

    id: str
    kind: ResourceKind
    label: str
    stack: str
    encrypted_by: str | None
    acts_as: str | None


@dataclass(frozen=True)
class ActionName:
    """An action, its target (``key``, ``bucket``, ``object``, ``function``, ``role``) and its group in reports."""

    name: str
    target: str
    group: str


@dataclass(frozen=True)
class Statement:
    """A policy statement that decides about access, with its place."""

    policy: str
    index: int
    text: str


@dataclass(frozen=True)
class Access:
    """One thing that one principal can do.

    Attributes:
        principal: Its id.
        resource: The id of the key, bucket, function or role.
        action: The action's name.
        target: ``key``, ``bucket``, ``object``, ``function`` or ``role``.
        scope: A pattern of object keys that it is about, None for all that no other entry is about.
        condition: The condition; ``NEVER`` only for a scope that is cut out of a wider access.
        statements: Indices of the statements that decide it.
    """

    principal: str
    resource: str
    action: str
    target: str
    scope: str | None
    condition: Condition
    statements: tuple[int, ...] = ()

    @property
    def cell(self) -> tuple[str, str, str, str, str]:
        """What identifies the entry in every matrix."""
        return self.resource, self.principal, self.target, self.scope or "", self.action


@dataclass(frozen=True)
class EscalationStep:
    """One step towards the use of a key.

    Attributes:
        principal: Who takes it.
        target: What it becomes (``become``), or whose permissions it decides (``change``): a principal's or key's id.
        methods: What allows the step, any of them by itself.
        effect: ``become`` or ``change``.
        condition: When one of the methods works.
    """

    principal: str
    target: str
    methods: tuple[str, ...]
    effect: str
    condition: Condition


@dataclass(frozen=True)
class Escalation:
    """A path by which a principal can come to use a key.

    Attributes:
        principal: Who takes the path.
        resource: The id of the key.
        user: The principal that uses the key and stands at the end of the path.
        path: The steps.
        condition: When all of them work.
    """

    principal: str
    resource: str
    user: str
    path: tuple[EscalationStep, ...]
    condition: Condition

    @property
    def cell(self) -> tuple[str, str, str]:
        """What identifies the path in every matrix."""
        return self.resource, self.principal, self.user


def statement_text(statement: Mapping[str, Any]) -> str:
    """Return a policy statement as the JSON text that reports show."""
    return json.dumps(statement, indent=2, sort_keys=False, ensure_ascii=False)


def normal_text(text: str) -> str:
    """Return a statement's text without what says nothing: its id, orders, lists of one."""
    found = statement_of(text)
    return json.dumps(_sorted(found, top=True), sort_keys=True, ensure_ascii=False) if found else text


def statement_of(text: str) -> dict[str, Any]:
    """Return a statement's members; none of a text that was made visible for a report, which is compared as it is."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _sorted(value: Any, *, top: bool = False) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(item) for name, item in value.items() if not (top and name == "Sid")}
    if isinstance(value, list):
        return sorted((_sorted(item) for item in value), key=repr) if len(value) != 1 else _sorted(value[0])
    return value


_LISTS = frozenset({"Action", "Principal", "Resource"})
_READ = _LISTS | {"Condition"}


def is_part(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether a statement names nothing, and applies to no request, that another does not, and is like it."""
    rest, same = ({name: value for name, value in it.items() if name not in _READ} for it in (one, other))
    alike = bool(rest) and rest == same and one.keys() & _LISTS == other.keys() & _LISTS
    return (
        alike
        and _leaves(other.get("Condition", {})) <= _leaves(one.get("Condition", {}))
        and all(
            any(wider == it or ("?" not in wider and matches(wider, it)) for wider in _named(name, other))
            for name in _LISTS & one.keys()
            for it in _named(name, one)
        )
    )


def _leaves(value: Any) -> set[str]:
    if not isinstance(value, Mapping):
        return {repr(value)}
    return {f"{name} {it}" for name, part in value.items() for it in _leaves(part)}


def _named(member: str, statement: Mapping[str, Any]) -> set[str]:
    """Return what a member names, each with its kind; ``*`` alone as a principal is ``*`` of ``AWS``."""
    value = statement[member]
    by_kind = value if isinstance(value, Mapping) else {"AWS": value}
    kinds = {kind: named if isinstance(named, list) else [named] for kind, named in by_kind.items()}
    found = {f"{kind} {it}" for kind, named in kinds.items() for it in named}
    return {it.lower() for it in found} if member == "Action" else found
