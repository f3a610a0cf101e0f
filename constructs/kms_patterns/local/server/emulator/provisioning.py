"""Properties that the emulator's CloudFormation drops: encryption, lifecycle and tags of buckets, a DeadLetterConfig.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-s3-bucket-bucketencryption.html
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from kms_patterns.local.server.emulator.emulator import LAMBDA, S3, reach
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
    function = original["AWS::Lambda::Function"]
    kept = function | {"create": _created(function["create"]), "update": _updated(function["update"])}
    original["AWS::Lambda::Function"] = kept
    return original


def _created(create: Callable[..., Provisioned]) -> Callable[..., Provisioned]:
    def provision(logical_id: str, props: Properties, stack_name: str) -> Provisioned:
        name, attributes = create(logical_id, props, stack_name)
        _keep(name, props)
        return name, attributes

    return provision


def _updated(update: Callable[..., Provisioned]) -> Callable[..., Provisioned]:
    def provision(
        physical_id: str, old_props: Properties, new_props: Properties, stack_name: str, logical_id: str | None = None
    ) -> Provisioned:
        name, attributes = update(physical_id, old_props, new_props, stack_name, logical_id=logical_id)
        _keep(name, new_props)
        return name, attributes

    return provision


def _keep(name: str, props: Properties) -> None:
    config = reach(LAMBDA, "_functions")[name]["config"]
    for member in _FUNCTION_PROPERTIES:
        if props.get(member):
            config[member] = props[member]
        else:
            config.pop(member, None)
