"""May this principal do this with this key? Key policy, identity policies and grants, limits, denies.

The key policy is always required, unless a grant allows. A statement for the account (its root principal) only
delegates to IAM, and only when its own conditions match: then an identity policy must allow too. A statement that
names the caller suffices.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from kms_patterns.local.server.authorization.caller import Caller, bound_ids, by_unique_id
from kms_patterns.local.server.authorization.decision import Decision, Policies, decide
from kms_patterns.local.server.authorization.patterns import UNKNOWN, Lookup, Unknown, Value
from kms_patterns.local.server.authorization.policy_statements import KEY_POLICY, Request, parse
from kms_patterns.local.server.emulator.emulator import EVALUATOR, RESPONSES, reach
from kms_patterns.local.server.kms.key_records import KeyRecord

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
    key_policy = parse(str(record.get("Policy") or ""), KEY_POLICY)
    request = _request(caller, action, record["Arn"], values, known)
    # The policy of an AWS managed key binds the root credential as well.
    identity = parse(EVERYTHING, "the account root") if caller.is_root else caller.identity
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


# Set by the emulator when the request has them, so absent when it does not find them.
_OF_EMULATOR = frozenset({
    "aws:currenttime", "aws:epochtime", "aws:multifactorauthpresent", "aws:principalaccount", "aws:principalarn",
    "aws:principaltype", "aws:requestedregion", "aws:resourceaccount", "aws:securetransport", "aws:sourceidentity",
    "aws:sourceip", "aws:tagkeys", "aws:tokenissuetime", "aws:userid", "aws:username",
})  # fmt: skip
# The embedded AWS has neither an organization nor VPC endpoints, MFA devices or calls by service principals.
_NEVER_HERE = frozenset({
    "aws:assumedroot", "aws:calledvia", "aws:calledviafirst", "aws:calledvialast", "aws:chatbotsourcearn",
    "aws:multifactorauthage", "aws:principalorgid", "aws:principalorgpaths", "aws:principalservicename",
    "aws:principalservicenameslist", "aws:referer", "aws:resourceorgid", "aws:resourceorgpaths", "aws:sourceaccount",
    "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths", "aws:sourcevpc", "aws:sourcevpcarn", "aws:sourcevpce",
    "aws:vpceaccount", "aws:vpceorgid", "aws:vpceorgpaths", "aws:vpcsourceip",
})  # fmt: skip
# Keys that a role's session brings along into the requests of every service; an identity provider's are its host name.
_OF_SESSIONS = (
    "codebuild:", "cognito-identity", "ec2:roledelivery", "ec2:sourceinstancearn", "glue:credentialissuingservice",
    "glue:roleassumedby", "identitystore:userid", "lambda:sourcefunctionarn", "saml:", "ssm:sourceinstancearn", "sts:",
)  # fmt: skip
_TAGS = ("aws:principaltag/", "aws:requesttag/", "aws:resourcetag/")
_ALWAYS: Mapping[str, str] = {"aws:principalisawsservice": "false", "aws:viaawsservice": "false"}


def lookup_in(context: Any, known: Callable[[str], bool] | None = None) -> Lookup:
    """Return a function that gives a condition key's value in the emulator's request ``context``.

    Args:
        context: The emulator's.
        known: Tells whether a key of a service, in lower case, is absent when it has no value. Defaults to every key.
    """

    def lookup(key: str) -> Value:
        value = reach(EVALUATOR, "_resolve_condition_key")(key, context)
        value = value() if callable(value) else value
        if isinstance(value, Unknown):
            return value
        if value is not None:
            return [str(item) for item in value] if isinstance(value, list | tuple | set) else _text(value)
        return _without_value(key.lower(), context, known)

    return lookup


def _without_value(key: str, context: Any, known: Callable[[str], bool] | None) -> Value:
    if key in context.service_context:
        # Filled with nothing: the request has none.
        return None
    if key == "aws:useragent":
        return _user_agent()
    if key in _ALWAYS:
        return _ALWAYS[key]
    if key.startswith("aws:"):
        absent = key in _OF_EMULATOR or key in _NEVER_HERE or key.startswith(_TAGS)
    elif key.startswith(_OF_SESSIONS) or "." in key.partition(":")[0]:
        absent = context.principal_type in {"User", "Root"}
    else:
        absent = known is None or known(key)
    return None if absent else UNKNOWN


def _user_agent() -> Value:
    request = reach(EVALUATOR, "_signed_request").get()
    headers = request.headers if request is not None else {}
    return next((str(value) for name, value in headers.items() if name.lower() == "user-agent"), UNKNOWN)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
