"""Constructs of the AWS CDK encrypt under an EncryptionKey: a working and narrow policy, no cycle."""

import json
import re
from pathlib import Path

import aws_cdk as cdk
import jsii
import pytest
from aws_cdk import (
    assertions,
    aws_backup,
    aws_cloudtrail,
    aws_dynamodb,
    aws_ec2,
    aws_ecr,
    aws_efs,
    aws_events,
    aws_kinesis,
    aws_kinesisfirehose,
    aws_lambda,
    aws_logs,
    aws_rds,
    aws_redshift,
    aws_ssm,
)
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_notifications as notifications
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as states

from kms_patterns import EncryptionKey, KeyAccess, SigningKey
from kms_patterns.policy import acting_services, actions, services
from tests.infrastructure.test_service_grants import warnings

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


def stream(stack, key):
    return aws_kinesis.Stream(stack, "It", encryption_key=key)


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
        # Its creator describes the key, as every role of the account may that IAM allows it.
        stream,
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
        (table, "grant_read_data", ["kms:Decrypt"]),
        (table, "grant_read_write_data", ["kms:Decrypt", "kms:GenerateDataKey"]),
        (table_v2, "grant_write_data", ["kms:Decrypt", "kms:GenerateDataKey"]),
        (stream, "grant_read", ["kms:Decrypt"]),
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


def volume(stack, key):
    return aws_ec2.Volume(
        stack, "It", availability_zone="eu-west-1a", size=cdk.Size.gibibytes(8), encrypted=True, encryption_key=key
    )


def warehouse(stack, key):
    return aws_redshift.CfnCluster(
        stack, "It", cluster_type="single-node", node_type="ra3.large", db_name="it", master_username="it",
        manage_master_password=True, encrypted=True, kms_key_id=key.key_arn,
    )  # fmt: skip


