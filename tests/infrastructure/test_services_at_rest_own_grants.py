"""EBS, Redshift, ECR and Step Functions under our keys; grants that resources have besides those on their data."""

import re
from pathlib import Path

import aws_cdk as cdk
import jsii
import pytest
from aws_cdk import (
    assertions,
    aws_backup,
    aws_ec2,
    aws_ecr,
    aws_efs,
    aws_lambda,
    aws_rds,
    aws_redshift,
    aws_ssm,
)
from aws_cdk import aws_stepfunctions as states

from kms_patterns import EncryptionKey
from kms_patterns.policy import services
from tests.infrastructure.test_service_grants import warnings
from tests.infrastructure.test_services_at_rest import statements


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


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
        "Decrypt DescribeKey GenerateDataKeyWithoutPlaintext ReEncryptFrom ReEncryptTo",
        "Decrypt GenerateDataKeyWithoutPlaintext CreateGrant ReEncryptFrom ReEncryptTo",
    ),
    "redshift": (
        warehouse,
        "redshift",
        "Decrypt DescribeKey GenerateDataKey",
        "Encrypt Decrypt ReEncryptFrom ReEncryptTo GenerateDataKey GenerateDataKeyWithoutPlaintext CreateGrant "
        "RetireGrant DescribeKey",
    ),
    "ecr": (
        lambda stack, key: aws_ecr.Repository(stack, "It", encryption_key=key),
        "ecr",
        "DescribeKey RetireGrant",
        "Decrypt GenerateDataKey DescribeKey RetireGrant CreateGrant",
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_role_that_deploys_may_create_it_through_its_service_and_mint_grants_for_it(name, stack, key, synth):
    make, host, creation, grants = MADE[name]
    make(stack, key)

    creating, minting = statements(synth(stack), deployer=True)

    assert creating["Action"] == [f"kms:{action}" for action in creation.split()]
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
    assert creating["Action"] == [f"kms:{action}" for action in MADE["ebs"][2].split()]


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
    source = Path(services.__file__).read_text(encoding="utf-8")

    found = re.findall(r'    # https://docs\.aws\.amazon\.com/\S+\.html\n    "(\w+)": ServiceUse\(', source)

    assert found == list(services.SERVICES)


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
            "blockDeviceMappings.ebs.kmsKeyId",
            lambda stack, key: aws_ec2.CfnInstance(stack, "It", block_device_mappings=[disk(key)]),
        ),
        (
            "launchTemplateData.blockDeviceMappings.ebs.kmsKeyId",
            lambda stack, key: aws_ec2.CfnLaunchTemplate(
                stack, "It", launch_template_data={"blockDeviceMappings": cdk.Lazy.any(Later([disk(key)]))}
            ),
        ),
        (
            "performanceInsightsKmsKeyId",
            lambda stack, key: aws_rds.CfnDBInstance(stack, "It", performance_insights_kms_key_id=key.key_arn),
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
        (
            "code.sourceKmsKeyArn",
            lambda stack, key: aws_lambda.CfnFunction(
                stack, "It", code={"s3Bucket": "b", "s3Key": "k", "sourceKmsKeyArn": key.key_arn}, role="arn"
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
