"""May this principal do this with this key? Key policy, identity policies and grants, limits, denies.

The key policy is always required, unless a grant allows. A statement for the account (its root principal) only
delegates to IAM, and only when its own conditions match: then an identity policy must allow too. A statement that
names the caller suffices.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from kms_patterns.local.server.authorization.caller import Caller
from kms_patterns.local.server.authorization.condition_keys import lookup_in
from kms_patterns.local.server.authorization.evaluation import Decision, Policies, decide
from kms_patterns.local.server.authorization.identity_policies import parse_text
from kms_patterns.local.server.authorization.statements import Request
from kms_patterns.local.server.authorization.unique_ids import bound_ids, by_unique_id
from kms_patterns.local.server.emulator.emulator import EVALUATOR, RESPONSES, reach
from kms_patterns.local.server.kms.keys import KeyRecord

Known = Callable[[str], bool]

EVERYTHING = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}'
ROOT = Decision(allowed=True, reason="root credential")
_REASONS = {
    "resource and identity policy": "key policy and identity policy",
    "resource policy": "key policy names the principal",
}


def authorize_key(
    caller: Caller, action: str, record: KeyRecord, values: Mapping[str, Any], known: Known | None = None
) -> Decision:
    """Decide on ``action`` with the key ``record``.

    Args:
        caller: The principal.
        action: Such as ``kms:Decrypt``.
        record: The key.
        values: The request's condition keys, in lower case.
        known: Tells of a condition key without a value whether it is absent rather than unknown.
    """
    managed = bool(record.get("_managed"))
    if caller.is_root and not managed:
        return ROOT
    key_policy = parse_text(str(record.get("Policy") or ""), "key policy")
    request = _request(caller, action, record["Arn"], values, known)
    # The policy of an AWS managed key binds the root credential as well.
    identity = parse_text(EVERYTHING, "the account root") if caller.is_root else caller.identity
    named = by_unique_id(key_policy, bound_ids(record), caller)
    decision = decide(request, Policies(identity, caller.limits, named), resource_required=True)
    return replace(decision, reason=_REASONS.get(decision.reason, decision.reason))


def authorize_identity(
    caller: Caller, action: str, resource: str, values: Mapping[str, Any], known: Known | None = None
) -> Decision:
    """Decide by the identity policies alone, for a permission without a key: CreateKey, ListAliases, an alias."""
    if caller.is_root:
        return ROOT
    policies = Policies(caller.identity, caller.limits)
    return decide(_request(caller, action, resource, values, known), policies, resource_required=False)


def _request(caller: Caller, action: str, resource: str, values: Mapping[str, Any], known: Known | None) -> Request:
    context = reach(EVALUATOR, "EvalContext")(
        principal_arn=caller.arn,
        principal_type=caller.kind,
        principal_account=caller.account,
        action=action,
        resource_arn=resource,
        region=values.get("aws:requestedregion") or reach(RESPONSES, "get_region")(),
        service_context=dict(values),
        principal_keys=dict(caller.keys or {}),
    )
    return Request(action, resource, caller.principal, lookup_in(context, known))
