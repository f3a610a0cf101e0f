"""Resources that the table of services does not know are pointed out; those of another Region are refused."""

import aws_cdk as cdk
import pytest
from aws_cdk import assertions, aws_dynamodb, aws_elasticache, aws_events, aws_fsx, aws_opensearchservice
from aws_cdk import aws_s3 as s3

from kms_patterns import EncryptionKey, ImportedKey, KeyAccess


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


def warnings(stack):
    found = assertions.Annotations.from_stack(stack).find_warning("*", assertions.Match.string_like_regexp("no row"))
    return [(entry.id, str(entry.entry.data)) for entry in found]


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (
            "AWS::FSx::FileSystem",
            lambda stack, key: aws_fsx.CfnFileSystem(
                stack, "It", file_system_type="LUSTRE", subnet_ids=["subnet-1"], kms_key_id=key.key_arn
            ),
        ),
        (
            "AWS::ElastiCache::ReplicationGroup",
            lambda stack, key: aws_elasticache.CfnReplicationGroup(
                stack, "It", replication_group_description="orders", kms_key_id=key.key_id
            ),
        ),
        (
            "AWS::OpenSearchService::Domain",
            lambda stack, key: aws_opensearchservice.Domain(
                stack,
                "It",
                version=aws_opensearchservice.EngineVersion.OPENSEARCH_2_5,
                encryption_at_rest=aws_opensearchservice.EncryptionAtRestOptions(enabled=True, kms_key=key),
            ),
        ),
    ],
)
def test_resource_that_the_table_does_not_know_is_pointed_out(kind, make, stack, key):
    make(stack, key)

    ((where, text),) = warnings(stack)
    assert where == "/Stack/Key"
    assert text.startswith("Stack/It")
    assert f"({kind}) names this key" in text


def test_resource_without_the_key_or_in_the_table_is_not(stack, key):
    aws_fsx.CfnFileSystem(stack, "Plain", file_system_type="LUSTRE", subnet_ids=["subnet-1"])
    s3.Bucket(stack, "Bucket", encryption_key=key)
    key.add_alias("orders")

    assert warnings(stack) == []


@pytest.mark.parametrize("imported", [True, False])
def test_resource_in_another_region_than_its_key_is_refused(imported, app):
    away = cdk.Stack(
        app,
        "Away",
        env=cdk.Environment(account="111122223333", region="us-east-1"),
        cross_region_references=True,
    )
    home = cdk.Stack(
        app, "Home", env=cdk.Environment(account="111122223333", region="eu-west-1"), cross_region_references=True
    )
    arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    other = ImportedKey.from_key_arn(away, "Key", arn) if imported else EncryptionKey(home, "Key")
    s3.Bucket(away, "Bucket", encryption_key=other)

    with pytest.raises(
        RuntimeError, match=r"Away/Bucket/Resource in us-east-1 is encrypted under .* in eu-west-1: AWS"
    ):
        app.synth()


def test_global_table_names_a_key_of_each_region(stack, key, synth):
    aws_dynamodb.TableV2(
        stack,
        "Table",
        partition_key=aws_dynamodb.Attribute(name="id", type=aws_dynamodb.AttributeType.STRING),
        encryption=aws_dynamodb.TableEncryptionV2.customer_managed_key(
            key, {"us-east-1": "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"}
        ),
        replicas=[aws_dynamodb.ReplicaTableProps(region="us-east-1")],
    )
    ImportedKey.from_key_arn(
        stack, "Away", "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    )

    synth(stack)


def test_key_of_the_whole_account_and_an_event_bus_need_no_warning(stack, key):
    delegated = EncryptionKey(stack, "Delegated", access=KeyAccess.DELEGATED)
    aws_fsx.CfnFileSystem(stack, "It", file_system_type="LUSTRE", subnet_ids=["subnet-1"], kms_key_id=delegated.key_arn)
    aws_events.EventBus(stack, "Bus", kms_key=key)

    assert warnings(stack) == []
