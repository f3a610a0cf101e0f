"""What each service of the table is granted, also through constructs of the AWS CDK; what a Region lacks."""

import json
import re

import aws_cdk as cdk
import pytest
from aws_cdk import assertions, aws_dynamodb, aws_elasticache, aws_events, aws_fsx, aws_opensearchservice, aws_route53
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn

from kms_patterns import (
    EncryptedBucket,
    EncryptionKey,
    ImportedKey,
    KeyAccess,
    KeyAgreementKey,
    KeyEncapsulationKey,
    MacKey,
    PublicKeyExport,
    RsaEncryptionKey,
    SigningKey,
    TokenIssuer,
)
from kms_patterns.keys.errors import GrantRefused, RegionUnsupported
from kms_patterns.policy.services import SERVICES

SIGNS = "dnssec-route53"
ACTING = [name for name, use in SERVICES.items() if use.principal and name != SIGNS]
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
    assert re.search(
        r"aws:SourceAccount|kms:EncryptionContext|aws:SourceArn.*:111122223333:", str(statement["Condition"])
    )
    assert "*" not in str(statement["Action"])


def test_dnssec_signs_with_a_signing_key_and_makes_grants_for_its_zones(app):
    stack = cdk.Stack(app, "Zone", env=cdk.Environment(account="111122223333", region="us-east-1"))
    key = SigningKey(stack, "KeySigningKey")
    aws_route53.HostedZone(stack, "Zone", zone_name="example.com").enable_dnssec(kms_key=key)

    (found,) = assertions.Template.from_stack(stack).find_resources("AWS::KMS::Key").values()
    signing, granting = [
        it for it in found["Properties"]["KeyPolicy"]["Statement"]
        if it["Principal"] == {"Service": "dnssec-route53.amazonaws.com"}
    ]  # fmt: skip
    assert signing["Action"] == ["kms:DescribeKey", "kms:GetPublicKey", "kms:Sign"]
    assert "hostedzone/" in str(signing["Condition"]["ArnEquals"])
    assert granting["Action"] == "kms:CreateGrant"
    assert granting["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": True}}


def test_dnssec_is_refused_a_key_that_does_not_sign(key):
    with pytest.raises(GrantRefused, match="dnssec-route53 needs a key with key usage SIGN_VERIFY"):
        key.allow_service("dnssec-route53")


@pytest.mark.parametrize(("region", "spec", "refusal"), [
    ("us-east-1", kms.KeySpec.ECC_NIST_P384, "takes keys of key spec ECC_NIST_P256 only"),
    ("us-east-1", kms.KeySpec.RSA_2048, "takes keys of key spec ECC_NIST_P256 only"),
    ("eu-west-1", kms.KeySpec.ECC_NIST_P256, "takes keys in us-east-1 only, not in eu-west-1"),
    (None, kms.KeySpec.ECC_NIST_P256, None),
])  # fmt: skip
def test_dnssec_is_refused_a_key_that_route_53_refuses(region, spec, refusal, app):
    zone = cdk.Stack(app, "Zone", env=cdk.Environment(account="111122223333", region=region))
    signing = SigningKey(zone, "Key", key_spec=spec)
    if refusal is None:
        assert signing.allow_service("dnssec-route53").statement_added
    else:
        with pytest.raises(GrantRefused, match=refusal):
            signing.allow_service("dnssec-route53")


def test_dnssec_may_be_allowed_by_hand(app, synth, key_statements):
    stack = cdk.Stack(app, "Zone", env=cdk.Environment(account="111122223333", region="us-east-1"))
    SigningKey(stack, "Key").allow_service("dnssec-route53")

    signing, granting = key_statements(synth(stack))[1:]
    assert (signing["Condition"], granting["Condition"]) == (
        {"StringEquals": {"aws:SourceAccount": "111122223333"}},
        {"Bool": {"kms:GrantIsForAWSResource": "true"}},
    )


def test_service_may_be_bound_to_one_resource(stack, key, synth, key_statements):
    key.allow_service("sns", source_arn="arn:aws:sns:eu-west-1:111122223333:orders")

    (statement,) = key_statements(synth(stack))[1:]
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "111122223333"},
        "ArnLike": {"aws:SourceArn": "arn:aws:sns:eu-west-1:111122223333:orders"},
    }


@pytest.mark.parametrize("source", ["my-topic", "*", "arn:aws:sns:*", "sns:eu-west-1:111122223333:orders:a:b"])
def test_source_that_is_not_an_arn_is_refused(source, key):
    with pytest.raises(GrantRefused, match="is not an ARN, so no request would match"):
        key.allow_service("sns", source_arn=source)


@pytest.mark.parametrize(("service", "source"), [
    ("logs", "arn:aws:logs:eu-west-1:111122223333:log-group:a"),
    ("lambda-code", "arn:aws:lambda:eu-west-1:111122223333:function:a"),
])  # fmt: skip
def test_account_of_a_source_that_names_another_one_is_refused(service, source, key):
    with pytest.raises(GrantRefused, match="name the account in source_arn and omit source_account"):
        key.allow_service(service, source_arn=source, source_account="444455556666")
    assert key.allow_service(service, source_arn=source, source_account="111122223333").statement_added


@pytest.mark.parametrize("service", sorted(set(SERVICES) - {*ACTING, SIGNS}))
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


@pytest.mark.parametrize("kind", [RsaEncryptionKey, SigningKey, MacKey, KeyAgreementKey, KeyEncapsulationKey])
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


