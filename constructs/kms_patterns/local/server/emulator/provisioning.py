"""What the emulator's CloudFormation lacks: properties, failing custom resources, stack events, template functions.

It drops encryption, lifecycle and tags of buckets, a DeadLetterConfig and the key of a topic. A custom resource whose
function ends without a response fails at once, with the function's error (AWS waits for the resource's time-out).
EventBridge hears of a stack's status. ``Fn::GetStackOutput`` names a Region, and ``Fn::Equals`` compares any function,
not Ref alone.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-s3-bucket-bucketencryption.html
"""

import copy
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4
from xml.etree.ElementTree import Element, SubElement, tostring

from kms_patterns.local.server.emulator.emulator import (
    CUSTOM_RESOURCES,
    ENGINE,
    EVENTS,
    LAMBDA,
    RESPONSES,
    S3,
    SNS,
    reach,
)
from kms_patterns.local.server.s3.lifecycle_rules import lifecycle_xml

Properties = Mapping[str, Any]
Provisioned = tuple[str, dict[str, Any]]
_FUNCTION_PROPERTIES = ("DeadLetterConfig", "KmsKeyArn")


def bucket_configurations(original: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the bucket properties that CloudFormation stores through the S3 API, with those it lacks."""
    encryption = (
        "BucketEncryption",
        encryption_xml,
        reach(S3, "_put_bucket_encryption"),
        reach(S3, "_delete_bucket_encryption"),
    )
    lifecycle = (
        "LifecycleConfiguration",
        lifecycle_xml,
        reach(S3, "_put_bucket_lifecycle"),
        reach(S3, "_delete_bucket_lifecycle"),
    )
    tags = ("Tags", tags_xml, reach(S3, "_put_bucket_tagging"), reach(S3, "_delete_bucket_tagging"))
    return (*original, encryption, lifecycle, tags)


def tags_xml(tags: Sequence[Properties]) -> bytes:
    """Return a Tags property as the body of PutBucketTagging."""
    root = Element("Tagging", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
    tag_set = SubElement(root, "TagSet")
    for tag in tags:
        element = SubElement(tag_set, "Tag")
        SubElement(element, "Key").text, SubElement(element, "Value").text = str(tag["Key"]), str(tag["Value"])
    document: bytes = tostring(root, encoding="utf-8")
    return document


def encryption_xml(properties: Properties) -> bytes:
    """Return a BucketEncryption property as the body of PutBucketEncryption."""
    root = Element("ServerSideEncryptionConfiguration", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
    for rule in properties.get("ServerSideEncryptionConfiguration", []):
        element = SubElement(root, "Rule")
        by_default = rule.get("ServerSideEncryptionByDefault")
        if by_default:
            applied = SubElement(element, "ApplyServerSideEncryptionByDefault")
            SubElement(applied, "SSEAlgorithm").text = str(by_default["SSEAlgorithm"])
            if by_default.get("KMSMasterKeyID"):
                SubElement(applied, "KMSMasterKeyID").text = str(by_default["KMSMasterKeyID"])
        SubElement(element, "BucketKeyEnabled").text = str(rule.get("BucketKeyEnabled", False)).lower()
    document: bytes = tostring(root, encoding="utf-8")
    return document


def resource_handlers(original: dict[str, Any]) -> dict[str, Any]:
    """Return the table of CloudFormation resource types with functions that keep all their properties."""
    for kind, keep in (("AWS::Lambda::Function", _keep_of_function), ("AWS::SNS::Topic", _keep_of_topic)):
        steps = original[kind]
        kept = {"create": _created(steps["create"], keep), "update": _updated(steps["update"], keep)}
        original[kind] = steps | kept
    return original


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


_STACK = "AWS::CloudFormation::Stack"


def record_event(original: Callable[..., None]) -> Callable[..., None]:
    """Put what is recorded about a stack as a whole onto the default event bus as well."""

    def record(
        stack_id: str, stack_name: str, logical_id: str, resource_type: str, status: str, *rest: Any, **named: Any
    ) -> None:
        original(stack_id, stack_name, logical_id, resource_type, status, *rest, **named)
        if resource_type == _STACK and logical_id == stack_name:
            reach(EVENTS, "_dispatch_event")(_event(stack_id, status))

    return record


def _event(stack_id: str, status: str) -> dict[str, Any]:
    token = str(uuid4())
    detail = {
        "stack-id": stack_id,
        "status-details": {"status": status, "status-reason": ""},
        "client-request-token": token,
    }
    return {
        "EventId": token,
        "Source": "aws.cloudformation",
        "DetailType": "CloudFormation Stack Status Change",
        "Detail": json.dumps(detail),
        "EventBusName": "default",
        "Time": int(time.time()),
        "Resources": [stack_id],
        "Account": reach(RESPONSES, "get_account_id")(),
        "Region": reach(RESPONSES, "get_region")(),
    }


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
