"""The grammar of policy documents: what IAM and KMS refuse to store.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kms_patterns.local.server.authorization.caller import principal_exists
from kms_patterns.local.server.authorization.operators import is_operator
from kms_patterns.local.server.faults import is_new_role

_VERSIONS = ("2012-10-17", "2008-10-17")
_PRINCIPAL = ("Principal", "NotPrincipal")
RESOURCE = ("Resource", "NotResource")
_SERVICE = re.compile(r"[a-z0-9.-]+\.(amazonaws\.com(\.cn)?|aws\.internal)")
_CANONICAL = re.compile(r"[0-9a-f]{64}")
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_ACTION = re.compile(r"\*|[\w*?-]+:[\w*?-]+", re.ASCII)
_ARN = re.compile(r"\*|arn:.*", re.DOTALL)
_ALPHANUMERIC = re.compile(r"[0-9A-Za-z]*")


class Malformed(ValueError):
    """A policy document that AWS refuses to store, in AWS's words where they are known."""


@dataclass(frozen=True)
class Grammar:
    """What a kind of policy has besides the elements of each.

    Args:
        required: Of each group, exactly one element stands in a statement.
        prohibited: Elements that this kind has not, with the refusal.
        any_sid: Whether a Sid may have characters other than letters and digits.
        actions: What its actions begin with, and the refusal of others; of any service if it is empty.
    """

    required: tuple[tuple[str, ...], ...]
    prohibited: Mapping[str, str]
    any_sid: bool = False
    actions: tuple[str, str] = ("", "")


_OF_EACH = (("Effect",), ("Action", "NotAction"))
_NO_PRINCIPAL = "Policy document should not specify a principal."
KEY_POLICY = Grammar((*_OF_EACH, _PRINCIPAL, RESOURCE), {}, any_sid=True)
IDENTITY_POLICY = Grammar((*_OF_EACH, RESOURCE), dict.fromkeys(_PRINCIPAL, _NO_PRINCIPAL))
RESOURCE_POLICIES: Mapping[str, Grammar] = {
    service: Grammar(KEY_POLICY.required, {}, any_sid=True, actions=(f"{service}:", refused))
    for service, refused in (
        ("events", "The policy has an action of another service."),
        ("s3", "Policy has invalid action"),
        ("secretsmanager", "The policy has an action of another service."),
        ("sns", "Policy statement action out of service scope!"),
        ("sqs", "The policy has an action of another service."),
    )
}
TRUST_POLICY = Grammar(
    (*_OF_EACH, ("Principal",)),
    {
        **dict.fromkeys(RESOURCE, "Has prohibited field Resource"),
        "NotPrincipal": "AssumeRole policy must not contain NotPrincipal field.",
    },
    actions=("sts:", "AssumeRole policy may only specify STS AssumeRole actions."),
)


def check_document(document: str | Mapping[str, Any], grammar: Grammar) -> None:
    """Refuse a policy document that AWS does not store.

    Raises:
        Malformed: The first fault found.
    """
    try:
        text = document if isinstance(document, str) else json.dumps(document)
        policy = json.loads(text, object_pairs_hook=_once)
    except (ValueError, TypeError, RecursionError) as malformed:
        raise Malformed("This policy contains invalid Json") from malformed
    if not isinstance(policy, Mapping):
        raise Malformed("This policy contains invalid Json")
    if set(policy) - {"Version", "Id", "Statement"}:
        raise Malformed(f"Syntax error at {', '.join(sorted(set(policy) - {'Version', 'Id', 'Statement'}))}")
    if policy.get("Version", _VERSIONS[0]) not in _VERSIONS or not isinstance(policy.get("Id", ""), str):
        raise Malformed("The policy must contain a valid version string")
    statements = policy.get("Statement")
    statements = [statements] if isinstance(statements, Mapping) else statements
    if not isinstance(statements, list) or not statements:
        raise Malformed("Missing required field Statement")
    for statement in statements:
        _statement(statement, grammar)
    sids = [statement["Sid"] for statement in statements if statement.get("Sid")]
    if len(set(sids)) < len(sids):
        raise Malformed("Statement IDs (SID) in a single policy must be unique.")


def identity_policies(_original: Callable[..., str | None]) -> Callable[[Any], str | None]:
    """Return IAM's and STS's check of a policy of an identity or a session: the message of a malformed one."""
    return lambda document: refused_document(document, IDENTITY_POLICY)


def trust_policies(_original: Callable[..., str | None]) -> Callable[[Any], str | None]:
    """Return IAM's check of a role's trust policy."""
    return lambda document: refused_document(document, TRUST_POLICY)


