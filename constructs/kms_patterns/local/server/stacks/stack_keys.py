"""Keys in stacks: what CloudFormation asks KMS for keys and aliases, and for keys that other resources name.

``{{resolve:…}}`` is read with the permissions of the principal that deploys, under the key of what it names.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_KMS.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html
"""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from kms_patterns.local.server.authorization.caller import Caller
from kms_patterns.local.server.emulator.acting import NotPermitted, acting
from kms_patterns.local.server.emulator.emulator import RESPONSES, SSM, reach
from kms_patterns.local.server.kms.control_plane import aliases, key_states
from kms_patterns.local.server.kms.key_records import find_key
from kms_patterns.local.server.kms.kms_call import KmsCall
from kms_patterns.local.server.kms.kms_errors import KmsError
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.kms.service_model import validated
from kms_patterns.local.server.services.configured_keys import function_key, log_group_key
from kms_patterns.local.server.services.service_keys import DYNAMODB_USES, Use, ask, table_key
from kms_patterns.local.server.services.service_uses import (
    changed_secret_uses,
    new_secret_uses,
    refuse_new_queue_key,
    replicated_uses,
    secret_uses,
)
from kms_patterns.local.server.services.state_machine_keys import new_machine_uses
from kms_patterns.local.server.stacks.resource_permissions import Step
from kms_patterns.local.server.stacks.stack_refusals import ResourceFailed, handler_message, text_of


def change_key(kms: KmsService, caller: Caller, step: Step, called_via: str | None) -> None:
    """Ask KMS for a step of a key or an alias, and check its policy.

    Args:
        kms: The service that decides.
        caller: Who deploys.
        step: The step.
        called_via: AWS CloudFormation's service principal where it forwards its caller's session.

    Raises:
        KmsError: KMS refused.
    """
    bypass = {"BypassPolicyLockoutSafetyCheck": True} if step.props.get("BypassPolicyLockoutSafetyCheck") else {}
    for operation, request in _kms_calls(step):
        with _region_of(request.get("KeyId")):
            kms.require(KmsCall(operation, request, caller, called_via=called_via))
        if operation == "CreateKey":
            validated(operation, {member: request[member] for member in _OF_TEXT if member in request})
        if operation in _CHECKS:
            _CHECKS[operation](request)
            if (target := find_key(str(request["TargetKeyId"]))) is not None:
                key_states.check_state(operation, target)
        key_states.check_policy(operation, request | bypass, caller)


def use_keys(kms: KmsService, caller: Caller, step: Step) -> None:
    """Ask KMS for the key that a function, a log group, a state machine, a secret or a table is configured with.

    Raises:
        KmsError: KMS refused, or the service does not take such a key.
    """
    kind, props = step.kind, step.props
    if kind == "AWS::Lambda::Function" and step.sets("KmsKeyArn"):
        function_key(kms, caller, props.get("FunctionName") or step.name, props["KmsKeyArn"])
    if kind == "AWS::Logs::LogGroup" and step.sets("KmsKeyId"):
        log_group_key(kms, props.get("LogGroupName") or step.name, props["KmsKeyId"])
    if kind == "AWS::StepFunctions::StateMachine" and step.sets("EncryptionConfiguration"):
        machine = str(props.get("StateMachineName") or step.name)
        ask(kms, "states", caller, new_machine_uses(machine, props["EncryptionConfiguration"]))
    if kind == "AWS::SecretsManager::Secret":
        ask(kms, "secretsmanager", caller, _secret_uses(step))
    if kind == "AWS::SQS::Queue" and step.action == "update":
        refuse_new_queue_key(step.name, props.get("KmsMasterKeyId"))
    tables = ("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable")
    if kind in tables and (key := table_key(props)) and (step.sets("SSESpecification") or step.sets("Replicas")):
        wanted = {"Enabled": True, "KMSMasterKeyId": key}
        request = {"TableName": props.get("TableName"), "SSESpecification": wanted}
        ask(kms, "dynamodb", caller, DYNAMODB_USES["CreateTable"](request))


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
        name = reference.partition(":")[0]
        principal.require("ssm:GetParameters", parameter_arn(name))
        refuse_secure(name)
        return
    secret = ":".join(reference.split(":")[:7]) if reference.startswith("arn:") else reference.split(":")[0]
    found, uses = secret_uses(secret)
    principal.require("secretsmanager:GetSecretValue", found)
    ask(kms, "secretsmanager", principal.caller, uses)


def refuse_secure(name: str) -> None:
    """Refuse a parameter that only a secure reference resolves.

    Raises:
        NotPermitted: It is a SecureString.
    """
    if (reach(SSM, "_lookup_parameter")(name)[1] or {}).get("Type") == "SecureString":
        raise NotPermitted(f"SSM parameter {name} is a SecureString, which a plain reference does not resolve")


