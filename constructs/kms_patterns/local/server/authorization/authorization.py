"""May this principal do this with this key? Key policy, identity policies and grants, limits, denies.

The key policy is always required, unless a grant allows. A statement for the account (its root principal) only
delegates to IAM, and only when its own conditions match: then an identity policy must allow too. A statement that
names the caller suffices.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kms_patterns.local.server.authorization.caller import Caller
from kms_patterns.local.server.authorization.evaluation import Decision, Policies, decide
from kms_patterns.local.server.authorization.identity_policies import parse_text
from kms_patterns.local.server.authorization.patterns import Lookup, Value
from kms_patterns.local.server.authorization.statements import Request
from kms_patterns.local.server.emulator.emulator import EVALUATOR, RESPONSES, reach
from kms_patterns.local.server.kms.keys import KeyRecord

ROOT = Decision(allowed=True, reason="root credential")
_REASONS = {
    "resource and identity policy": "key policy and identity policy",
    "resource policy": "key policy names the principal",
}


def authorize_key(caller: Caller, action: str, record: KeyRecord, values: Mapping[str, Any]) -> Decision:
    """Decide on ``action`` with the key ``record``, under the condition key ``values``."""
    if caller.is_root:
        return ROOT
    key_policy = parse_text(str(record.get("Policy") or ""), "key policy")
    request = _request(caller, action, record["Arn"], values)
    decision = decide(request, Policies(caller.identity, caller.limits, key_policy), resource_required=True)
    return replace(decision, reason=_REASONS.get(decision.reason, decision.reason))


def authorize_identity(caller: Caller, action: str, resource: str, values: Mapping[str, Any]) -> Decision:
    """Decide by the identity policies alone, for an action without a key: CreateKey, ListAliases, an alias."""
    if caller.is_root:
        return ROOT
    policies = Policies(caller.identity, caller.limits)
    return decide(_request(caller, action, resource, values), policies, resource_required=False)


def lookup_in(context: object) -> Lookup:
    """Return a function that gives a condition key's value in the emulator's request ``context``."""

    def lookup(key: str) -> Value:
        value = reach(EVALUATOR, "_resolve_condition_key")(key, context)
        return [str(item) for item in value] if isinstance(value, list | tuple | set) else _text(value)

    return lookup


def _text(value: object) -> str | None:
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _request(caller: Caller, action: str, resource: str, values: Mapping[str, Any]) -> Request:
    context = reach(EVALUATOR, "EvalContext")(
        principal_arn=caller.arn,
        principal_type=caller.kind,
        principal_account=caller.account,
        action=action,
        resource_arn=resource,
        region=reach(RESPONSES, "get_region")(),
        service_context=dict(values),
        principal_keys=dict(caller.keys or {}),
    )
    return Request(action, resource, caller.principal, lookup_in(context))