MADE = {
    "ebs": (
        volume,
        "ec2",
        "Decrypt GenerateDataKeyWithoutPlaintext ReEncryptFrom ReEncryptTo",
        "Decrypt GenerateDataKeyWithoutPlaintext CreateGrant ReEncryptFrom ReEncryptTo",
    ),
    "redshift": (
        warehouse,
        "redshift",
        "Decrypt Encrypt GenerateDataKey",
        "Encrypt Decrypt ReEncryptFrom ReEncryptTo GenerateDataKey GenerateDataKeyWithoutPlaintext CreateGrant "
        "RetireGrant DescribeKey",
    ),
    "ecr": (
        lambda stack, key: aws_ecr.Repository(stack, "It", encryption_key=key),
        "ecr",
        "RetireGrant",
        "Decrypt GenerateDataKey DescribeKey RetireGrant CreateGrant",
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_role_that_deploys_may_create_it_through_its_service_and_mint_grants_for_it(name, stack, key, synth):
    make, host, creation, grants = MADE[name]
    make(stack, key)

    creating, minting = statements(synth(stack), deployer=True)

    actions = creating["Action"]
    assert ([actions] if isinstance(actions, str) else actions) == [f"kms:{it}" for it in creation.split()]
    assert (minting["Action"], minting["Condition"]["Bool"]) == (
        "kms:CreateGrant",
        {"kms:GrantIsForAWSResource": "true"},
    )
    assert minting["Condition"]["ForAllValues:StringEquals"] == {"kms:GrantOperations": grants.split()}
    for statement in (creating, minting):
        assert statement["Condition"]["StringEquals"] == {"kms:ViaService": f"{host}.eu-west-1.amazonaws.com"}
        assert "cfn-exec-role" in str(statement["Condition"]["ArnEquals"]["aws:PrincipalArn"])


@pytest.mark.parametrize("name", MADE)
def test_nobody_but_the_role_that_deploys_is_allowed_by_creation(name, stack, key, synth):
    MADE[name][0](stack, key)

    assert statements(synth(stack), deployer=False) == []


def test_who_attaches_a_volume_may_mint_the_grant_of_ebs_only(stack, key, role, synth, role_statements):
    user = role("User")

    volume(stack, key).grant_attach_volume(user)

    template = synth(stack)
    (in_key,) = statements(template, deployer=False)
    (in_role,) = [it for it in role_statements(template, stack, user) if it["Action"] == "kms:CreateGrant"]
    operations = {"kms:GrantOperations": MADE["ebs"][3].split()}
    assert in_key["Condition"] == {
        "ArnEquals": {"aws:PrincipalArn": stack.resolve(user.role_arn)},
        "Bool": {"kms:GrantIsForAWSResource": "true"},
        "ForAllValues:StringEquals": operations,
        "StringEquals": {"kms:ViaService": "ec2.eu-west-1.amazonaws.com"},
    }
    assert in_role["Resource"] == stack.resolve(key.key_arn)
    assert in_role["Condition"]["ForAllValues:StringEquals"] == operations
    assert in_role["Condition"]["StringEquals"]["kms:ViaService"] == "ec2.eu-west-1.amazonaws.com"


def test_volume_under_an_imported_key_tells_the_owner_of_both(stack, role, synth):
    arn = "arn:aws:kms:eu-west-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    key = EncryptionKey.from_key_arn(stack, "Imported", arn)

    volume(stack, key).grant_attach_volume(role("User"))

    synth(stack)
    attaching, creating, minting = key.owner_statements
    assert attaching["Action"] == minting["Action"] == ["kms:CreateGrant"]
    # The owner is told all: what else the key policy allows is not known here.
    assert sorted(creating["Action"]) == sorted(f"kms:{it}" for it in ["DescribeKey", *MADE["ebs"][2].split()])


def connects(stack, key, user):
    vpc, engine = aws_ec2.Vpc(stack, "Vpc"), aws_rds.DatabaseInstanceEngine.POSTGRES
    made = aws_rds.DatabaseInstance(
        stack, "It", engine=engine, vpc=vpc, storage_encryption_key=key, iam_authentication=True
    )
    made.grant_connect(user, "reader")


def mounts(stack, key, user):
    made = aws_efs.FileSystem(stack, "It", vpc=aws_ec2.Vpc(stack, "Vpc"), kms_key=key)
    made.grant_read_write(user)


def backs_up(stack, key, user):
    aws_backup.BackupVault(stack, "It", encryption_key=key).grant(user, "backup:StartBackupJob")


@pytest.mark.parametrize(
    ("grant", "action"),
    [(connects, "rds-db:connect"), (mounts, "elasticfilesystem:ClientWrite"), (backs_up, "backup:StartBackupJob")],
)
def test_service_that_uses_the_key_by_its_own_grant_leaves_its_users_without_the_key(
    grant, action, stack, key, role, synth, role_statements
):
    user = role("User")

    grant(stack, key, user)

    template = synth(stack)
    granted = str(role_statements(template, stack, user))
    assert (action in granted, "kms:" in granted) == (True, False)
    assert statements(template, deployer=False) == []
    assert len(statements(template, deployer=True)) == 2
    assertions.Template.from_json(template)


def machine(stack, key):
    body = states.DefinitionBody.from_chainable(states.Pass(stack, "Pass"))
    encryption = states.CustomerManagedEncryptionConfiguration(key)
    return states.StateMachine(stack, "It", definition_body=body, encryption_configuration=encryption)


def test_state_machine_writes_its_own_half_and_the_error_says_how_to_write_the_other(stack, key, synth):
    machine(stack, key)

    with pytest.raises(RuntimeError, match=r"allows Stack/It/Role kms:Decrypt, kms:GenerateDataKey, which the key"):
        synth(stack)


def test_state_machine_is_served_by_a_grant_to_its_role(stack, key, synth):
    key.grant_operations(machine(stack, key).role, "kms:Decrypt", "kms:GenerateDataKey")

    (in_key,) = statements(synth(stack), deployer=False)
    assert in_key["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]


def test_every_row_of_the_table_stands_below_the_page_of_its_service():
    source = "".join(Path(it.__file__).read_text(encoding="utf-8") for it in (services, acting_services))

    found = re.findall(r'    # https://docs\.aws\.amazon\.com/\S+\.html\S*.*\n    "([\w.-]+)": ServiceUse\(', source)

    assert found == list(services.SERVICES)


def test_every_wildcard_that_is_narrowed_stands_below_the_page_that_says_so():
    source = Path(actions.__file__).read_text(encoding="utf-8")

    found = re.findall(r'    # https://docs\.aws\.amazon\.com/\S+\.html.*\n    "(kms:\w+\*)": \[', source)

    assert sorted(found) == sorted(re.findall(r'"(kms:\w+\*)": \[', source))
    assert len(found) == 5


@jsii.implements(cdk.IStableAnyProducer)
class Later:
    def __init__(self, value):
        self.value = value

    def produce(self):
        return self.value


def disk(key):
    return {"ebs": {"encrypted": True, "kmsKeyId": key.key_arn}, "deviceName": "/dev/xvda"}


@pytest.mark.parametrize(
    ("where", "make"),
    [
        (
            "launchTemplateData.blockDeviceMappings.ebs.kmsKeyId",
            lambda stack, key: aws_ec2.CfnLaunchTemplate(
                stack, "It", launch_template_data={"blockDeviceMappings": cdk.Lazy.any(Later([disk(key)]))}
            ),
        ),
        (
            "PolicyDetails.Actions.CrossRegionCopy.CmkArn",
            lambda stack, key: cdk.CfnResource(
                stack,
                "It",
                type="AWS::DLM::LifecyclePolicy",
                properties={"PolicyDetails": {"Actions": [{"CrossRegionCopy": {"CmkArn": key.key_arn}}]}},
            ),
        ),
    ],
)
def test_key_named_deep_in_a_resource_or_in_its_second_property_is_pointed_out(where, make, stack, key):
    make(stack, key)

    ((_, text),) = warnings(stack)
    assert text.startswith("Stack/It ")
    assert f"names this key at {where}, and" in text


def test_arn_of_the_key_that_is_passed_on_as_data_is_not_pointed_out(stack, key):
    variables = {"variables": {"KMS_KEY_ARN": key.key_arn}}
    aws_lambda.CfnFunction(stack, "It", code={"zipFile": "x"}, role="arn", environment=variables)
    aws_ssm.StringParameter(stack, "Parameter", string_value=key.key_arn)

    assert warnings(stack) == []


@pytest.mark.parametrize(
    ("make", "host", "operations", "grants"),
    [
        (
            lambda stack, key: aws_ec2.CfnInstance(stack, "It", block_device_mappings=[disk(key)]),
            "ec2",
            {"kms:GenerateDataKeyWithoutPlaintext", "kms:Decrypt"},
            True,
        ),
        (
            lambda stack, key: aws_rds.CfnDBInstance(stack, "It", performance_insights_kms_key_id=key.key_arn),
            "rds",
            {"kms:GenerateDataKey", "kms:Decrypt"},
            True,
        ),
        (
            lambda stack, key: aws_rds.CfnDBCluster(stack, "It", master_user_secret={"kmsKeyId": key.key_arn}),
            "secretsmanager",
            {"kms:GenerateDataKey", "kms:Decrypt"},
            True,
        ),
        (
            lambda stack, key: aws_lambda.CfnFunction(
                stack, "It", code={"s3Bucket": "b", "s3Key": "k", "sourceKmsKeyArn": key.key_arn}, role="arn"
            ),
            "lambda",
            {"kms:GenerateDataKey", "kms:Decrypt"},
            False,
        ),
        (
            lambda stack, key: aws_kinesisfirehose.CfnDeliveryStream(
                stack, "It", delivery_stream_encryption_configuration_input={"keyArn": key.key_arn, "keyType": "C"}
            ),
            "firehose",
            {"kms:GenerateDataKey", "kms:Decrypt"},
            True,
        ),
    ],
)
def test_role_that_deploys_may_create_what_names_the_key_in_a_nested_or_second_property(
    make, host, operations, grants, stack, key, synth
):
    make(stack, key)

    policy = only(synth(stack))
    through = {"kms:ViaService": f"{host}.eu-west-1.amazonaws.com"}
    found = [it for it in policy if it["Sid"].startswith("AllowDeployment") and f"{host}." in str(it["Condition"])]
    (used,) = [it for it in found if it["Action"] != "kms:CreateGrant"]
    assert (operations <= set(used["Action"]), used["Condition"]["StringEquals"]) == (True, through)
    assert warnings(stack) == []
    makes = [it for it in policy if it["Action"] == "kms:CreateGrant" and it["Effect"] == "Allow"]
    assert bool(makes) is grants


def only(template):
    (found,) = [item for item in template["Resources"].values() if item["Type"] == "AWS::KMS::Key"]
    return found["Properties"]["KeyPolicy"]["Statement"]


def test_code_under_the_key_lets_lambda_decrypt_packages_of_the_account(stack, key, synth):
    aws_lambda.CfnFunction(
        stack, "It", code={"s3Bucket": "b", "s3Key": "k", "sourceKmsKeyArn": key.key_arn}, role="arn"
    )

    (statement,) = [it for it in only(synth(stack)) if it["Principal"] == {"Service": "lambda.amazonaws.com"}]
    (pattern,) = statement["Condition"]["ArnLike"].values()
    assert json.dumps(pattern).endswith(':lambda:eu-west-1:111122223333:function:*"]]}')


@pytest.mark.parametrize("access", KeyAccess)
def test_event_data_store_is_refused_since_cloudtrail_sends_no_source_for_it(access, stack, synth):
    key = EncryptionKey(stack, "Key", access=access)
    aws_cloudtrail.CfnEventDataStore(stack, "It", kms_key_id=key.key_arn)

    with pytest.raises(RuntimeError, match=r"Stack/It .* without aws:SourceArn and aws:SourceAccount.*kms\.Key of its"):
        synth(stack)


def test_cloudfront_is_bound_by_the_distributions_of_the_account_which_have_no_region(stack, key, synth):
    """It sends no aws:SourceAccount: a condition on that would deny all of its requests."""
    key.allow_service("cloudfront")

    (statement,) = [it for it in only(synth(stack)) if it["Principal"] == {"Service": "cloudfront.amazonaws.com"}]
    arn = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":cloudfront::111122223333:distribution/*"]]}
    assert statement["Condition"] == {"ArnLike": {"aws:SourceArn": arn}}


