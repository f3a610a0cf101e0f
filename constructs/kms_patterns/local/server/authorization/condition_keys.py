"""The global condition keys of a request: those that AWS always sets, those that cannot exist here, and the rest.

A key that AWS leaves out of a request is absent; a key of which we cannot tell is unknown. A Deny on an absent key does
not apply, a Deny on an unknown one does.

AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from collections.abc import Callable, Mapping
from typing import Any

from kms_patterns.local.server.authorization.patterns import UNKNOWN, Lookup, Value
from kms_patterns.local.server.emulator.emulator import EVALUATOR, reach

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
        if value is not None:
            return [str(item) for item in value] if isinstance(value, list | tuple | set) else _text(value)
        return _without_value(key.lower(), context, known)

    return lookup


def _without_value(key: str, context: Any, known: Callable[[str], bool] | None) -> Value:
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
