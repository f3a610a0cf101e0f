"""What every request is checked for besides its own permission: roles that it passes, keys that nothing would ask for.

AWS: https://docs.aws.amazon.com/service-authorization/latest/reference/list_identityandaccessmanagement.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
"""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any

from kms_patterns.local.server.authorization.resource_policies import resource_policy_refused
from kms_patterns.local.server.emulator.acting import request_id, requester
from kms_patterns.local.server.emulator.emulator import ACTIONS, EVALUATOR, ROUTER, reach
from kms_patterns.local.server.kms.kms_errors import Response
from kms_patterns.local.server.requests.further_permissions import (
    copied_tags,
    creating,
    of_headers,
    of_statements,
    passed_by,
    passed_to,
    read_objects,
    unusable,
)
from kms_patterns.local.server.requests.request_members import (
    Served,
    parameters,
    serving,
    unasked_by,
    unsigned_headers,
)
from kms_patterns.local.server.requests.request_shapes import malformed, misread
from kms_patterns.local.server.requests.service_rules import refused_content
from kms_patterns.local.server.s3.bucket_requests import kept

logger = logging.getLogger("kms_patterns")
Dispatch = Callable[..., Awaitable[Response | None]]
# Work that a request leaves behind, in a copy of its context, is not checked as that request again.
_unchecked: ContextVar[bool] = ContextVar("unchecked", default=False)


class Refused(Exception):
    """A request that is refused for what it carries."""

    def __init__(self, service: str, action: str, code: str, message: str) -> None:
        super().__init__(message)
        self.service, self.action, self.code, self.message = service, action, code, message


def watching(original: Dispatch) -> Dispatch:
    """Return the emulator's dispatcher with the request at hand while its permissions are checked."""

    async def dispatch(*request: Any, **more: Any) -> Response | None:
        method, path, headers, body, query, answered = request
        token = serving.set(Served(method, path, headers, body, query))
        _unchecked.set(True)
        kept.set(set())
        request_id.set(answered)
        requester.set(reach(ROUTER, "extract_access_key_id")(headers, query))
        try:
            return malformed(method, path, headers, body, query) or _typed(await original(*request, **more), headers)
        except Refused as refused:
            return _response(refused, answered, headers)
        except (TypeError, AttributeError, ValueError, LookupError, RecursionError, ArithmeticError) as failed:
            logger.exception("%s %s", method, path)
            unread = misread(failed, headers)
            if unread is None:
                raise
            return unread
        finally:
            serving.reset(token)

    return dispatch


async def uncontrolled(*_request: Any) -> Response:
    """Refuse Cloud Control API: the emulator records a resource of any type, and makes none."""
    why = "The embedded AWS makes no resource by Cloud Control API: use the service's own request or CloudFormation"
    told = json.dumps({"__type": "UnsupportedActionException", "message": why}).encode()
    return int(HTTPStatus.BAD_REQUEST), {"Content-Type": "application/x-amz-json-1.0"}, told


def _typed(response: Response | None, headers: Mapping[str, str]) -> Response | None:
    # The emulator answers a failure inside a service with 500; what it could not read is the request's fault.
    if response is None or response[0] != HTTPStatus.INTERNAL_SERVER_ERROR:
        return response
    try:
        said = json.loads(response[2])
    except ValueError:
        return response
    failed = said.get("__type") == "InternalError" and ValueError(str(said.get("message")))
    return (misread(failed, headers) if failed else None) or response


def check(enforce: Callable[..., Any], access_key: str, action: str, service: str, on: Mapping[str, Any]) -> None:
    """Check the request being served, once, after its own permission was granted.

    Args:
        enforce: The emulator's decision on one action.
        access_key: Of the caller.
        action: The request's own action.
        service: Its service.
        on: Region, resource and condition keys of that decision.

    Raises:
        Refused: It passes a role without iam:PassRole, sets what needs a permission of its own, or names a key for a
            service that does not ask KMS.
    """
    request = serving.get()
    if request is None or service == "kms" or not _unchecked.get():
        # KMS checks its own requests, passes no role and is the one that is asked.
        return
    _unchecked.set(False)
    params = {} if service == "s3" else parameters(request)
    roles = passed_by(service, action, request)
    for needed, resource, more in (
        *_further(service, action, request, params, on),
        *_passing(passed_to(service, action), roles),
    ):
        there = {**on, "resource_arn": resource, **more}
        enough = needed.split("|")
        denials = [enforce(access_key, one, one.partition(":")[0], **there) for one in enough]
        if None not in denials:
            raise Refused(service, action, "AccessDenied", _denied(denials[0], enough[0], resource))
    malformed_policy = None
    if not action.partition(":")[2].startswith(("Get", "List", "Describe")):
        malformed_policy = resource_policy_refused(service, request.members())
    unusable_roles = (unusable(service, role) for role in roles)
    refused = next(filter(None, unusable_roles), None) or malformed_policy or refused_content(action, params)
    if service == "s3" and (unsigned := unsigned_headers(request)):
        said = f"There were headers present in the request which were not signed: {', '.join(unsigned)}"
        raise Refused(service, action, "AccessDenied", said)
    if refused is not None:
        raise Refused(service, action, *refused)
    unasked = unasked_by(service, action, request)
    if unasked:
        raise Refused(service, action, "ValidationException", unasked)


Needed = tuple[str, str, Mapping[str, Any]]


def _further(
    service: str, action: str, request: Served, params: Mapping[str, Any], on: Mapping[str, Any]
) -> list[Needed]:
    further = of_headers(action, request.headers) if service == "s3" else creating(action, params)
    here = str(on.get("resource_arn", "*"))
    own: list[Needed] = [(needed, here, {}) for needed in further]
    if action == "s3:CreateBucket" and any(name == "Key" for name, _value in request.members()):
        own.append(("s3:TagResource", here, {}))
    if action == "s3:PutObject":
        own += [(needed, arn or here, _OTHER) for needed, arn in copied_tags(request)]
    if action.startswith("dynamodb:PartiQL"):
        own += [(needed, table, _OTHER) for needed, table in of_statements(params)[1:]]
    return [*own, *((reading, arn, _OTHER) for reading, arn in read_objects(action, params))]


# The condition keys of the request's own permission are not those of another one.
_OTHER: Mapping[str, Any] = {"service_context": {}}


def _passing(principal: str, roles: list[str]) -> list[Needed]:
    context = {"service_context": {"iam:PassedToService": principal}}
    return [("iam:PassRole", role, context) for role in roles]


def _denied(denied: Any, action: str, resource: str) -> str:
    if isinstance(denied, reach(EVALUATOR, "AuthError")):
        return str(denied.message)
    message = reach(ACTIONS, "identity_denial_message")
    return str(message(action, denied.principal_arn, resource, denied.decision == "Deny"))


def _response(refused: Refused, answered: str, headers: Any) -> Response:
    status, fields, content = reach(ACTIONS, "access_denied_response")(
        refused.service, refused.action, "", answered,
        error_code=refused.code, message=refused.message, headers=headers,
    )  # fmt: skip
    return (status if refused.code == "AccessDenied" else int(HTTPStatus.BAD_REQUEST)), fields, content
