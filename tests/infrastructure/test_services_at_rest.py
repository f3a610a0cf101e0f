"""Constructs of the AWS CDK, given an EncryptionKey, synthesize with a working and narrow policy and no cycle."""

import pytest
from aws_cdk import assertions, aws_backup, aws_dynamodb, aws_ec2, aws_efs, aws_events, aws_kinesis, aws_logs, aws_rds
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_notifications as notifications
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from kms_patterns import EncryptionKey, SigningKey

DEPLOYER = {
    "Fn::Sub": "arn:${AWS::Partition}:iam::111122223333:role/cdk-hnb659fds-cfn-exec-role-111122223333-eu-west-1"
}


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


def attribute(name="id"):
    return aws_dynamodb.Attribute(name=name, type=aws_dynamodb.AttributeType.STRING)


def table(stack, key):
    return aws_dynamodb.Table(stack, "It", partition_key=attribute(), encryption_key=key)


def table_v2(stack, key):
    encryption = aws_dynamodb.TableEncryptionV2.customer_managed_key(key)
    return aws_dynamodb.TableV2(stack, "It", partition_key=attribute(), encryption=encryption)


def function(stack, key):
    return lambda_.Function(
        stack,
        "It",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="index.handler",
        code=lambda_.Code.from_inline("pass"),
        environment={"NAME": "value"},
        environment_encryption=key,
    )


def database(stack, key):
    engine, vpc = aws_rds.DatabaseInstanceEngine.POSTGRES, aws_ec2.Vpc(stack, "Vpc")
    return aws_rds.DatabaseInstance(stack, "It", engine=engine, vpc=vpc, storage_encryption_key=key)


def cluster(stack, key):
    engine = aws_rds.DatabaseClusterEngine.aurora_postgres(version=aws_rds.AuroraPostgresEngineVersion.VER_16_6)
    writer, vpc = aws_rds.ClusterInstance.serverless_v2("Writer"), aws_ec2.Vpc(stack, "Vpc")
    return aws_rds.DatabaseCluster(stack, "It", engine=engine, vpc=vpc, writer=writer, storage_encryption_key=key)


def file_system(stack, key):
    return aws_efs.FileSystem(stack, "It", vpc=aws_ec2.Vpc(stack, "Vpc"), kms_key=key)


def statements(template, deployer):
    found = next(item for item in template["Resources"].values() if item["Type"] == "AWS::KMS::Key")
    return [
        statement
        for statement in found["Properties"]["KeyPolicy"]["Statement"][1:]
        if statement["Effect"] == "Allow" and (statement.get("Sid", "").startswith("AllowDeployment") is deployer)
    ]


CREATED = {
    "dynamodb": (table, "dynamodb", True),
    "dynamodb v2": (table_v2, "dynamodb", True),
    "lambda": (function, "lambda", True),
    "rds": (database, "rds", True),
    "aurora": (cluster, "rds", True),
    "efs": (file_system, "elasticfilesystem", True),
    "backup": (lambda stack, key: aws_backup.BackupVault(stack, "It", encryption_key=key), "backup", True),
    "kinesis": (lambda stack, key: aws_kinesis.Stream(stack, "It", encryption_key=key), "kinesis", False),
    "secret": (
        lambda stack, key: secretsmanager.Secret(stack, "It", encryption_key=key),
        "secretsmanager",
        False,
    ),
}


@pytest.mark.parametrize("name", CREATED)
def test_role_that_deploys_may_create_the_resource_through_its_service_only(name, stack, key, synth):
    make, host, grants = CREATED[name]
    make(stack, key)

    found = statements(synth(stack), deployer=True)

    assert {statement["Condition"]["ArnEquals"]["aws:PrincipalArn"]["Fn::Sub"] for statement in found} == {
        DEPLOYER["Fn::Sub"]
    }
    assert {statement["Condition"]["StringEquals"]["kms:ViaService"] for statement in found} == {
        f"{host}.eu-west-1.amazonaws.com"
    }
    minting = [statement for statement in found if statement["Action"] == "kms:CreateGrant"]
    assert [statement["Condition"]["Bool"] for statement in minting] == (
        [{"kms:GrantIsForAWSResource": "true"}] if grants else []
    )
    assert "*" not in str([statement["Action"] for statement in found])


@pytest.mark.parametrize(
    "make",
    [
        lambda stack, key: s3.Bucket(stack, "It", encryption_key=key),
        lambda stack, key: sqs.Queue(stack, "It", encryption_master_key=key),
        lambda stack, key: sns.Topic(stack, "It", master_key=key),
    ],
)
def test_resource_that_uses_the_key_for_its_callers_needs_no_statement(make, stack, key, synth):
    make(stack, key)

    assert statements(synth(stack), deployer=True) == []


