"""What the emulator's CloudFormation lacks: properties, failing custom resources, keys, template functions.

It drops a DeadLetterConfig and the key of a topic or table, and gives the name of a secret for its ARN;
``s3/bucket_requests`` has what it drops of buckets. Of keys it gets the origin EXTERNAL and replicas wrong. A custom
resource whose function ends without a response fails at once, with the function's error (AWS waits for the resource's
time-out). ``Fn::GetStackOutput`` names a Region, and ``Fn::Equals`` compares any function, not Ref alone.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-kms-replicakey.html
"""

import copy
import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from kms_patterns.local.server.emulator.emulator import (
    CUSTOM_RESOURCES,
    ENGINE,
    KMS,
    LAMBDA,
    RESPONSES,
    SECRETS_MANAGER,
    SNS,
    reach,
)
from kms_patterns.local.server.kms.key_records import KeyRecord, find_key
from kms_patterns.local.server.kms.kms_errors import Response
from kms_patterns.local.server.services.service_keys import keep_table_key

Properties = Mapping[str, Any]
Provisioned = tuple[str, dict[str, Any]]
_MATERIALS = ("_symmetric_key", "_hmac_key", "_private_key")
_FUNCTION_PROPERTIES = ("DeadLetterConfig", "KmsKeyArn")


def resource_handlers(original: dict[str, Any]) -> dict[str, Any]:
    """Return the table of CloudFormation resource types with functions that keep all their properties."""
    for kind, keep in _KEPT.items():
        steps = original[kind]
        kept = {"create": _created(steps["create"], keep), "update": _updated(steps["update"], keep)}
        original[kind] = steps | kept
    secrets = original["AWS::SecretsManager::Secret"]
    original["AWS::SecretsManager::Secret"] = secrets | {
        how: _by_arn(secrets[how]) for how in ("create", "update", "delete")
    }
    return original


def _by_arn(step: Callable[..., Provisioned | None]) -> Callable[..., Provisioned | None]:
    """Return a step of a secret whose physical id is its ARN, which ``Ref`` gives on AWS; the emulator has its name."""

    def provision(secret: str, *arguments: Any, **named: Any) -> Provisioned | None:
        done = step(reach(SECRETS_MANAGER, "_resolve")(secret)[0] or secret, *arguments, **named)
        return done and (done[1]["Arn"], done[1])

    return provision


def _created(create: Callable[..., Provisioned], keep: Callable[[str, Properties], None]) -> Callable[..., Provisioned]:
    def provision(logical_id: str, props: Properties, stack_name: str) -> Provisioned:
        name, attributes = create(logical_id, props, stack_name)
        keep(name, props)
        return name, attributes

    return provision


def _updated(update: Callable[..., Provisioned], keep: Callable[[str, Properties], None]) -> Callable[..., Provisioned]:
    def provision(
        physical_id: str, old_props: Properties, new_props: Properties, stack_name: str, logical_id: str | None = None
    ) -> Provisioned:
        name, attributes = update(physical_id, old_props, new_props, stack_name, logical_id=logical_id)
        keep(name, new_props)
        return name, attributes

    return provision


def _keep_of_function(name: str, props: Properties) -> None:
    config = reach(LAMBDA, "_functions")[name]["config"]
    for member in _FUNCTION_PROPERTIES:
        if props.get(member):
            config[member] = props[member]
        else:
            config.pop(member, None)


def _keep_of_topic(arn: str, props: Properties) -> None:
    attributes = reach(SNS, "_get_topic")(arn)[0]["attributes"]
    attributes.pop("KmsMasterKeyId", None)
    if props.get("KmsMasterKeyId"):
        attributes["KmsMasterKeyId"] = str(props["KmsMasterKeyId"])


_KEPT: Mapping[str, Callable[[str, Properties], None]] = {
    "AWS::DynamoDB::GlobalTable": keep_table_key,
    "AWS::DynamoDB::Table": keep_table_key,
    "AWS::Lambda::Function": _keep_of_function,
    "AWS::SNS::Topic": _keep_of_topic,
}
"""Type -> what keeps the properties that the emulator drops."""


