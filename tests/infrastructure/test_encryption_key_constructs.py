"""Constructs of the AWS CDK reach an EncryptionKey's narrow grants; a grant names one role or user by its ARN."""

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn

from kms_patterns import EncryptionKey, KeyAccess
from kms_patterns.keys.errors import GrantRefused


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


@pytest.mark.parametrize(
    ("method", "actions"),
    [
        ("grant_read", ["kms:Decrypt", "kms:DescribeKey"]),
        ("grant_put", ["kms:Decrypt", "kms:GenerateDataKey"]),
        ("grant_write", ["kms:Decrypt", "kms:GenerateDataKey"]),
        ("grant_read_write", ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]),
    ],
)
def test_plain_bucket_grants_the_exact_actions_in_both_policies(
    method, actions, stack, key, role, synth, key_statements, role_statements, named
):
    user = role("User")
    bucket = s3.Bucket(stack, "Bucket", encryption_key=key)

    getattr(bucket, method)(user)

    template = synth(stack)
    assert key_statements(template)[1:] == [named(user, actions)]
    in_role = [it for it in role_statements(template, stack, user) if "kms" in str(it["Action"])]
    assert [(it["Action"], it["Resource"]) for it in in_role] == [(actions, stack.resolve(key.key_arn))]


def test_queue_grants_its_senders_data_keys(stack, key, role, synth, key_statements, named):
    user = role("Sender")

    sqs.Queue(stack, "Queue", encryption_master_key=key).grant_send_messages(user)

    assert key_statements(synth(stack))[1:] == [named(user, ["kms:Decrypt", "kms:GenerateDataKey"])]


def test_stream_grants_its_readers_decryption(stack, key, role, synth, key_statements, named):
    user = role("Reader")

    kinesis.Stream(stack, "Stream", encryption_key=key).grant_read(user)

    assert key_statements(synth(stack))[1:] == [named(user, ["kms:Decrypt"])]


def test_stream_grants_its_writers_data_keys(stack, key, role, synth, key_statements, named):
    user = role("Writer")

    kinesis.Stream(stack, "Stream", encryption_key=key).grant_write(user)

    assert key_statements(synth(stack))[1:] == [named(user, ["kms:Encrypt", "kms:GenerateDataKey"])]


