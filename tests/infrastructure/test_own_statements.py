"""Statements that an app adds to a key policy by itself, and public issues of the AWS CDK about keys."""

import re
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_notifications as notifications
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs

from kms_patterns import EncryptionKey, KeyAccess, KeyLifecycle, ReplicaKey
from kms_patterns.keys.errors import GrantRefused
from tests.infrastructure.conftest import short_arns
from tests.infrastructure.test_service_grants import warnings
from tests.synthesis import stored

DENIED = "the key policy does not: the call would end in AccessDeniedException"
NO_IDENTITY = "no policy of that role or user does"
HERE = cdk.Environment(account="111122223333", region="eu-west-1")
INSECURE = {"Bool": {"aws:SecureTransport": "false"}}


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


def statement(*actions, resource="*", **properties):
    return iam.PolicyStatement(actions=list(actions), resources=[resource], **properties)


def test_own_key_policy_statement_without_an_identity_statement_is_refused(stack, key, role, synth):
    key.add_to_resource_policy(statement("kms:Decrypt", principals=[role("User")]))

    with pytest.raises(RuntimeError, match=rf"allows Stack/User kms:Decrypt, which {NO_IDENTITY}"):
        synth(stack)


def test_own_key_policy_statement_for_a_bare_arn_is_refused(stack, key, synth):
    key.add_to_resource_policy(
        statement("kms:Decrypt", principals=[iam.ArnPrincipal("arn:aws:iam::111122223333:role/orders")])
    )

    with pytest.raises(RuntimeError, match=rf"allows role/orders kms:Decrypt, which {NO_IDENTITY}.*from_role_arn"):
        synth(stack)


@pytest.mark.parametrize("everywhere", [True, False])
def test_own_key_policy_statement_with_an_identity_statement_passes(everywhere, stack, key, role, synth):
    user = role("User")
    user.add_to_policy(statement("kms:Decrypt", resource="*" if everywhere else key.key_arn))

    key.add_to_resource_policy(statement("kms:Decrypt", principals=[user]))

    synth(stack)


@pytest.mark.parametrize("operator", ["ArnEquals", "StringEquals", "ArnLike", "StringLike"])
def test_own_key_policy_statement_by_principal_condition_is_matched_too(operator, stack, key, role, synth):
    user = role("User")
    key.add_to_resource_policy(
        statement(
            "kms:Decrypt",
            principals=[iam.AccountRootPrincipal()],
            conditions={operator: {"aws:PrincipalArn": user.role_arn}},
        )
    )

    with pytest.raises(RuntimeError, match=rf"allows Stack/User kms:Decrypt, which {NO_IDENTITY}"):
        synth(stack)


def test_own_key_policy_statement_for_a_service_passes(stack, key, synth):
    source = {"StringEquals": {"aws:SourceAccount": "111122223333"}}
    service = iam.ServicePrincipal("sns.amazonaws.com")

    key.add_to_resource_policy(statement("kms:Decrypt", principals=[service], conditions=source))

    synth(stack)


def test_own_key_policy_statement_for_a_service_without_a_source_is_refused(key):
    with pytest.raises(
        GrantRefused, match=r"sns.amazonaws.com without a condition on aws:SourceAccount.*allow_service"
    ):
        key.add_to_resource_policy(statement("kms:Decrypt", principals=[iam.ServicePrincipal("sns.amazonaws.com")]))


@pytest.mark.parametrize("wildcard", ["kms:*", "*", "kms:GenerateDataKey*"])
def test_own_key_policy_statement_with_a_wildcard_is_refused(wildcard, key, role):
    with pytest.raises(GrantRefused, match="name exact actions"):
        key.add_to_resource_policy(statement(wildcard, principals=[role("User")]))


def test_own_key_policy_statement_for_all_but_some_actions_is_refused(key, role):
    with pytest.raises(GrantRefused, match="NotAction"):
        key.add_to_resource_policy(
            iam.PolicyStatement(not_actions=["kms:Decrypt"], resources=["*"], principals=[role("User")])
        )