def test_execution_role_of_a_schedule_calls_kms_itself(stack, key, role, synth):
    """Its requests have no kms:ViaService; the creator of the schedule calls through the service."""
    key.allow_use_through("scheduler", role("Execution"))
    key.allow_use_through("scheduler", role("Creator"), create=True)

    execution, creator = statements(synth(stack), deployer=False)
    arn = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":scheduler:eu-west-1:111122223333:schedule/*"]]}
    assert execution["Action"] == "kms:Decrypt"
    assert execution["Condition"]["ArnLike"] == {"kms:EncryptionContext:aws:scheduler:schedule:arn": arn}
    assert "StringEquals" not in execution["Condition"]
    assert set(creator["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"}
    assert creator["Condition"]["StringEquals"] == {"kms:ViaService": "scheduler.eu-west-1.amazonaws.com"}


def test_launches_are_the_matter_of_the_role_that_launches_which_the_app_names(stack, key):
    data = {"blockDeviceMappings": [disk(key)]}
    aws_ec2.CfnLaunchTemplate(stack, "It", launch_template_data=data)
    service_linked = iam.Role.from_role_arn(
        stack,
        "AutoScaling",
        "arn:aws:iam::111122223333:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
    )

    key.allow_use_through("ebs", service_linked, create=True, key_policy_only=True)

    assert warnings(stack) == []