def parameter_arn(name: str) -> str:
    """Return the ARN of a parameter that is given by name or ARN."""
    if name.startswith("arn:"):
        return name
    here = f"{reach(RESPONSES, 'get_region')()}:{reach(RESPONSES, 'get_account_id')()}"
    return f"arn:aws:ssm:{here}:parameter/{name.lstrip('/')}"


def _secret_uses(step: Step) -> Iterator[Use]:
    props, old = step.props, step.old
    if step.action == "create" or props.get("Name") != old.get("Name"):
        # Another name makes another secret.
        yield from new_secret_uses(
            str(props.get("Name") or step.name), props.get("KmsKeyId"), props.get("ReplicaRegions")
        )
        return
    changed = {"SecretString": ""} if step.sets("SecretString") or step.sets("GenerateSecretString") else {}
    key = {"KmsKeyId": props.get("KmsKeyId")} if props.get("KmsKeyId") != old.get("KmsKeyId") else {}
    yield from changed_secret_uses({"SecretId": step.name, **changed, **key})
    if step.sets("ReplicaRegions"):
        yield from replicated_uses(step.name, props["ReplicaRegions"])


def _kms_calls(step: Step) -> Iterator[tuple[str, dict[str, Any]]]:
    kind, name, props = step.kind, step.name, step.props
    policy = props.get("KeyPolicy")
    text = policy if isinstance(policy, str) else json.dumps(policy)
    tags = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in props.get("Tags") or []]
    if kind == "AWS::KMS::Alias":
        alias = {"AliasName": props.get("AliasName") or name, "TargetKeyId": props.get("TargetKeyId")}
        moved = step.action == "update" and alias["AliasName"] == name
        if step.action != "delete":
            yield "UpdateAlias" if moved else "CreateAlias", alias
        if not moved and step.action != "create":
            yield "DeleteAlias", {"AliasName": name}
    elif step.action == "delete":
        yield "ScheduleKeyDeletion", {"KeyId": name}
    elif step.action == "create" and kind == "AWS::KMS::ReplicaKey":
        given = {"KeyId": props.get("PrimaryKeyArn"), "ReplicaRegion": reach(RESPONSES, "get_region")()}
        yield "ReplicateKey", given | {"Policy": text} | ({"Tags": tags} if tags else {})
    elif step.action == "create":
        given = {member: props[member] for member in _OF_KEY if member in props}
        yield "CreateKey", given | ({"Policy": text} if policy else {}) | ({"Tags": tags} if tags else {})
    else:
        yield from _changes(step, text, tags)


def _region_of(key: object) -> AbstractContextManager[Any]:
    """Return a context in the Region of a key that is named by its ARN: the primary is replicated from there."""
    arn = str(key).split(":")
    region = arn[3] if len(arn) > 3 else reach(RESPONSES, "get_region")()  # noqa: PLR2004 -- the Region of an ARN
    scope: AbstractContextManager[Any] = reach(RESPONSES, "request_scope")(reach(RESPONSES, "get_account_id")(), region)
    return scope


def _changes(step: Step, policy: str, tags: list[dict[str, str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    key = {"KeyId": step.name}
    if step.props.get("KeyPolicy") != step.old.get("KeyPolicy"):
        yield "PutKeyPolicy", key | {"PolicyName": "default", "Policy": policy}
    for member, (off, on) in _KEY_UPDATES.items():
        if step.props.get(member) != step.old.get(member):
            yield on if member in step.props and step.props[member] is not False else off, key
    before = {tag["Key"]: tag["Value"] for tag in step.old.get("Tags") or []}
    if changed := [tag for tag in tags if before.get(tag["TagKey"]) != tag["TagValue"]]:
        yield "TagResource", key | {"Tags": changed}
    if gone := sorted(before.keys() - {tag["TagKey"] for tag in tags}):
        yield "UntagResource", key | {"TagKeys": gone}


_CHECKS = {"CreateAlias": aliases.create_alias, "UpdateAlias": aliases.update_alias}
_OF_TEXT = ("KeySpec", "KeyUsage", "Origin")
_OF_KEY = (*_OF_TEXT, "MultiRegion")
# By property: the operation that switches it off, and on.
_KEY_UPDATES = {
    "Description": ("UpdateKeyDescription", "UpdateKeyDescription"),
    "Enabled": ("DisableKey", "EnableKey"),
    "EnableKeyRotation": ("DisableKeyRotation", "EnableKeyRotation"),
}