def refused_document(document: Any, grammar: Grammar) -> str | None:
    """Return why AWS does not store a policy document; None if it does."""
    try:
        check_document(document, grammar)
    except Malformed as refused:
        return str(refused)
    return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an element is given twice")
    return found


def _statement(statement: Any, grammar: Grammar) -> None:
    if not isinstance(statement, Mapping):
        raise Malformed("a statement must be an object")
    _elements(statement, grammar)
    if statement["Effect"] not in ("Allow", "Deny"):
        raise Malformed(f"Invalid effect: {statement['Effect']}")
    _sid(statement.get("Sid", ""), grammar)
    _actions(listed(statement, ("Action", "NotAction")), grammar)
    for arn in listed(statement, RESOURCE):
        if not grammar.any_sid and not _ARN.fullmatch(arn):
            raise Malformed(f'Resource {arn} must be in ARN format or "*".')
    if any(name in statement for name in _PRINCIPAL):
        _principals(statement.get("Principal", statement.get("NotPrincipal")), grammar)
    _condition(statement.get("Condition", {}))


def _elements(statement: Mapping[str, Any], grammar: Grammar) -> None:
    for name, refused in grammar.prohibited.items():
        if name in statement:
            raise Malformed(refused)
    known = {"Sid", "Condition", *(name for names in grammar.required for name in names)}
    if set(statement) - known:
        raise Malformed(f"Syntax error: a statement has no element {', '.join(sorted(set(statement) - known))}")
    for names in grammar.required:
        # KMS stores a statement without actions or resources; policy_statements gives it no effect.
        # AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html (Policy)
        least = 0 if grammar is KEY_POLICY and names in {_OF_EACH[1], RESOURCE} else 1
        if not least <= sum(name in statement for name in names) <= 1:
            raise Malformed(f"a statement must have exactly one of {' and '.join(names)}")


def listed(statement: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    """Return the texts of whichever of the elements a statement has.

    Raises:
        Malformed: One of them is not a text.
    """
    for name in names:
        if name in statement:
            found = _texts(statement[name])
            if not found:
                raise Malformed(f"{name} must be a string or a list of strings that is not empty")
            return found
    return []


def _sid(sid: Any, grammar: Grammar) -> None:
    if not isinstance(sid, str):
        raise Malformed("a Sid must be a string")
    if not grammar.any_sid and not _ALPHANUMERIC.fullmatch(sid):
        raise Malformed("Statement IDs (SID) must be alpha-numeric, as in the regular expression [0-9A-Za-z]*.")


def _actions(actions: list[str], grammar: Grammar) -> None:
    for action in actions:
        if ":" not in action and action != "*":
            raise Malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
        if not _ACTION.fullmatch(action):
            raise Malformed(f"Actions/Condition can contain only one colon: {action}")
        beginning, refused = grammar.actions
        if not action.lower().startswith(beginning) and (action != "*" or beginning == "sts:"):
            raise Malformed(refused)


def _principals(principal: Any, grammar: Grammar) -> None:
    if principal == "*":
        return
    if not isinstance(principal, Mapping) or not principal:
        raise Malformed("Policy contains a statement with no principal.")
    for kind, entries in principal.items():
        listed = _texts(entries)
        if not listed or not all(_is_principal(kind, entry, grammar) for entry in listed):
            if grammar is KEY_POLICY:
                raise Malformed("Policy contains a statement with one or more invalid principals.")
            named = f': "{kind}":"{listed[0]}"' if listed and grammar is TRUST_POLICY else ""
            raise Malformed(f"Invalid principal in policy{named}")


def _is_principal(kind: str, entry: str, grammar: Grammar) -> bool:
    if kind == "AWS":
        return (
            entry == "*"
            or _ACCOUNT.fullmatch(entry) is not None
            or (principal_exists(entry) and not is_new_role(entry))
        )
    if kind == "CanonicalUser":
        return _CANONICAL.fullmatch(entry) is not None and grammar is RESOURCE_POLICIES["s3"]
    return kind == "Federated" or (kind == "Service" and _SERVICE.fullmatch(entry) is not None)


def _condition(condition: Any) -> None:
    if not isinstance(condition, Mapping):
        raise Malformed("Condition must be an object")
    for operator, block in condition.items():
        if not is_operator(operator):
            raise Malformed(f"Invalid Condition type : {operator}.")
        if not isinstance(block, Mapping) or not all(map(_is_value, block.values())):
            raise Malformed(f"The condition {operator} must map condition keys to values")


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return values if all(isinstance(item, str) and item for item in values) else []


def _is_value(value: Any) -> bool:
    return all(isinstance(item, str | int | float | bool) for item in (value if isinstance(value, list) else [value]))