def warnings(stack, text="nothing was allowed"):
    found = assertions.Annotations.from_stack(stack).find_warning("*", assertions.Match.string_like_regexp(text))
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


@pytest.mark.parametrize(
    ("method", "actions"),
    [
        ("grant_read", ["kms:Decrypt"]),
        ("grant_put", ["kms:Decrypt", "kms:GenerateDataKey"]),
        ("grant_write", ["kms:Decrypt", "kms:GenerateDataKey"]),
        ("grant_read_write", ["kms:Decrypt", "kms:GenerateDataKey"]),
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
    (in_role,) = [it for it in role_statements(template, stack, user) if "kms" in str(it["Action"])]
    assert in_role["Action"] == (actions if actions[1:] else actions[0])
    assert in_role["Resource"] == stack.resolve(key.key_arn)


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


WITHOUT_URLS = ["eu-central-2", "mx-central-1", "us-gov-west-1", "cn-north-1", "us-iso-east-1", "eusc-de-east-1"]
ADDRESS = "https://tokens.example.com/.well-known/jwks.json"


def stack_in(region: str | None) -> cdk.Stack:
    context = {"aws:cdk:bundling-stacks": []}
    return cdk.Stack(cdk.App(context=context), "Stack", env=cdk.Environment(account="111122223333", region=region))


def export(stack: cdk.Stack) -> PublicKeyExport:
    return PublicKeyExport(stack, "Export", keys={"orders": SigningKey(stack, "Key")})


def issuer(stack: cdk.Stack, **options: str) -> TokenIssuer:
    key = SigningKey(stack, "Key")
    return TokenIssuer(
        stack, "Issuer", signing_key=key, issuer="https://tokens.example.com", audiences=["a"], **options
    )


@pytest.mark.parametrize("region", WITHOUT_URLS)
def test_function_urls_are_refused_where_lambda_lacks_them_with_the_alternative(region):
    with pytest.raises(RegionUnsupported, match=rf"function URLs in {region} .*give bucket and distribution"):
        export(stack_in(region))
    with pytest.raises(RegionUnsupported, match=rf"function URLs in {region} .*give jwks_url"):
        issuer(stack_in(region))


@pytest.mark.parametrize("region", ["eu-central-1", "us-east-1", None])
def test_function_urls_are_made_where_lambda_has_them_or_may_have_them(region):
    assert export(stack_in(region)).url("orders").startswith("${Token[")


@pytest.mark.parametrize("region", ["eu-central-2", "cn-north-1"])
def test_a_token_issuer_behind_an_address_of_its_user_makes_no_function_url(region):
    stack = stack_in(region)
    made = issuer(stack, jwks_url=ADDRESS)
    template = cdk.App.of(stack).synth().get_stack_by_name("Stack").template
    assert made.jwks_url == ADDRESS
    assert "AWS::Lambda::Url" not in {item["Type"] for item in template["Resources"].values()}


@pytest.mark.parametrize("url", ["http://tokens.example.com/.well-known/jwks.json", "https://tokens.example.com/keys"])
def test_an_address_at_which_readers_would_not_get_the_keys_is_refused(url):
    with pytest.raises(ValueError, match="jwks_url"):
        issuer(stack_in("eu-central-2"), jwks_url=url)


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("eu-central-1", "s3.eu-central-1.amazonaws.com"),
        ("us-gov-west-1", "s3.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", ["s3.cn-north-1.amazonaws.com", "s3.cn-north-1.amazonaws.com.cn"]),
        ("cn-northwest-1", ["s3.cn-northwest-1.amazonaws.com", "s3.cn-northwest-1.amazonaws.com.cn"]),
        ("us-iso-east-1", ["s3.us-iso-east-1.amazonaws.com", "s3.us-iso-east-1.c2s.ic.gov"]),
    ],
)
def test_both_halves_of_a_grant_name_the_service_as_the_partition_may(region, expected):
    stack = stack_in(region)
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    EncryptedBucket(stack, "Bucket", encryption_key=EncryptionKey(stack, "Key")).grant_download(role)
    template = cdk.App.of(stack).synth().get_stack_by_name("Stack").template
    found = [
        statement["Condition"]["StringEquals"]["kms:ViaService"]
        for item in template["Resources"].values()
        for name in ("KeyPolicy", "PolicyDocument")
        for statement in item.get("Properties", {}).get(name, {}).get("Statement", [])
        if "kms:ViaService" in json.dumps(statement.get("Condition", {}))
    ]
    assert found == [expected, expected]


@pytest.mark.parametrize(
    ("region", "suffix"),
    [("eu-west-1", "amazonaws.com"), ("cn-north-1", "amazonaws.com.cn"), ("us-gov-west-1", "amazonaws.com")],
)
def test_log_groups_use_a_key_by_the_principal_of_their_partition(region, suffix, key_statements):
    stack = stack_in(region)
    EncryptionKey(stack, "Key").allow_service("logs")
    template = cdk.App.of(stack).synth().get_stack_by_name("Stack").template
    services = [it["Principal"]["Service"] for it in key_statements(template) if "Service" in it["Principal"]]
    assert services == [f"logs.{region}.{suffix}"]


def test_sm2_is_refused_outside_of_china_and_made_in_it():
    with pytest.raises(RegionUnsupported, match="cn-north-1 or cn-northwest-1"):
        SigningKey(stack_in("eu-central-1"), "Key", key_spec=kms.KeySpec.SM2)
    SigningKey(stack_in("cn-north-1"), "Key", key_spec=kms.KeySpec.SM2)
