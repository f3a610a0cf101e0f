"""Who acts while the emulator works on by itself: CloudFormation, Step Functions and EventBridge have no request.

On AWS they call the other services as the caller of the operation, or as the role that they were given. Here that
principal is kept with the work (a context variable, which the emulator's tasks and threads copy), and every step asks
for its permissions.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from kms_patterns.local.server.authorization.caller import Caller, caller_of
from kms_patterns.local.server.emulator.emulator import ACTIONS, EVALUATOR, RESPONSES, reach
from kms_patterns.local.server.emulator.role_credentials import role_session
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
        region = reach(RESPONSES, "get_region")()
        return {"authorization": f"AWS4-HMAC-SHA256 Credential={self.access_key}/20260101/{region}/aws/aws4_request"}

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
        NotAssumable: There is no such role, or it does not trust the service.
    """
    return Acting(role_session(role_arn, service, session_name)["AccessKeyId"])
