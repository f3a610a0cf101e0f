"""What the service grants write for each service of the table; services outside of it are reported."""

import aws_cdk as cdk
import pytest
from aws_cdk import assertions, aws_dynamodb, aws_elasticache, aws_events, aws_fsx, aws_opensearchservice
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns

from kms_patterns import EncryptionKey, ImportedKey, KeyAccess, KeyAgreementKey, MacKey, RsaEncryptionKey, SigningKey
from kms_patterns.keys.errors import GrantRefused
from kms_patterns.policy.services import SERVICES

ACTING = [name for name, use in SERVICES.items() if use.principal]
ROLE = "arn:aws:iam::111122223333:role/deployer"
CALLED = [name for name, use in SERVICES.items() if use.through or use.creation]


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


@pytest.mark.parametrize("service", ACTING)
def test_service_that_acts_for_itself_is_bound_to_a_source(service, stack, key, synth, key_statements):
    key.allow_service(service)

    (statement,) = key_statements(synth(stack))[1:]
    assert statement["Sid"] == f"AllowService{service.capitalize()}"
    assert "aws:SourceAccount" in str(statement["Condition"]) or "kms:EncryptionContext" in str(statement["Condition"])
    assert "*" not in str(statement["Action"])


def test_service_may_be_bound_to_one_resource(stack, key, synth, key_statements):
    key.allow_service("sns", source_arn="arn:aws:sns:eu-west-1:111122223333:orders")

    (statement,) = key_statements(synth(stack))[1:]
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "111122223333"},
        "ArnLike": {"aws:SourceArn": "arn:aws:sns:eu-west-1:111122223333:orders"},
    }


@pytest.mark.parametrize("service", sorted(set(SERVICES) - set(ACTING)))
def test_service_that_acts_for_its_callers_only_is_refused_with_the_way_out(service, key):
    with pytest.raises(GrantRefused, match=f"call allow_use_through\\('{service}', role\\)"):
        key.allow_service(service)


@pytest.mark.parametrize("service", CALLED)
def test_creator_is_allowed_through_the_service_only(service, stack, key, role, synth, key_statements, role_statements):
    user = role("User")

    key.allow_use_through(service, user, create=True)

    template = synth(stack)
    in_key, in_role = key_statements(template)[1:], role_statements(template, stack, user)
    host = f"{SERVICES[service].host}.eu-west-1.amazonaws.com"
    assert {it["Condition"]["StringEquals"]["kms:ViaService"] for it in in_key + in_role} == {host}
    minting = [it for it in in_key + in_role if it["Action"] == "kms:CreateGrant"]
    assert len(minting) == (2 if SERVICES[service].creates_grants else 0)
    assert all(it["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"} for it in minting)
    assert "*" not in str([it["Action"] for it in in_key + in_role])


def test_user_of_a_table_gets_no_grants_and_only_decryption(stack, key, role, synth, key_statements):
    key.allow_use_through("dynamodb", role("User"))

    assert [it["Action"] for it in key_statements(synth(stack))[1:]] == ["kms:Decrypt"]


def test_user_of_a_service_that_needs_nothing_of_them_is_refused(key, role):
    with pytest.raises(GrantRefused, match="need no permission on their key"):
        key.allow_use_through("rds", role("User"))


def test_grants_are_for_aws_resources_and_named_operations_only(stack, key, role, synth, key_statements):
    key.grant_create_grant(role("User"), operations=["Decrypt", "DescribeKey"])

    (statement,) = key_statements(synth(stack))[1:]
    assert statement["Action"] == "kms:CreateGrant"
    assert statement["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}
    assert statement["Condition"]["ForAllValues:StringEquals"] == {"kms:GrantOperations": ["Decrypt", "DescribeKey"]}


def test_grants_without_operations_are_refused(key, role):
    with pytest.raises(GrantRefused, match="a KMS grant on this key may hold"):
        key.grant_create_grant(role("User"), operations=[])


@pytest.mark.parametrize("kind", [RsaEncryptionKey, SigningKey, MacKey, KeyAgreementKey])
@pytest.mark.parametrize("method", ["allow_service", "allow_use_through"])
def test_keys_that_are_not_symmetric_are_refused(kind, method, stack, role):
    arguments = [role("User")] if method == "allow_use_through" else []

    with pytest.raises(GrantRefused, match="takes symmetric keys only"):
        getattr(kind(stack, "Key"), method)("s3", *arguments)


def test_unknown_service_is_refused_with_those_that_are_known(key):
    with pytest.raises(GrantRefused, match="'smtp' is not in the table of services; it has s3, ebs, rds"):
        key.allow_service("smtp")


def test_stack_that_names_no_deploying_role_is_told_to_allow_one(app, synth):
    stack = cdk.Stack(app, "Legacy", synthesizer=cdk.LegacyStackSynthesizer())
    key = EncryptionKey(stack, "Key")
    kinesis.Stream(stack, "Stream", encryption_key=key)

    with pytest.raises(RuntimeError, match="its synthesizer does not name it: call allow_use_through"):
        synth(stack)


def test_key_of_the_aws_cdk_beside_ours_is_left_alone(stack, key, synth):
    s3.Bucket(stack, "Bucket", encryption_key=kms.Key(stack, "Other"))

    synth(stack)


def test_id_of_the_statement_does_not_change_with_the_rest_of_the_app(app):
    found = set()
    for number in (0, 3):
        stack = cdk.Stack(app, f"Stack{number}", env=cdk.Environment(account="111122223333", region="eu-west-1"))
        for one in range(number):
            sns.Topic(stack, f"Earlier{one}")
        key = EncryptionKey(stack, "Key")
        key.allow_service("sns", source_arn=sns.Topic(stack, "Topic").topic_arn)
        found.add(stack.resolve(key.resource.key_policy)["Statement"][-1]["Sid"])

    assert len(found) == 1


def warnings(stack):
    found = assertions.Annotations.from_stack(stack).find_warning(
        "*", assertions.Match.string_like_regexp("nothing was allowed")
    )
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


@pytest.mark.parametrize(
    ("synthesizer", "role"),
    [
        (lambda: cdk.DefaultStackSynthesizer(qualifier="orders"), "cdk-orders-cfn-exec-role-111122223333-eu-west-1"),
        (lambda: cdk.BootstraplessSynthesizer(cloud_formation_execution_role_arn=ROLE), ROLE),
        (cdk.BootstraplessSynthesizer, "cdk-hnb659fds-cfn-exec-role-111122223333-eu-west-1"),
        (cdk.LegacyStackSynthesizer, None),
        (cdk.CliCredentialsStackSynthesizer, None),
    ],
)
def test_role_that_deploys_is_that_of_the_synthesizer_or_one_that_the_app_names(synthesizer, role, app):
    env = cdk.Environment(account="111122223333", region="eu-west-1")
    stack = cdk.Stack(app, "Stack", env=env, synthesizer=synthesizer())
    key = EncryptionKey(stack, "Key")
    secretsmanager.Secret(stack, "Secret", encryption_key=key)
    if role is None:
        key.allow_use_through("secretsmanager", iam.Role.from_role_arn(stack, "Role", ROLE), create=True)

    policy = next(iter(assertions.Template.from_stack(stack).find_resources("AWS::KMS::Key").values()))["Properties"]

    assert (role or ROLE) in str(policy["KeyPolicy"])
    assert ("AllowDeployment" in str(policy["KeyPolicy"])) is (role is not None)
