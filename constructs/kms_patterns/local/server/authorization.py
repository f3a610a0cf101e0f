"""May this principal do this with this key? Key policy and identity policies, conditions, boundaries, denies.

The key policy is always required. A statement for the account (its root principal) only delegates to IAM, and only
when its own conditions match: then an identity policy must allow too. A statement that names the caller suffices.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kms_patterns.local.server.caller import Caller
from kms_patterns.local.server.emulator import EVALUATOR, RESPONSES, reach
from kms_patterns.local.server.keys import KeyRecord


@dataclass(frozen=True)
class Decision:
    """Allowed or not, and why."""

    allowed: bool
    reason: str


ROOT = Decision(allowed=True, reason="root credential")
_BOTH = Decision(allowed=True, reason="key policy and identity policy")
_NAMED = Decision(allowed=True, reason="key policy names the principal")
_IDENTITY = Decision(allowed=True, reason="identity policy")


def authorize_key(caller: Caller, action: str, record: KeyRecord, values: Mapping[str, Any]) -> Decision:
    """Decide on ``action`` with the key ``record``, under the condition key ``values``."""
    if caller.is_root:
        return ROOT
    request = _request(caller, action, record["Arn"], values)
    identity = _evaluate_identity(caller, request)
    policy = record.get("Policy") or ""
    evaluate = reach(EVALUATOR, "evaluate_resource_policy")
    key = evaluate(policy, request)
    if "Deny" in (key.decision, identity.decision):
        kind, found = ("a resource", key) if key.decision == "Deny" else ("an identity", identity)
        return _denied(f"with an explicit deny in {kind}-based policy", found.matched_sid)
    if key.decision != "Allow":
        return _denied(f"because no resource-based policy allows the {action} action")
    if identity.decision == "Allow":
        return _BOTH
    if evaluate(policy, request, named_only=True).decision == "Allow" and _within_limits(caller, request, policy):
        return _NAMED
    return _denied(f"because no identity-based policy allows the {action} action")


def authorize_identity(caller: Caller, action: str, resource: str, values: Mapping[str, Any]) -> Decision:
    """Decide by the identity policies alone, for an action without a key: CreateKey, ListAliases, an alias."""
    if caller.is_root:
        return ROOT
    result = _evaluate_identity(caller, _request(caller, action, resource, values))
    if result.decision == "Allow":
        return _IDENTITY
    if result.decision == "Deny":
        return _denied("with an explicit deny in an identity-based policy", result.matched_sid)
    return _denied(f"because no identity-based policy allows the {action} action")


def _evaluate_identity(caller: Caller, request: object) -> Any:
    return reach(EVALUATOR, "evaluate")(request, caller.policies, *caller.limits)


def _within_limits(caller: Caller, request: object, policy: str) -> bool:
    # A boundary or session policy narrows what a key policy gives a role, unless it names the very session.
    match = reach(EVALUATOR, "_first_match")
    allowed = all(match(request, [s for document in limit for s in document], "Allow") for limit in caller.limits)
    direct = reach(EVALUATOR, "evaluate_resource_policy")(policy, request, direct_only=True)
    return allowed or direct.decision == "Allow"


def _request(caller: Caller, action: str, resource: str, values: Mapping[str, Any]) -> object:
    return reach(EVALUATOR, "EvalContext")(
        principal_arn=caller.arn,
        principal_type=caller.kind,
        principal_account=caller.account,
        action=action,
        resource_arn=resource,
        region=reach(RESPONSES, "get_region")(),
        service_context=dict(values),
        principal_keys=dict(caller.keys),
    )


def _denied(reason: str, sid: str = "") -> Decision:
    return Decision(allowed=False, reason=f"{reason} ({sid})" if sid else reason)