@pytest.mark.parametrize(
    "principal",
    [
        iam.AccountRootPrincipal(),
        iam.AccountPrincipal("999999999999"),
        iam.AnyPrincipal(),
        iam.StarPrincipal(),
        iam.ArnPrincipal("*"),
        iam.ArnPrincipal("999999999999"),
        iam.ArnPrincipal("arn:aws:iam::999999999999:root"),
        iam.OrganizationPrincipal("o-1234567890"),
    ],
)
@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"Bool": {"aws:SecureTransport": "true"}},
        {"ArnLike": {"aws:PrincipalArn": "*"}},
        {"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::999999999999:role/x"}},
        {"StringEqualsIfExists": {"aws:PrincipalArn": "arn:aws:iam::999999999999:role/x"}},
        {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}},
    ],
)
def test_own_key_policy_statement_for_use_by_a_whole_account_is_refused(principal, conditions, key):
    with pytest.raises(GrantRefused, match="undoes the two-key control"):
        key.add_to_resource_policy(statement("kms:Decrypt", principals=[principal], conditions=conditions))


@pytest.mark.parametrize(
    "conditions",
    [
        {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/aws-reserved/*"}},
        {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com", "kms:CallerAccount": "111122223333"}},
    ],
)
def test_own_key_policy_statement_that_names_its_callers_is_taken(conditions, key, key_statements, stack):
    key.add_to_resource_policy(statement("kms:Decrypt", principals=[iam.AccountRootPrincipal()], conditions=conditions))

    assert stack.resolve(key.node.default_child.key_policy)["Statement"][-1]["Condition"] == conditions


def test_own_deny_may_have_wildcards(stack, key, synth):
    key.add_to_resource_policy(
        statement("kms:*", effect=iam.Effect.DENY, principals=[iam.AnyPrincipal()], conditions=INSECURE)
    )

    synth(stack)


@pytest.mark.parametrize(
    "conditions",
    [
        {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
        {"StringEquals": {"aws:SourceVpc": "vpc-1"}},
        {"StringNotEquals": {"aws:SourceAccount": "999999999999"}},
        {"StringEqualsIfExists": {"aws:SourceAccount": "111122223333"}},
        {"ForAllValues:StringEquals": {"aws:SourceAccount": "111122223333"}},
        {"Null": {"aws:SourceArn": "false"}},
        {"StringLike": {"aws:SourceArn": "*"}},
        {"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:orders"}},
        {"ArnLike": {"aws:SourceArn": ["arn:aws:sns:eu-west-1:111122223333:orders", "arn:aws:sns:*"]}},
        {"ArnLike": {"aws:SourceArn": "arn:aws:s3:*:????????????:*"}},
        {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::ord*"}},
        {"ArnLike": {"aws:SourceArn": "arn:aws:route53:::hostedzone/*"}},
        {"StringLike": {"aws:SourceArn": "ar*"}},
        {"StringLike": {"aws:SourceArn": "arn:aws:sns:*:${aws:SourceAccount}:*"}},
        {"StringLike": {"aws:SourceAccount": "????????????"}},
        {"StringEquals": {"kms:EncryptionContext:colour": "red"}},
        {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": "arn:aws:logs:eu-west-1:*:log-group:*"}},
        {"ArnLike": {"aws:SourceArn": cdk.Fn.join("", ["arn:", cdk.Aws.PARTITION, ":sns:*:*:orders"])}},
        {"Bool": {"kms:GrantIsForAWSResource": "true"}},
    ],
)
def test_condition_that_binds_a_service_to_nobody_is_no_source(conditions, key):
    with pytest.raises(GrantRefused, match=r"names an account or a resource"):
        key.add_to_resource_policy(
            statement("kms:Decrypt", principals=[iam.ServicePrincipal("sns.amazonaws.com")], conditions=conditions)
        )


@pytest.mark.parametrize(
    "conditions",
    [
        {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::orders"}},
        {"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:111122223333:*"}},
        {"ForAnyValue:StringLike": {"aws:SourceOrgPaths": "o-a1b2c3d4e5/r-ab12/*"}},
        {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": "arn:aws:logs:eu-west-1:111122223333:log-group:*"}},
        {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::orders/*"}},
        {"ArnLike": {"aws:SourceArn": cdk.Fn.sub("arn:${AWS::Partition}:sns:*:${AWS::AccountId}:*")}},
        {"ArnLike": {"aws:SourceArn": cdk.Fn.join("", ["arn:", cdk.Aws.PARTITION, ":sns:*:111122223333:*"])}},
        {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": cdk.Fn.import_value("LogGroup")}},
    ],
)
def test_condition_that_names_a_source_is_taken(conditions, stack, key, synth):
    service = iam.ServicePrincipal("sns.amazonaws.com")

    key.add_to_resource_policy(statement("kms:Decrypt", principals=[service], conditions=conditions))

    synth(stack)


@pytest.mark.parametrize(("service", "taken"), [
    ("dnssec-route53.amazonaws.com", True), ("sns.amazonaws.com", False), ("rds.amazonaws.com", False),
])  # fmt: skip
def test_grants_for_resources_without_a_source_are_for_route_53_alone(service, taken, key):
    principals = [iam.ServicePrincipal("dnssec-route53.amazonaws.com"), iam.ServicePrincipal(service)]
    granting = statement("kms:CreateGrant", principals=principals,
                         conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}})  # fmt: skip

    if taken:
        assert key.add_to_resource_policy(granting).statement_added
    else:
        with pytest.raises(GrantRefused, match=rf"Key: {service} without a condition"):
            key.add_to_resource_policy(granting)


def test_service_that_is_no_service_principal_of_the_cdk_needs_a_source_too(key):
    document = {
        "Effect": "Allow",
        "Action": "kms:Decrypt",
        "Resource": "*",
        "Principal": {"Service": "sns.amazonaws.com"},
    }
    with pytest.raises(GrantRefused, match=r"sns.amazonaws.com without a condition"):
        key.add_to_resource_policy(iam.PolicyStatement.from_json(document))
    wrapped = iam.ServicePrincipal("sns.amazonaws.com").with_conditions({"Bool": {"aws:SecureTransport": "true"}})
    with pytest.raises(GrantRefused, match=r"sns.amazonaws.com without a condition"):
        key.add_to_resource_policy(statement("kms:Decrypt", principals=[wrapped]))


@pytest.mark.parametrize("access", [KeyAccess.NAMED, KeyAccess.DELEGATED])
@pytest.mark.parametrize("principal", [iam.AnyPrincipal(), iam.AccountPrincipal("999999999999")])
def test_administration_by_strangers_is_refused(principal, access, stack):
    key = EncryptionKey(stack, "Key", access=access)

    with pytest.raises(GrantRefused, match=r"kms:PutKeyPolicy for everyone or for another account"):
        key.add_to_resource_policy(statement("kms:PutKeyPolicy", "kms:DescribeKey", principals=[principal]))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("principal", [iam.AccountRootPrincipal(), iam.ArnPrincipal("111122223333")])
def test_administration_by_the_own_account_is_taken(principal, known, app, synth):
    stack = cdk.Stack(app, "Other", env=HERE if known else None)
    if not known and isinstance(principal, iam.ArnPrincipal) and not isinstance(principal, iam.AccountRootPrincipal):
        principal = iam.ArnPrincipal(stack.account)

    EncryptionKey(stack, "Key").add_to_resource_policy(
        statement("kms:ListKeyRotations", "kms:PutKeyPolicy", principals=[principal])
    )

    synth(stack)


def test_description_of_the_key_for_another_account_is_taken(stack, key, synth):
    key.add_to_resource_policy(statement("kms:DescribeKey", principals=[iam.AccountPrincipal("999999999999")]))

    synth(stack)


@pytest.fixture
def consumer(app):
    return cdk.Stack(app, "Consumer", env=HERE)


def test_3732_encrypted_bucket_granted_to_a_role_of_another_stack_is_no_cycle(stack, key, consumer, role, synth):
    bucket = s3.Bucket(stack, "Bucket", encryption_key=key)

    bucket.grant_read_write(role("Role", consumer, role_name="consumer"))

    synth(consumer)
    assertions.Template.from_json(synth(stack))


def test_14213_secret_granted_to_a_role_of_another_stack_is_no_cycle(stack, key, consumer, role, synth):
    secret = secretsmanager.Secret(stack, "Secret", encryption_key=key)

    secret.grant_read(role("Role", consumer, role_name="consumer"))

    synth(consumer)
    assertions.Template.from_json(synth(stack))


def test_22047_key_used_by_roles_of_several_stacks_is_no_cycle(stack, key, consumer, role, synth):
    secret = secretsmanager.Secret(consumer, "Secret", encryption_key=key)
    queue = sqs.Queue(consumer, "Queue", encryption_master_key=key)
    authorizer = role("Authorizer", consumer, role_name="authorizer")

    secret.grant_read(authorizer)
    queue.grant_send_messages(authorizer)

    assertions.Template.from_json(synth(stack))
    assertions.Template.from_json(synth(consumer))


def test_32286_grant_past_the_key_is_an_error_instead_of_void(stack, key, role, synth):
    kms.KeyGrants.from_key(key).decrypt(role("Role"))

    with pytest.raises(RuntimeError, match="AccessDeniedException"):
        synth(stack)


def test_15257_multi_region_key_has_a_replica_construct(app, role):
    away = cdk.Environment(account="111122223333", region="us-east-1")
    home = cdk.Stack(app, "Home", env=HERE, cross_region_references=True)
    other = cdk.Stack(app, "Away", env=away, cross_region_references=True)

    replica = ReplicaKey(other, "Replica", primary_key=EncryptionKey(home, "Key", multi_region=True))

    s3.Bucket(other, "Bucket", encryption_key=replica).grant_read(role("Role", other))
    app.synth()


class TestSnsToSqsUnderOneKey:
    """aws-cdk#35418: with the flag restrictSqsDescryption, the key names the topic, which is encrypted under it."""

    @pytest.fixture
    def app(self):
        return cdk.App(context={"@aws-cdk/aws-sns-subscriptions:restrictSqsDescryption": True})

    def test_35418_is_no_cycle(self, stack, key, synth):
        topic = sns.Topic(stack, "Topic", master_key=key)
        queue = sqs.Queue(stack, "Queue", encryption_master_key=key)

        topic.add_subscription(subscriptions.SqsSubscription(queue))

        template = synth(stack)
        assertions.Template.from_json(template)
        (key_resource,) = [item for item in template["Resources"].values() if item["Type"] == "AWS::KMS::Key"]
        service = key_resource["Properties"]["KeyPolicy"]["Statement"][-1]
        assert service["Principal"] == {"Service": "sns.amazonaws.com"}
        assert service["Condition"] == {
            "ArnEquals": {"aws:SourceArn": {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":sns:*:*:*"]]}},
            "StringEquals": {"aws:SourceAccount": "111122223333"},
        }


def test_17786_notifications_of_a_bucket_into_a_queue_under_one_key_are_no_cycle(stack, key, synth):
    queue = sqs.Queue(stack, "Queue", encryption_master_key=key)
    bucket = s3.Bucket(stack, "Bucket", encryption_key=key)

    bucket.add_event_notification(s3.EventType.OBJECT_CREATED, notifications.SqsDestination(queue))

    assertions.Template.from_json(synth(stack))


def test_23991_grant_in_another_region_names_the_key_and_no_wildcard(app, role):
    away = cdk.Environment(account="111122223333", region="us-east-1")
    home = cdk.Stack(app, "Home", env=HERE, cross_region_references=True)
    other = cdk.Stack(app, "Away", env=away, cross_region_references=True)
    user: iam.Role = role("Role", other, role_name="reader")

    s3.Bucket(home, "Bucket", encryption_key=EncryptionKey(home, "Key")).grant_read(user)

    policies = assertions.Template.from_stack(other).find_resources("AWS::IAM::Policy")
    statements = [it for item in policies.values() for it in item["Properties"]["PolicyDocument"]["Statement"]]
    assert [it for it in statements if "kms" in str(it["Action"]) and it["Resource"] == "*"] == []


def policies_on_deletion(template):
    return {
        (item["Type"], item["DeletionPolicy"], item["UpdateReplacePolicy"]) for item in template["Resources"].values()
    }


@pytest.mark.parametrize(
    ("lifecycle", "deletion", "replacement"),
    [(KeyLifecycle.RETAIN, "RetainExceptOnCreate", "Retain"), (KeyLifecycle.EPHEMERAL, "Delete", "Delete")],
)
def test_38217_key_has_the_removal_policy_of_its_lifecycle_and_its_aliases_leave_their_names_free(
    lifecycle, deletion, replacement, stack, synth
):
    EncryptionKey(stack, "Key", alias="one", aliases=["two"], lifecycle=lifecycle).add_alias("three")

    template = synth(stack)
    assert policies_on_deletion(template) == {
        ("AWS::KMS::Key", deletion, replacement),
        ("AWS::KMS::Alias", "Delete", "Delete"),
    }
    assert len(template["Resources"]) == 4


def test_4336_aliases_of_two_deployments_differ_and_an_ephemeral_one_leaves_its_name_free(app, synth):
    stacks = [cdk.Stack(app, name, env=HERE) for name in ("Orders-dev", "Orders-prod")]
    for stack in stacks:
        EncryptionKey(stack, "Key", alias="artifacts", lifecycle=KeyLifecycle.EPHEMERAL)

    aliases = [
        item for stack in stacks for item in synth(stack)["Resources"].values() if item["Type"] == "AWS::KMS::Alias"
    ]
    assert [it["Properties"]["AliasName"] for it in aliases] == [
        "alias/Orders-dev/artifacts",
        "alias/Orders-prod/artifacts",
    ]
    assert {it["DeletionPolicy"] for it in aliases} == {"Delete"}


@pytest.mark.parametrize("folder", ["infrastructure", "infrastructure/reference_app"])
def test_every_arn_in_a_stored_template_has_six_parts(folder):
    templates = stored(Path(__file__).parents[1] / folder)

    assert len(templates) > 10
    assert {name: short for name, template in templates.items() if (short := list(short_arns(template)))} == {}


@pytest.mark.parametrize(
    ("value", "short"),
    [
        ("arn:aws:sns:*", True),
        ({"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":sns:*"]]}, True),
        ({"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":sns:*:*:*"]]}, False),
        ({"Fn::Join": ["", [{"Fn::GetAtt": ["Bucket", "Arn"]}, "/*"]]}, False),
        ("arn:aws:s3:::bucket/*", False),
        ("*", False),
    ],
)
def test_pattern_with_fewer_parts_is_found(value, short):
    assert bool(list(short_arns({"Statement": [value]}))) is short


ACCOUNT = "111122223333"


@pytest.fixture(params=["strong", "weak"])
def two_regions(request):
    return cdk.App(context={"@aws-cdk/core:defaultCrossStackReferences": request.param})


@pytest.fixture
def home(two_regions):
    env = cdk.Environment(account=ACCOUNT, region="eu-west-1")
    return cdk.Stack(two_regions, "Home", env=env, cross_region_references=True)


@pytest.fixture
def away(two_regions):
    env = cdk.Environment(account=ACCOUNT, region="us-east-1")
    return cdk.Stack(two_regions, "Away", env=env, cross_region_references=True)


@pytest.fixture
def key_of_this_region(home):
    return EncryptionKey(home, "Key")


@pytest.fixture
def user(role, away):
    return role("Role", away, role_name="orders")


def own(action, key_of_this_region):
    return iam.PolicyStatement(actions=[action], resources=[key_of_this_region.key_arn])


def test_grant_writes_both_halves(two_regions, key_of_this_region, user):
    key_of_this_region.grant_decrypt(user)

    two_regions.synth()


def test_half_of_the_role_alone_is_found(two_regions, key_of_this_region, user):
    user.add_to_policy(own("kms:Encrypt", key_of_this_region))

    with pytest.raises(RuntimeError, match=r"Home/Key: Away/Role/\S+ allows role/orders kms:Encrypt, which the key"):
        two_regions.synth()


def test_half_of_the_role_beyond_its_grant_is_found(two_regions, key_of_this_region, user):
    key_of_this_region.grant_decrypt(user)
    user.add_to_policy(own("kms:GenerateDataKey", key_of_this_region))

    with pytest.raises(RuntimeError, match="allows role/orders kms:GenerateDataKey, which the key policy does not"):
        two_regions.synth()


def test_half_of_the_key_alone_is_found(two_regions, home, away, key_of_this_region, user):
    arn = cdk.Arn.format(
        cdk.ArnComponents(service="iam", region="", resource="role", resource_name="orders", account=ACCOUNT), home
    )
    statement = iam.PolicyStatement(
        actions=["kms:Decrypt"],
        principals=[iam.AccountRootPrincipal()],
        resources=["*"],
        conditions={"ArnEquals": {"aws:PrincipalArn": arn}},
    )
    key_of_this_region.add_to_resource_policy(statement)

    with pytest.raises(RuntimeError, match="which no policy of that role or user does"):
        two_regions.synth()


def test_stacks_of_one_name_in_two_regions_are_told_apart(two_regions, role):
    homes = [
        cdk.Stack(
            two_regions,
            f"Home{number}",
            stack_name="Home",
            env=cdk.Environment(account=ACCOUNT, region=region),
            cross_region_references=True,
        )
        for number, region in enumerate(["eu-west-1", "eu-west-2"])
    ]
    keys = [EncryptionKey(stack, "Key") for stack in homes]
    third = cdk.Stack(
        two_regions, "Third", env=cdk.Environment(account=ACCOUNT, region="us-east-1"), cross_region_references=True
    )
    user = role("Role", third, role_name="orders")
    keys[1].grant_decrypt(user)
    user.add_to_policy(own("kms:Encrypt", keys[1]))

    with pytest.raises(RuntimeError, match=r"Home1/Key: \S+ allows role/orders kms:Encrypt"):
        two_regions.synth()


def test_wildcard_of_the_aws_cdk_needs_the_exact_actions_behind_it_only(stack, key, role, synth):
    """A task of AWS Step Functions that sends to an encrypted queue has kms:Decrypt and kms:GenerateDataKey*."""
    user = role("User")
    user.add_to_policy(iam.PolicyStatement(actions=["kms:Decrypt", "kms:GenerateDataKey*"], resources=[key.key_arn]))
    with pytest.raises(RuntimeError, match="allows Stack/User kms:Decrypt, kms:GenerateDataKey, which"):
        synth(stack)

    key.grant_operations(user, "kms:Decrypt", "kms:GenerateDataKey", via_service="sqs")

    synth(stack)


@pytest.mark.parametrize("more", [[], ["kms:GenerateDataKey*"], ["kms:Encrypt", "kms:GenerateDataKey*"]])
def test_handwritten_re_encryption_beside_a_grant_is_refused(more, stack, key, role, synth):
    user = role("User")
    user.add_to_policy(iam.PolicyStatement(actions=["kms:Decrypt", "kms:ReEncrypt*", *more], resources=[key.key_arn]))
    key.grant_operations(user, "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey")

    with pytest.raises(RuntimeError, match=r"allows Stack/User kms:ReEncryptFrom, kms:ReEncryptTo, which"):
        synth(stack)


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("kms:Decrypt", "orders"),
        ("kms:Decrypt", "orders-*"),
        ("kms:GenerateDataKey*", "orders"),
        ("kms:UpdateAlias", "orders"),
        ("kms:*Alias", "orders-*"),
    ],
)
def test_use_of_a_key_by_the_arn_of_an_alias_is_refused(action, name, stack, key, role, synth):
    arn = stack.format_arn(service="kms", resource="alias", resource_name=name)
    role("User").add_to_policy(statement(action, resource=arn))
    if "Alias" in action:
        synth(stack)
        return
    refused = rf"{re.escape(action)} on .*alias/{re.escape(name)}: a policy does not resolve aliases"
    with pytest.raises(RuntimeError, match=refused):
        synth(stack)


@pytest.mark.parametrize("granted", [True, False])
def test_schedule_whose_role_may_not_decrypt_is_pointed_out(granted, stack, key, role):
    executing = role("Executing")
    if granted:
        key.allow_use_through("scheduler", executing)
    target = {"arn": "arn:aws:lambda:eu-west-1:111122223333:function:it", "roleArn": executing.role_arn}
    scheduler.CfnSchedule(
        stack, "It", flexible_time_window={"mode": "OFF"}, schedule_expression="rate(1 day)", target=target,
        kms_key_arn=key.key_arn,
    )  # fmt: skip
    found = warnings(stack, r"scheduler has its role decrypt .* allow_use_through\('scheduler', role\)")
    assert len(found) == (not granted)