def test_stream_grants_both_to_who_reads_and_writes(stack, key, role, synth, key_statements, named):
    user = role("User")

    kinesis.Stream(stack, "Stream", encryption_key=key).grant_read_write(user)

    assert key_statements(synth(stack))[1:] == [named(user, ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"])]


def test_unknown_wildcard_is_refused(key, role):
    with pytest.raises(GrantRefused, match=r"wildcard kms:\*"):
        key.grant(role("User"), "kms:*")


def test_list_of_which_nothing_is_needed_is_refused(key, role):
    with pytest.raises(GrantRefused, match="no operation"):
        key.grant(role("User"), "kms:ReEncrypt*")


def test_exact_actions_pass_in_the_spelling_of_kms(stack, key, role, synth, key_statements, named):
    user = role("User")

    key.grant(user, "kms:Encrypt", "kms:generatedatakeywithoutplaintext")

    assert key_statements(synth(stack))[1:] == [
        named(user, ["kms:Encrypt", "kms:GenerateDataKeyWithoutPlaintext"]),
    ]


@pytest.mark.parametrize(
    "method", ["grant_sign", "grant_verify", "grant_sign_verify", "grant_generate_mac", "grant_verify_mac"]
)
def test_operations_of_other_key_types_are_refused_with_the_error_of_kms(method, key, role):
    with pytest.raises(GrantRefused, match="InvalidKeyUsageException"):
        getattr(key, method)(role("User"))


def test_public_key_of_a_symmetric_key_is_refused_with_the_error_of_kms(key, role):
    with pytest.raises(GrantRefused, match="UnsupportedOperationException"):
        key.grant(role("User"), "kms:GetPublicKey")


def test_minting_kms_grants_is_refused(key, role):
    with pytest.raises(GrantRefused, match="gives others use of the key"):
        key.grant(role("User"), "kms:CreateGrant")


def test_administration_is_no_use(key, role):
    with pytest.raises(GrantRefused, match="call grant_admin"):
        key.grant(role("User"), "kms:PutKeyPolicy")


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::111122223333:role/*",
        "arn:aws:iam::444455556666:role/orders-?",
        "arn:aws:sts::444455556666:assumed-role/orders/session",
    ],
)
def test_arn_that_stands_for_no_single_role_is_refused(arn, stack, key):
    with pytest.raises(GrantRefused, match="does not identify exactly one role or user"):
        key.grant_decrypt(iam.Role.from_role_arn(stack, "Role", arn))


def test_role_of_an_account_outside_of_the_perimeter_is_refused(stack):
    role = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::444455556666:role/orders")

    with pytest.raises(GrantRefused, match=r"account 444455556666, outside of the key's perimeter 111122223333"):
        EncryptionKey(stack, "Key", perimeter="111122223333").grant_decrypt(role)
    EncryptionKey(stack, "Other", perimeter="o-a1b2c3d4e5").grant_decrypt(role)


@pytest.mark.parametrize("by_name", [True, False])
def test_wildcard_beside_a_token_is_refused_too(by_name, stack, key):
    if by_name:
        role = iam.Role.from_role_name(stack, "Role", "orders-*")
    else:
        role = iam.Role.from_role_arn(stack, "Role", f"arn:{cdk.Aws.PARTITION}:iam::{cdk.Aws.ACCOUNT_ID}:role/*")

    with pytest.raises(GrantRefused, match="does not identify exactly one role or user"):
        key.grant_decrypt(role)


def ecs_exec(stack, key):
    cluster = ecs.Cluster(
        stack,
        "Cluster",
        vpc=ec2.Vpc(stack, "Vpc", nat_gateways=0),
        execute_command_configuration=ecs.ExecuteCommandConfiguration(kms_key=key),
    )
    task = ecs.FargateTaskDefinition(stack, "Task")
    task.add_container("Container", image=ecs.ContainerImage.from_registry("x"))
    ecs.FargateService(stack, "Service", cluster=cluster, task_definition=task, enable_execute_command=True)
    return task.task_role


def state_machine(stack, key):
    return sfn.StateMachine(
        stack,
        "Machine",
        definition_body=sfn.DefinitionBody.from_chainable(sfn.Pass(stack, "Pass")),
        encryption_configuration=sfn.CustomerManagedEncryptionConfiguration(key),
        logs=sfn.LogOptions(destination=logs.LogGroup(stack, "Logs"), level=sfn.LogLevel.ALL),
    ).role


@pytest.mark.parametrize("construct", [ecs_exec, state_machine])
@pytest.mark.parametrize("access", KeyAccess)
def test_wildcards_of_constructs_are_made_exact_and_a_named_key_says_what_they_need(construct, access, stack, synth):
    """Both write wildcards for a service; ECS Exec also `kms:*` for the account, which a delegated key has already."""
    key = EncryptionKey(stack, "Key", access=access)
    role = construct(stack, key)

    if access is KeyAccess.NAMED:
        with pytest.raises(RuntimeError, match="kms:GenerateDataKey, which the key policy does not"):
            synth(stack)
        key.grant_operations(role, "kms:Decrypt", "kms:GenerateDataKey")

    (policy,) = (it["Properties"] for it in synth(stack)["Resources"].values() if it["Type"] == "AWS::KMS::Key")
    allowed = [it for it in policy["KeyPolicy"]["Statement"] if it["Effect"] == "Allow"]
    delegating = [it for it in allowed if it["Action"] == "kms:*"]
    assert len(delegating) == (access is KeyAccess.DELEGATED)
    assert "*" not in "".join(action for it in allowed if it not in delegating for action in it["Action"])