def test_log_group_lets_cloudwatch_logs_use_the_key_for_log_groups_of_the_account(stack, key, synth):
    aws_logs.LogGroup(stack, "Logs", encryption_key=key)
    aws_logs.LogGroup(stack, "More", encryption_key=key)

    (service,) = statements(synth(stack), deployer=False)
    assert service["Principal"] == {"Service": "logs.eu-west-1.amazonaws.com"}
    assert service["Condition"] == {
        "ArnLike": {
            "kms:EncryptionContext:aws:logs:arn": {
                "Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":logs:eu-west-1:111122223333:log-group:*"]]
            }
        }
    }


def test_key_under_several_resources_names_the_deploying_role_once_per_service(stack, key, synth):
    aws_dynamodb.Table(stack, "One", partition_key=attribute(), encryption_key=key)
    aws_dynamodb.Table(stack, "Two", partition_key=attribute(), encryption_key=key)
    function(stack, key)

    assert len(statements(synth(stack), deployer=True)) == 4


@pytest.mark.parametrize(
    ("make", "method", "actions"),
    [
        (table, "grant_read_data", ["kms:Decrypt", "kms:DescribeKey"]),
        (table, "grant_read_write_data", ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]),
        (table_v2, "grant_write_data", ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]),
        (CREATED["kinesis"][0], "grant_read", ["kms:Decrypt"]),
        (CREATED["secret"][0], "grant_read", ["kms:Decrypt"]),
        (CREATED["secret"][0], "grant_write", ["kms:Encrypt", "kms:GenerateDataKey"]),
    ],
)
def test_grants_of_the_resource_write_both_halves(
    make, method, actions, stack, key, role, synth, role_statements, named
):
    user = role("User")

    getattr(make(stack, key), method)(user)

    template = synth(stack)
    (in_key,) = statements(template, deployer=False)
    in_role = [it for it in role_statements(template, stack, user) if it["Resource"] == stack.resolve(key.key_arn)]
    assert as_list(in_key["Action"]) == actions
    assert in_key["Condition"]["ArnEquals"] == {"aws:PrincipalArn": stack.resolve(user.role_arn)}
    assert [as_list(it["Action"]) for it in in_role] == [actions]


def test_secret_is_read_through_secrets_manager_only(stack, key, role, synth):
    secretsmanager.Secret(stack, "Secret", encryption_key=key).grant_read(role("User"))

    (in_key,) = statements(synth(stack), deployer=False)
    assert in_key["Condition"]["StringEquals"] == {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"}


@pytest.mark.parametrize("kind", ["imported", "user"])
def test_secret_may_be_granted_to_whoever_has_an_arn(kind, stack, key, synth):
    grantee = (
        iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::111122223333:role/orders")
        if kind == "imported"
        else iam.User(stack, "Person")
    )

    secretsmanager.Secret(stack, "Secret", encryption_key=key).grant_read(grantee)

    assert [it["Action"] for it in statements(synth(stack), deployer=False)] == ["kms:Decrypt"]


def test_notifications_through_an_encrypted_queue_are_exact_and_bound_to_a_source(stack, key, synth):
    queue = sqs.Queue(stack, "Queue", encryption_master_key=key)

    s3.Bucket(stack, "Bucket").add_event_notification(s3.EventType.OBJECT_CREATED, notifications.SqsDestination(queue))

    found = statements(synth(stack), deployer=False)
    assert {tuple(as_list(it["Action"])) for it in found} == {("kms:Decrypt", "kms:GenerateDataKey")}
    assert {it["Principal"]["Service"] for it in found} == {"s3.amazonaws.com"}
    assert all("aws:Source" in str(it["Condition"]) for it in found)


def test_event_bus_keeps_its_exact_statement(stack, key, synth):
    aws_events.EventBus(stack, "Bus", kms_key=key)

    (service,) = statements(synth(stack), deployer=False)
    assert service["Condition"]["StringEquals"]["aws:SourceAccount"] == "111122223333"


@pytest.mark.parametrize(
    "make",
    [*(row[0] for row in CREATED.values() if row[0] is not cluster), lambda s, k: s3.Bucket(s, "It", encryption_key=k)],
)
def test_other_types_of_key_are_refused_by_services_that_encrypt_at_rest(make, stack, synth):
    key = SigningKey(stack, "Signing")

    with pytest.raises(Exception, match=r"symmetric (encryption )?keys only"):
        synth(stack) if make(stack, key) else None


@pytest.mark.parametrize("make", [row[0] for row in CREATED.values()])
def test_no_dependency_cycle(make, stack, key, role, synth):
    made = make(stack, key)
    for method in ("grant_read", "grant_read_data", "grant_invoke"):
        if hasattr(made, method):
            getattr(made, method)(role("User"))

    assertions.Template.from_json(synth(stack))


def as_list(value):
    return value if isinstance(value, list) else [value]