def execute(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Answer for a function that was called for a custom resource and ended with an error."""

    def run(func: object, event: object) -> dict[str, Any]:
        result = original(func, event)
        url = event.get("ResponseURL") if isinstance(event, Mapping) else None
        if url and result.get("error"):
            token = str(url).rpartition("/")[2]
            pending = reach(CUSTOM_RESOURCES, "_pending").get(token)
            if pending is not None and pending["result"] is None:
                reach(CUSTOM_RESOURCES, "deliver_response")(token, {"Status": "FAILED", "Reason": _reason(result)})
        return result

    return run


def _reason(result: Mapping[str, Any]) -> str:
    body = result.get("body")
    if isinstance(body, Mapping):
        said = f"{body.get('errorType', 'Error')}: {body.get('errorMessage', '')}".strip(": ")
    else:
        said = json.dumps(body) if body is not None else "it ended without a result"
    return f"The function of the custom resource failed before it answered: {said}"


_OUTPUT = "Fn::GetStackOutput"


def evaluate_conditions(original: Callable[..., dict[str, bool]]) -> Callable[..., dict[str, bool]]:
    """Evaluate conditions whose comparisons hold functions and pseudo parameters."""

    def evaluate(template: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, bool]:
        mappings = template.get("Mappings", {})

        def resolved(value: Any) -> Any:
            if isinstance(value, dict) and "Fn::Equals" in value:
                compared = [
                    reach(ENGINE, "_resolve_refs")(copy.deepcopy(side), {}, params, {}, mappings, "", "")
                    for side in value["Fn::Equals"]
                ]
                return {"Fn::Equals": [_text(side) for side in compared]}
            if isinstance(value, dict):
                return {name: resolved(item) for name, item in value.items()}
            return [resolved(item) for item in value] if isinstance(value, list) else value

        return original({**template, "Conditions": resolved(template.get("Conditions", {}))}, params)

    return evaluate


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def resolve_references(original: Callable[..., Any]) -> Callable[..., Any]:
    """Resolve a reference to a stack's output in the Region that it names."""

    def resolve(value: Any, *rest: Any) -> Any:
        spec = value.get(_OUTPUT) if isinstance(value, dict) else None
        if not isinstance(spec, dict) or not spec.get("Region"):
            return original(value, *rest)
        with reach(RESPONSES, "request_scope")(reach(RESPONSES, "get_account_id")(), spec["Region"]):
            return original(value, *rest)

    return resolve


class ProvisioningFailed(Exception):
    """CloudFormation reports the text as the reason why a resource failed."""


def key_handlers(original: dict[str, Any]) -> dict[str, Any]:
    """Return the table of CloudFormation resource types with keys as KMS makes them."""
    key = original["AWS::KMS::Key"]
    original["AWS::KMS::Key"] = key | {"create": _waiting(key["create"]), "update": _waiting(key["update"])}
    original["AWS::KMS::ReplicaKey"] = {
        "create": _create_replica,
        "update": _update_replica,
        "delete": key["delete"],
    }
    return original


def _waiting(provision: Callable[..., Provisioned]) -> Callable[..., Provisioned]:
    """Keep a key without material in the state PendingImport, which the emulator makes Enabled."""

    def provisioned(*arguments: Any, **named: Any) -> Provisioned:
        name, attributes = provision(*arguments, **named)
        record = find_key(name)
        if record is not None and record["Origin"] == "EXTERNAL" and not any(record.get(it) for it in _MATERIALS):
            record |= {"KeyState": "PendingImport", "Enabled": False}
        return name, attributes

    return provisioned


def _create_replica(_logical_id: str, props: Properties, _stack_name: str) -> Provisioned:
    account, here = reach(RESPONSES, "get_account_id")(), reach(RESPONSES, "get_region")()
    primary = str(props["PrimaryKeyArn"]).split(":")
    request = {
        "KeyId": primary[-1].removeprefix("key/"),
        "ReplicaRegion": here,
        "Description": props.get("Description", ""),
        "Policy": _policy_text(props["KeyPolicy"]),
        "Tags": _key_tags(props),
    }
    with reach(RESPONSES, "request_scope")(account, primary[3]):
        _checked(reach(KMS, "_replicate_key")(request))
    record = _replica(request["KeyId"])
    _enable(record, props)
    return record["KeyId"], _key_attributes(record)


def _update_replica(physical_id: str, old: Properties, new: Properties, _stack_name: str) -> Provisioned:
    if old["PrimaryKeyArn"] != new["PrimaryKeyArn"]:
        raise ProvisioningFailed(f"AWS::KMS::ReplicaKey {physical_id}: PrimaryKeyArn cannot be changed")
    record = _replica(physical_id)
    record |= {
        "Description": new.get("Description", ""),
        "Policy": _policy_text(new["KeyPolicy"]),
        "Tags": _key_tags(new),
    }
    _enable(record, new)
    return physical_id, _key_attributes(record)


def _replica(key_id: str) -> KeyRecord:
    record = find_key(key_id)
    if record is None:
        raise ProvisioningFailed(f"AWS::KMS::ReplicaKey: key {key_id} does not exist in this Region")
    return record


def _enable(record: KeyRecord, props: Properties) -> None:
    if record["KeyState"] in {"Enabled", "Disabled"}:
        enabled = props.get("Enabled") is not False
        record |= {"Enabled": enabled, "KeyState": "Enabled" if enabled else "Disabled"}


def _checked(response: Response) -> None:
    status, _headers, body = response
    if status != HTTPStatus.OK:
        raise ProvisioningFailed(f"AWS::KMS::ReplicaKey: {json.loads(body)}")


def _key_attributes(record: KeyRecord) -> dict[str, Any]:
    return {"Arn": record["Arn"], "KeyId": record["KeyId"]}


def _policy_text(policy: Any) -> str:
    return policy if isinstance(policy, str) else json.dumps(policy)


def _key_tags(props: Properties) -> list[dict[str, str]]:
    return [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in props.get("Tags") or []]
