"""Keys of CloudFormation that the emulator gets wrong, or not at all: origin EXTERNAL, and replicas.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-kms-replicakey.html
"""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from kms_patterns.local.server.emulator.emulator import KMS, RESPONSES, reach
from kms_patterns.local.server.kms.key_records import KeyRecord, find_key
from kms_patterns.local.server.kms.kms_errors import Response

Properties = Mapping[str, Any]
Provisioned = tuple[str, dict[str, Any]]
_MATERIALS = ("_symmetric_key", "_hmac_key", "_private_key")


class ProvisioningFailed(Exception):
    """CloudFormation reports the text as the reason why a resource failed."""


def resource_handlers(original: dict[str, Any]) -> dict[str, Any]:
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
        "Policy": _text(props["KeyPolicy"]),
        "Tags": _tags(props),
    }
    with reach(RESPONSES, "request_scope")(account, primary[3]):
        _checked(reach(KMS, "_replicate_key")(request))
    record = _record(request["KeyId"])
    _enable(record, props)
    return record["KeyId"], _attributes(record)


def _update_replica(physical_id: str, old: Properties, new: Properties, _stack_name: str) -> Provisioned:
    if old["PrimaryKeyArn"] != new["PrimaryKeyArn"]:
        raise ProvisioningFailed(f"AWS::KMS::ReplicaKey {physical_id}: PrimaryKeyArn cannot be changed")
    record = _record(physical_id)
    record |= {"Description": new.get("Description", ""), "Policy": _text(new["KeyPolicy"]), "Tags": _tags(new)}
    _enable(record, new)
    return physical_id, _attributes(record)


def _record(key_id: str) -> KeyRecord:
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


def _attributes(record: KeyRecord) -> dict[str, Any]:
    return {"Arn": record["Arn"], "KeyId": record["KeyId"]}


def _text(policy: Any) -> str:
    return policy if isinstance(policy, str) else json.dumps(policy)


def _tags(props: Properties) -> list[dict[str, str]]:
    return [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in props.get("Tags") or []]
