"""What KMS refuses to store: malformed key policies, those that lock their author out, reserved aliases.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from kms_patterns.local.server.authorization.authorization import authorize_key
from kms_patterns.local.server.authorization.caller import Caller
from kms_patterns.local.server.kms.kms_errors import KmsError, constraint, invalid
from kms_patterns.local.server.kms.members import Request

MOST_BYTES = 32768
_ANY_KEY = "arn:aws:kms:us-east-1:000000000000:key/any"
_ALIAS = re.compile(r"alias/[a-zA-Z0-9/_-]{1,250}")
_LOCKED_OUT = "The new key policy will not allow you to update the key policy in the future."
_REQUIRED = (("Effect",), ("Principal", "NotPrincipal"), ("Action", "NotAction"), ("Resource", "NotResource"))


def check(operation: str, request: Request, caller: Caller) -> None:
    """Refuse a control plane request that KMS would refuse.

    Raises:
        KmsError: MalformedPolicyDocumentException, InvalidAliasNameException, NotAuthorizedException.
    """
    if operation in _CHECKS:
        _CHECKS[operation](request, caller)


def _policy(request: Request, caller: Caller) -> None:
    document = request.get("Policy")
    if document is None:
        return
    _well_formed(str(document))
    if request.get("BypassPolicyLockoutSafetyCheck"):
        return
    # The key policy alone is looked at, and it binds root here: what it delegates to the account is not locked out.
    author = Caller(caller.arn, "Author", caller.account)
    decision = authorize_key(author, "kms:PutKeyPolicy", {"Arn": _ANY_KEY, "Policy": document}, {})
    if not decision.allowed and not decision.reason.startswith("because no identity-based"):
        raise KmsError("MalformedPolicyDocumentException", _LOCKED_OUT)


def _well_formed(document: str) -> None:
    if len(document.encode()) > MOST_BYTES:
        raise KmsError("LimitExceededException", f"A key policy has at most {MOST_BYTES} bytes.")
    try:
        policy = json.loads(document)
    except ValueError as malformed:
        raise _malformed("This policy contains invalid Json") from malformed
    statements = policy.get("Statement") if isinstance(policy, Mapping) else None
    statements = [statements] if isinstance(statements, Mapping) else statements
    if not isinstance(statements, list) or not statements:
        raise _malformed("Missing required field Statement")
    for statement in statements:
        _statement(statement)


def _statement(statement: Any) -> None:
    if not isinstance(statement, Mapping):
        raise _malformed("a statement must be an object")
    for names in _REQUIRED:
        if sum(name in statement for name in names) != 1:
            raise _malformed(f"a statement must have exactly one of {' and '.join(names)}")
    if statement["Effect"] not in {"Allow", "Deny"}:
        raise _malformed(f"Invalid effect: {statement['Effect']}")


def _malformed(message: str) -> KmsError:
    return KmsError("MalformedPolicyDocumentException", message)


def _alias(request: Request, _caller: Caller) -> None:
    name = str(request.get("AliasName") or "")
    if name.startswith("alias/aws/"):
        raise KmsError("NotAuthorizedException", "The alias prefix alias/aws/ is reserved.")
    if not name.startswith("alias/"):
        raise invalid("Invalid identifier: an alias name begins with alias/.")
    if not _ALIAS.fullmatch(name):
        raise constraint("aliasName", "satisfy regular expression pattern: ^alias/[a-zA-Z0-9/_-]+$")


_CHECKS: Mapping[str, Callable[[Request, Caller], None]] = {
    "CreateAlias": _alias,
    "CreateKey": _policy,
    "DeleteAlias": _alias,
    "PutKeyPolicy": _policy,
    "ReplicateKey": _policy,
    "UpdateAlias": _alias,
}
