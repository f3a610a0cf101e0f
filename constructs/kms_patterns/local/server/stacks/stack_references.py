"""What a template reads when it is deployed, with the permissions of who acts: ``{{resolve:…}}`` and SSM parameters.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html
"""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from kms_patterns.local.server.emulator.acting import NotPermitted, acting
from kms_patterns.local.server.emulator.emulator import RESPONSES, reach
from kms_patterns.local.server.kms.kms_errors import KmsError
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.services.service_keys import ask
from kms_patterns.local.server.services.service_uses import secret_uses


class ResourceFailed(Exception):
    """CloudFormation reports the text as the reason why a resource failed."""


def reference(kms: KmsService) -> Callable[[Callable[[str], str]], Callable[[str], str]]:
    """Return what makes ``{{resolve:…}}`` ask for the permissions of who acts."""

    def wrap(original: Callable[[str], str]) -> Callable[[str], str]:
        def resolve(literal: str) -> str:
            try:
                _may_read(kms, literal)
            except (NotPermitted, KmsError) as refused:
                raise ResourceFailed(handler_message(text_of(refused), "AccessDenied")) from refused
            return original(literal)

        return resolve

    return wrap


def parameters(original: Callable[..., Any]) -> Callable[..., Any]:
    """Resolve template parameters that name an SSM parameter with the permissions of who acts."""

    def resolve(template: Mapping[str, Any], provided_params: Any, *rest: Any, **named: Any) -> Any:
        given = {entry.get("Key") or entry.get("ParameterKey"): entry for entry in provided_params or []}
        principal = acting()
        for name, definition in (template.get("Parameters") or {}).items():
            if principal is None or not str(definition.get("Type", "")).startswith("AWS::SSM::Parameter::Value"):
                continue
            entry = given.get(name) or {}
            wanted = entry.get("Value") or entry.get("ParameterValue") or definition.get("Default") or ""
            try:
                principal.require("ssm:GetParameters", _parameter_arn(str(wanted)))
            except NotPermitted as refused:
                raise ValueError(str(refused)) from refused
        return original(template, provided_params, *rest, **named)

    return resolve


def text_of(refused: Exception) -> str:
    """Return the message of a refusal."""
    return refused.message if isinstance(refused, KmsError) else str(refused)


def handler_code(refused: Exception) -> str:
    """Return CloudFormation's code for a refusal: of permissions, or of a service for another reason."""
    denied = not isinstance(refused, KmsError) or refused.code == "AccessDeniedException"
    return "AccessDenied" if denied else "GeneralServiceException"


def handler_message(reason: str, code: str) -> str:
    """Return what CloudFormation says of a resource whose handler failed with ``reason``."""
    return f'Resource handler returned message: "{reason}" (RequestToken: {uuid4()}, HandlerErrorCode: {code})'


def _may_read(kms: KmsService, literal: str) -> None:
    principal = acting()
    service, _, reference = literal.strip("{}").removeprefix("resolve:").partition(":")
    if service == "ssm-secure":
        raise NotPermitted(
            "SSM Secure reference is not supported by the embedded AWS; AWS supports it for a few properties only"
        )
    if principal is None:
        raise NotPermitted("the embedded AWS does not know in whose name to resolve a dynamic reference")
    if service == "ssm":
        principal.require("ssm:GetParameters", _parameter_arn(reference.partition(":")[0]))
        return
    secret = ":".join(reference.split(":")[:7]) if reference.startswith("arn:") else reference.split(":")[0]
    found, uses = secret_uses(secret)
    principal.require("secretsmanager:GetSecretValue", found)
    ask(kms, "secretsmanager", principal.caller, uses)


def _parameter_arn(name: str) -> str:
    if name.startswith("arn:"):
        return name
    here = f"{reach(RESPONSES, 'get_region')()}:{reach(RESPONSES, 'get_account_id')()}"
    return f"arn:aws:ssm:{here}:parameter/{name.lstrip('/')}"
