"""Who acts while the emulator works on by itself: CloudFormation, Step Functions and EventBridge have no request.

On AWS they call the other services as the caller of the operation, or as the role that they were given. Here that
principal is kept with the work (a context variable, which the emulator's tasks and threads copy), and every step asks
for its permissions. A role that trusts a service gives the session in which the service acts.
"""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from kms_patterns.local.server.authorization.caller import Caller, caller_of
from kms_patterns.local.server.emulator.emulator import ACTIONS, EVALUATOR, IAM, RESPONSES, STS, reach
from kms_patterns.local.server.kms.kms_call import called_via


class NotPermitted(Exception):
    """The acting principal lacks a permission; the text is AWS's message of AccessDenied."""


@dataclass(frozen=True)
class Acting:
    """The principal in whose name the emulator works, by the access key of its user or session.

    Attributes:
        access_key: The access key.
        called_via: The service principal that forwards the caller's own session; None for a role of the service.
    """

    access_key: str
    called_via: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Headers that carry its credentials, for the emulator's handlers; no signature is checked behind the door."""
        return {"authorization": self.credential("aws")}

    def credential(self, service: str) -> str:
        """Return the header that names it as the caller of a service."""
        region = reach(RESPONSES, "get_region")()
        return f"AWS4-HMAC-SHA256 Credential={self.access_key}/20260101/{region}/{service}/aws4_request"

    @property
    def caller(self) -> Caller:
        """The principal with its policies.

        Raises:
            KmsError: AccessDeniedException: it was deleted, or its session has expired.
        """
        return caller_of(self.headers, {})

    def require(self, action: str, resource: str = "*", **conditions: Any) -> None:
        """Check a permission.

        Args:
            action: Such as ``s3:CreateBucket``; for KMS ask ``KmsService.require``, which knows key policies.
            resource: The ARN that policies are compared with.
            conditions: Values of condition keys, by name.

        Raises:
            NotPermitted: The policies do not allow it, or the principal is gone.
        """
        service = action.partition(":")[0]
        denied = reach(EVALUATOR, "enforce")(
            self.access_key,
            action,
            service,
            reach(RESPONSES, "get_region")(),
            resource_arn=resource,
            service_context={**called_via(self.called_via), **conditions},
        )
        if denied is None:
            return
        if isinstance(denied, reach(EVALUATOR, "AuthError")):
            raise NotPermitted(f"{denied.message} ({action})")
        message = reach(ACTIONS, "identity_denial_message")
        raise NotPermitted(message(action, denied.principal_arn, resource, denied.decision == "Deny"))


request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id that the response to the request carries which is being served, or which set the work going."""
requester: ContextVar[str | None] = ContextVar("requester", default=None)
"""The access key of the request that is being served, or which set the work going."""
read_by_requester: ContextVar[frozenset[str]] = ContextVar("read_by_requester", default=frozenset())
"""ARNs of the objects that the request itself names, such as its template: not its service role reads them."""
_current: ContextVar[Acting | None] = ContextVar("acting", default=None)


def acting() -> Acting | None:
    """Return who acts, None while a request of a client is being served."""
    return _current.get()


@contextmanager
def acting_as(principal: Acting) -> Iterator[None]:
    """Do what follows, and what is started meanwhile, in the name of ``principal``."""
    token = _current.set(principal)
    try:
        yield
    finally:
        _current.reset(token)


def service_role(role_arn: str, service: str, session_name: str) -> Acting:
    """Return a new session of a role that ``service`` acts as.

    Raises:
        NotAssumable: The role does not exist, or it does not trust the service.
    """
    return Acting(role_session(role_arn, service, session_name)["AccessKeyId"])


DURATION = 6 * 3600
_ARN_COLONS = 5


class NotAssumable(Exception):
    """The role does not exist or does not trust the service."""


def role_session(role_arn: str, service: str | None, session_name: str) -> dict[str, str]:
    """Return credentials of a new session of ``role_arn``, if the role trusts who asks.

    Args:
        role_arn: The role, with its path.
        service: A service principal such as ``ec2.amazonaws.com``; None for the account itself.
        session_name: The last part of the session's ARN; for EC2 it is the instance id.

    Raises:
        NotAssumable: The role does not exist, or its trust policy does not allow who asks.
    """
    if role_arn.count(":") < _ARN_COLONS:
        raise NotAssumable(f"{role_arn!r} is not the ARN of a role")
    account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    role = reach(IAM, "_roles").get_scoped(account, None, name)
    if role is None or role["Arn"] != role_arn:
        raise NotAssumable(f"role {role_arn} does not exist")
    asking = service or f"arn:aws:iam::{account}:root"
    if not _trusts(role.get("AssumeRolePolicyDocument") or "{}", asking, "Service" if service else "AWS"):
        raise NotAssumable(f"the trust policy of {role_arn} does not allow {asking} to assume it")
    credentials = {
        "AccessKeyId": "ASIA" + secrets.token_hex(8).upper(),
        "SecretAccessKey": secrets.token_hex(20),
        "SessionToken": secrets.token_hex(64),
    }
    reach(STS, "register_session")(credentials["AccessKeyId"], {
        "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session_name}",
        "UserId": f"{role['RoleId']}:{session_name}",
        "SecretAccessKey": credentials["SecretAccessKey"],
        "SessionToken": credentials["SessionToken"],
        "Expiration": time.time() + DURATION,
    })  # fmt: skip
    return credentials


def trusts(role_arn: str, service: str) -> bool:
    """Return whether a role lets a service assume it; of a role that does not exist it is not known."""
    account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    role = reach(IAM, "_roles").get_scoped(account, None, name)
    return role is None or _trusts(role.get("AssumeRolePolicyDocument") or "{}", service, "Service")


def trusted_service(role_arn: str) -> str | None:
    """Return a service that a role trusts, if it does not trust its own account; None otherwise."""
    account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    document = (reach(IAM, "_roles").get_scoped(account, None, name) or {}).get("AssumeRolePolicyDocument") or "{}"
    if _trusts(document, f"arn:aws:iam::{account}:root", "AWS"):
        return None
    policy: dict[str, Any] = json.loads(document) if isinstance(document, str) else document
    statements = policy.get("Statement", [])
    statements = [statements] if isinstance(statements, dict) else statements
    named = [service for statement in statements for service in _principals(statement.get("Principal"), "Service")]
    return next((service for service in named if _trusts(document, service, "Service")), None)


def _trusts(document: str | dict[str, Any], asking: str, kind: str) -> bool:
    # The emulator lets the account root assume what trusts any service, and matches no service by name: it is given
    # the principals of the one kind that asks, as if they were AWS principals.
    policy: dict[str, Any] = json.loads(document) if isinstance(document, str) else document
    statements = policy.get("Statement", [])
    statements = [statements] if isinstance(statements, dict) else statements
    named = [
        statement | {"Principal": {"AWS": _principals(statement.get("Principal"), kind)}} for statement in statements
    ]
    request = reach(EVALUATOR, "EvalContext")(
        principal_arn=asking,
        principal_type=kind,
        principal_account="",
        action="sts:AssumeRole",
        resource_arn="*",
        region="",
    )
    return bool(reach(EVALUATOR, "evaluate_trust_policy")({"Statement": named}, asking, request))


def _principals(principal: object, kind: str) -> list[str]:
    if not isinstance(principal, dict):
        return [str(principal)] if principal == "*" and kind == "AWS" else []
    named = principal.get(kind, [])
    return [named] if isinstance(named, str) else list(named)
