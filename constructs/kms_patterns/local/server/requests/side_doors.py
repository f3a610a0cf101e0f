"""What every request is checked for besides its own permission: roles that it passes, keys that nothing would ask for.

AWS: https://docs.aws.amazon.com/service-authorization/latest/reference/list_identityandaccessmanagement.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
"""

import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from kms_patterns.local.server.authorization.policy_documents import resource_policy_refused
from kms_patterns.local.server.emulator.acting import request_id, trusts
from kms_patterns.local.server.emulator.emulator import ACTIONS, EVALUATOR, IAM, RESPONSES, reach
from kms_patterns.local.server.kms.kms_errors import Response
from kms_patterns.local.server.requests.request_members import Members, Served, members_of, serving, unasked_by
from kms_patterns.local.server.requests.request_shapes import malformed, misread
from kms_patterns.local.server.s3.s3_operations import further_permissions

logger = logging.getLogger("kms_patterns")
Dispatch = Callable[..., Awaitable[Response | None]]


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
        request_id.set(answered)
        try:
            return malformed(headers, body) or _typed(await original(*request, **more), headers)
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
    if request is None:
        return
    serving.set(None)
    for role in passed_by(service, action, request):
        context = {"iam:PassedToService": passed_to(service)}
        denied = enforce(access_key, "iam:PassRole", "iam", on["region"], resource_arn=role, service_context=context)
        if denied is not None:
            raise Refused(service, action, "AccessDenied", _denied(denied, "iam:PassRole", role))
        refused = unusable(service, role)
        if refused is not None:
            raise Refused(service, action, *refused)
    for needed in further_permissions(action, request.headers) if service == "s3" else ():
        denied = enforce(access_key, needed, service, **on)
        if denied is not None:
            raise Refused(service, needed, "AccessDenied", _denied(denied, needed, str(on.get("resource_arn", "*"))))
    malformed_policy = resource_policy_refused(service, request.members())
    if malformed_policy is not None and not action.partition(":")[2].startswith(("Get", "List", "Describe")):
        raise Refused(service, action, *malformed_policy)
    unasked = unasked_by(service, action, request)
    if unasked:
        raise Refused(service, action, "ValidationException", unasked)


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


_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
# A role in these is named as a principal or a resource, or assumed: it is not handed over.
_NOT_PASSED = re.compile(r"principal|resource|grantee|user|policyarn|sourcearn|retiring", re.IGNORECASE)
# By the name of a service here, or in CloudFormation's types: its principal, where that is another word.
_PRINCIPALS = {
    "ecs": "ecs-tasks", "efs": "elasticfilesystem", "iam": "ec2", "kinesisfirehose": "firehose",
    "monitoring": "cloudwatch", "msk": "kafka", "stepfunctions": "states",
}  # fmt: skip
# By principal: the refusal of a role that does not trust a service which tries it at once.
_ASSUMED_AT_ONCE = {
    "lambda": ("InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda."),
    "states": (
        "AccessDeniedException",
        "Neither the global service principal states.amazonaws.com, nor the regional one is authorized to assume the "
        "provided role.",
    ),
    "scheduler": (
        "ValidationException",
        "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.",
    ),
    "pipes": ("ValidationException", "{role} must allow pipes.amazonaws.com to assume the role."),
}
_NO_PASSING = frozenset({"sts", "iam", "kms", "sqs", "sns", "tagging", "resource-groups", "cloudtrail"})


def passed_to(service: str) -> str:
    """Return the service principal that a role is passed to: iam:PassedToService."""
    return f"{_PRINCIPALS.get(service, service)}.amazonaws.com"


def passed_by(service: str, action: str, request: Served) -> list[str]:
    """Return the ARNs of the roles that a request hands to a service."""
    if action == "iam:AddRoleToInstanceProfile":
        names = {value for name, value in request.members() if name == "RoleName"}
        return [_role_arn(name) for name in sorted(names)]
    if service == "ec2":
        return [*_found(request.members()), *_of_profiles(request)]
    return [] if service in _NO_PASSING or (service == "s3" and request.is_object) else _found(request.members())


def unusable(service: str, role: str) -> tuple[str, str] | None:
    """Return code and message of the refusal of a role that the service may not assume; None if it may."""
    principal = passed_to(service)
    refusal = _ASSUMED_AT_ONCE.get(principal.partition(".")[0])
    return None if refusal is None or trusts(role, principal) else (refusal[0], refusal[1].format(role=role))


def passed_roles(properties: Any) -> list[str]:
    """Return the ARNs of the roles in the properties of a CloudFormation resource."""
    return _found(members_of(properties))


def _found(members: Members) -> list[str]:
    # A template holds roles as text of its own: CloudFormation asks when it hands them on.
    roles = {value for name, value in members if _ROLE.fullmatch(value) and not _NOT_PASSED.search(name)}
    return sorted(roles)


def _of_profiles(request: Served) -> Iterator[str]:
    profiles = reach(IAM, "_instance_profiles")
    for name, value in request.members():
        if name in {"Name", "Arn"} or name.startswith("IamInstanceProfile"):
            profile = profiles.get(value.rsplit("/", 1)[-1]) or {}
            for role in profile.get("Roles", []):
                yield _role_arn(role if isinstance(role, str) else str(role.get("RoleName")))


def _role_arn(name: str) -> str:
    role = reach(IAM, "_roles").get(name) or {}
    return str(role.get("Arn") or f"arn:aws:iam::{reach(RESPONSES, 'get_account_id')()}:role/{name}")
