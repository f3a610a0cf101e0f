"""A key policy: what every key denies, on what it does not depend, and statements that an app adds by itself."""

import json
import re
import shutil
from pathlib import Path

import aws_cdk as cdk
import jsii
import pytest
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as functions
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import IValidation
from mypy import api

from kms_patterns import EncryptionKey, KeyAccess, KeyLifecycle, ReplicaKey, SigningKey
from kms_patterns.keys.errors import KeyConfigurationError
from kms_patterns.keys.grants.key_policy import KeyPolicy
from tests.infrastructure.conftest import Each

CREATE_GRANT = {
    "Sid": "DenyCreateGrantExceptForAwsServices",
    "Effect": "Deny",
    "Principal": {"AWS": "*"},
    "Action": "kms:CreateGrant",
    "Resource": "*",
    "Condition": {"BoolIfExists": {"kms:GrantIsForAWSResource": "false", "aws:PrincipalIsAWSService": "false"}},
}
LOCKOUT = {
    "Sid": "DenyPolicyLockoutSafetyBypass",
    "Effect": "Deny",
    "Principal": {"AWS": "*"},
    "Action": "kms:PutKeyPolicy",
    "Resource": "*",
    "Condition": {"Bool": {"kms:BypassPolicyLockoutSafetyCheck": "true"}},
}


def window(days):
    return {
        "Sid": "DenyDeletionSoonerThanWindow",
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "kms:ScheduleKeyDeletion",
        "Resource": "*",
        "Condition": {"NumericLessThan": {"kms:ScheduleKeyDeletionPendingWindowInDays": str(days)}},
    }


def perimeter(key, value):
    return {
        "Sid": "DenyPrincipalsOutsidePerimeter",
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "kms:*",
        "Resource": "*",
        "Condition": {"StringNotEqualsIfExists": {key: value}, "BoolIfExists": {"aws:PrincipalIsAWSService": "false"}},
    }


def denials(template):
    (key,) = [item["Properties"] for item in template["Resources"].values() if item["Type"] == "AWS::KMS::Key"]
    return [statement for statement in key["KeyPolicy"]["Statement"] if statement["Effect"] == "Deny"]


@pytest.mark.parametrize("kind", [EncryptionKey, SigningKey])
@pytest.mark.parametrize("access", KeyAccess)
def test_every_key_has_the_guardrails_by_default(kind, access, stack, synth):
    kind(stack, "Key", access=access)

    assert denials(synth(stack)) == [CREATE_GRANT, LOCKOUT, window(30)]


def test_deletion_cannot_be_hastier_than_the_window_of_the_key(stack, synth):
    EncryptionKey(stack, "Key", pending_window=cdk.Duration.days(14))

    assert denials(synth(stack))[2] == window(14)


def test_seven_days_are_the_limit_of_kms_itself(stack, synth):
    EncryptionKey(stack, "Key", lifecycle=KeyLifecycle.EPHEMERAL)

    assert denials(synth(stack)) == [CREATE_GRANT, LOCKOUT]


@pytest.mark.parametrize("access", KeyAccess)
def test_key_in_use_can_be_neither_disabled_nor_deleted_if_asked(access, stack, synth):
    EncryptionKey(stack, "Key", access=access, protect_while_in_use=cdk.Duration.days(90))

    assert denials(synth(stack))[3:] == [
        {
            "Sid": "DenyEndOfKeyInUse",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": ["kms:DisableKey", "kms:ScheduleKeyDeletion"],
            "Resource": "*",
            "Condition": {"NumericLessThanEquals": {"kms:TrailingDaysWithoutKeyUsage": "90"}},
        }
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protect_while_in_use": cdk.Duration.hours(36)}, r"counts whole days.*Duration.days\(1\) or more"),
        ({"protect_while_in_use": cdk.Duration.days(0)}, "counts whole days"),
        ({"enabled": False}, "AWS CloudFormation itself disables such a key .*AccessDeniedException"),
        ({"lifecycle": KeyLifecycle.EPHEMERAL}, "AWS CloudFormation itself deletes such a key"),
    ],
)
def test_protection_that_would_be_void_or_stop_the_stack_itself_is_refused(options, message, stack):
    with pytest.raises(KeyConfigurationError, match=message):
        EncryptionKey(stack, "Key", **{"protect_while_in_use": cdk.Duration.days(30), **options})


@pytest.mark.parametrize(
    ("given", "key"), [("o-a1b2c3d4e5", "aws:PrincipalOrgID"), ("111122223333", "aws:PrincipalAccount")]
)
def test_perimeter_denies_whoever_is_outside(given, key, stack, synth):
    EncryptionKey(stack, "Key", perimeter=given)

    assert denials(synth(stack))[3:] == [perimeter(key, given)]


@pytest.mark.parametrize(
    "bad", ["", "o-short", "11112222333", "O-A1B2C3D4E5", "arn:aws:organizations::1:organization/o"]
)
def test_perimeter_that_is_no_id_is_refused(bad, stack):
    with pytest.raises(KeyConfigurationError, match="no one could manage the key"):
        EncryptionKey(stack, "Key", perimeter=bad)


def test_perimeter_that_leaves_the_account_of_the_key_outside_is_refused(app, stack, synth):
    with pytest.raises(KeyConfigurationError, match=r"the key is in account 111122223333.*MalformedPolicyDocument"):
        EncryptionKey(stack, "Key", perimeter="444455556666")
    anywhere = cdk.Stack(app, "Anywhere")
    EncryptionKey(anywhere, "Key", perimeter="444455556666")
    synth(anywhere)


def test_key_stays_by_default_and_its_alias_leaves_the_name_free(stack, synth):
    EncryptionKey(stack, "Key", alias="orders/data")

    assert {
        item["Type"]: (item["DeletionPolicy"], item["UpdateReplacePolicy"])
        for item in synth(stack)["Resources"].values()
    } == {
        "AWS::KMS::Key": ("RetainExceptOnCreate", "Retain"),
        "AWS::KMS::Alias": ("Delete", "Delete"),
    }


def test_ephemeral_key_goes_with_its_alias_after_seven_days(stack, synth):
    EncryptionKey(stack, "Key", alias="orders/data", lifecycle=KeyLifecycle.EPHEMERAL)

    made = {item["Type"]: item for item in synth(stack)["Resources"].values()}
    assert {kind: item["DeletionPolicy"] for kind, item in made.items()} == {
        "AWS::KMS::Key": "Delete",
        "AWS::KMS::Alias": "Delete",
    }
    assert made["AWS::KMS::Key"]["Properties"]["PendingWindowInDays"] == 7


HERE = cdk.Environment(account="111122223333", region="eu-west-1")
AWAY = cdk.Environment(account="111122223333", region="us-east-1")
DEPLOYED = "kms-patterns:deployed"
CHANGED = "KeySpec changes from ECC_NIST_P256 to ECC_NIST_P384 on the deployed key"


@pytest.fixture
def keep(tmp_path):
    """The folder of an assembly, kept from the next synthesis."""

    def kept(app):
        return shutil.copytree(app.synth().directory, tmp_path / "kept")

    return kept


def replicated(kind, **context):
    app = cdk.App(context=context)
    home = cdk.Stack(app, "Home", env=HERE, cross_region_references=True)
    away = cdk.Stack(app, "Away", env=AWAY, cross_region_references=True)
    ReplicaKey(away, "Replica", primary_key=kind(home, "Key", multi_region=True))
    return app


def staged(spec, **context):
    app = cdk.App(context=context)
    SigningKey(cdk.Stack(cdk.Stage(app, "Prod", env=HERE), "Stack"), "Key", key_spec=spec)
    return app


@pytest.mark.parametrize("kind", [EncryptionKey, SigningKey])
def test_unchanged_replica_passes(kind, keep):
    folder = keep(replicated(kind))

    replicated(kind, **{DEPLOYED: str(folder)}).synth()


@pytest.mark.parametrize(("spec", "changed"), [(kms.KeySpec.ECC_NIST_P256, False), (kms.KeySpec.ECC_NIST_P384, True)])
def test_key_of_a_stage_is_compared_too(spec, changed, keep):
    folder = keep(staged(kms.KeySpec.ECC_NIST_P256))
    app = staged(spec, **{DEPLOYED: str(folder)})

    if not changed:
        app.synth()
        return
    with pytest.raises(RuntimeError, match=CHANGED):
        app.synth()


def test_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RuntimeError, match=r"folder .*nowhere does not exist; name one with deployed templates"):
        staged(kms.KeySpec.ECC_NIST_P256, **{DEPLOYED: str(tmp_path / "nowhere")}).synth()


class LoggedKey(EncryptionKey):
    """A key of an app that overrides what constructs of the AWS CDK call, and hands the call on."""

    def grant(self, grantee, *actions):
        return super().grant(grantee, *actions)

    def grant_encrypt(self, grantee, **demanded):
        return super().grant_encrypt(grantee, **demanded)

    def grant_decrypt(self, grantee, **demanded):
        return super().grant_decrypt(grantee, **demanded)

    def grant_encrypt_decrypt(self, grantee, **demanded):
        return super().grant_encrypt_decrypt(grantee, **demanded)

    def add_to_resource_policy(self, statement, allow_no_op=None):
        return super().add_to_resource_policy(statement, allow_no_op)


def uses(stack, key, role):
    """Resources under the key whose constructs call each of the overridden methods from JavaScript."""
    kinesis.Stream(stack, "Stream", encryption_key=key).grant_read_write(role("Streamer"))
    kinesis.Stream(stack, "Written", encryption_key=key).grant_write(role("Writer"))
    secretsmanager.Secret(stack, "Secret", encryption_key=key).grant_write(role("Rotator"))
    topic = sns.Topic(stack, "Topic", master_key=key)
    topic.add_subscription(subscriptions.SqsSubscription(sqs.Queue(stack, "Queue", encryption_master_key=key)))
    logs.LogGroup(stack, "Logs", encryption_key=key)
    volume = ec2.Volume(
        stack, "Volume", availability_zone="eu-west-1a", size=cdk.Size.gibibytes(8), encrypted=True, encryption_key=key
    )
    volume.grant_attach_volume(role("Attacher"))
    dynamodb.TableV2(
        stack,
        "Table",
        partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
        encryption=dynamodb.TableEncryptionV2.customer_managed_key(key),
    )


def test_subclass_that_calls_super_has_the_same_policies(role):
    def template(kind):
        app = cdk.App(context={"aws:cdk:bundling-stacks": []})
        stack = cdk.Stack(app, "Stack", env=HERE)
        uses(stack, kind(stack, "Key"), lambda name: role(name, stack))
        return app.synth().get_stack_by_name("Stack").template

    assert template(LoggedKey) == template(EncryptionKey)


def test_app_that_calls_the_subclass_gets_what_the_method_says(stack, role, synth, key_statements, named):
    user = role("User")

    LoggedKey(stack, "Key").grant_encrypt(user)

    assert key_statements(synth(stack))[1:] == [named(user, ["kms:Encrypt"])]


def test_template_is_the_same_without_validation(role):
    def templates(*, skip):
        app = cdk.App(context={"aws:cdk:bundling-stacks": []})
        stack, other = (cdk.Stack(app, name, env=HERE) for name in ("Stack", "Other"))
        key = EncryptionKey(stack, "Key")
        uses(stack, key, lambda name: role(name, stack))
        s3.Bucket(other, "Bucket", encryption_key=key)
        secretsmanager.Secret(cdk.NestedStack(other, "Nested"), "Secret", encryption_key=key)
        arn = "arn:aws:kms:eu-west-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab"
        imported = EncryptionKey.from_key_arn(other, "Imported", arn)
        logs.LogGroup(other, "Logs", encryption_key=imported)
        assembly = app.synth(skip_validation=skip)
        return [stack.template for stack in assembly.stacks], imported.owner_statements

    assert templates(skip=True) == templates(skip=False)


def test_key_of_the_same_name_in_another_stack_is_not_served(app):
    owner, user = (cdk.Stack(app, name, env=HERE) for name in ("Owner", "User"))
    theirs, own = EncryptionKey(owner, "Key"), EncryptionKey(user, "Key")

    secretsmanager.Secret(user, "Secret", encryption_key=theirs)

    app.synth()
    served = ["AllowDeployment" in str(key.stack.resolve(key.resource.key_policy)) for key in (theirs, own)]
    assert served == [True, False]


def test_resource_that_an_aspect_encrypts_is_served(stack, synth):
    key = EncryptionKey(stack, "Key")
    logs.LogGroup(stack, "Logs")

    cdk.Aspects.of(stack).add(Each(logs.CfnLogGroup, lambda group: setattr(group, "kms_key_id", key.key_arn)))

    synth(stack)
    assert "AllowServiceLogs" in str(stack.resolve(key.resource.key_policy))


def test_resource_of_the_table_that_is_written_as_a_plain_resource_is_served(stack, synth):
    key = EncryptionKey(stack, "Key")

    cdk.CfnResource(stack, "Logs", type="AWS::Logs::LogGroup", properties={"KmsKeyId": key.key_arn})

    synth(stack)
    assert "AllowServiceLogs" in str(stack.resolve(key.resource.key_policy))


def replicated_table(stack):
    dynamodb.Table(
        stack,
        "Table",
        partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
        replication_regions=["eu-central-1"],
    )


def edge_function(stack):
    code, runtime = functions.Code.from_inline("x"), functions.Runtime.PYTHON_3_13
    cloudfront.experimental.EdgeFunction(stack, "Edge", runtime=runtime, handler="index.handler", code=code)


@pytest.mark.parametrize("make", [replicated_table, edge_function])
def test_app_with_a_stack_that_javascript_made_synthesizes(make, app, stack):
    EncryptionKey(stack, "Key")

    make(stack)

    app.synth()


GRANTS = """
from typing import Any

from kms_patterns import EncryptionKey, SigningKey

def grants(key: EncryptionKey, signing: SigningKey, role: Any) -> None:
    key.grant_decrypt(role, encryption_context={"tenant": "a"}, via_service="s3")
    signing.grant_sign(role, algorithms=["ECDSA_SHA_256"])
    key.grant_decrypt(role, encryption_contxt={"tenant": "a"})
    signing.grant_sign(role, algorithm=["ECDSA_SHA_256"])
    key.grant_operations(role, "kms:Decrypt", required_context="tenant", via="s3")
"""
# The types of the AWS CDK are left out: they take a minute, and say nothing of a grant's own keywords.
STRICT = """
[mypy]
strict = True
follow_imports = silent
namespace_packages = True
explicit_package_bases = True
mypy_path = {root}/constructs:{root}/lambda
[mypy-aws_cdk.*,constructs.*]
follow_imports = skip
"""


def test_misspelt_keyword_of_a_grant_fails_mypy(tmp_path):
    (tmp_path / "grants.py").write_text(GRANTS)
    (tmp_path / "mypy.ini").write_text(STRICT.format(root=Path(__file__).parents[2]))

    found, _, _ = api.run(
        ["--config-file", f"{tmp_path}/mypy.ini", "--cache-dir", f"{tmp_path}/c", f"{tmp_path}/grants.py"]
    )

    errors = [line.partition(": error: ")[2] for line in found.splitlines() if ": error: " in line]
    assert [re.findall(r'keyword argument "(\w+)"', error) for error in errors] == [
        ["encryption_contxt"],
        ["algorithm"],
        ["via"],
    ]


def test_misspelt_keyword_of_a_grant_is_an_error_without_mypy_also(stack, role):
    with pytest.raises(TypeError, match="encryption_contxt"):
        EncryptionKey(stack, "Key").grant_decrypt(role("User"), encryption_contxt={"tenant": "a"})


def test_roles_with_equal_grants_share_a_statement_in_whichever_order(role):
    """Only those: other operations, other conditions and a statement that the caller narrowed stay apart."""

    def template(order):
        app = cdk.App(context={"aws:cdk:bundling-stacks": []})
        stack = cdk.Stack(app, "Stack", env=HERE)
        key = EncryptionKey(stack, "Key")
        users = {name: role(name, stack) for name in ("One", "Two", "Writer", "Tenant", "Narrowed")}
        grants = {
            "One": lambda: key.grant_operations(users["One"], "kms:Encrypt", "kms:Decrypt"),
            "Two": lambda: [key.grant_decrypt(users["Two"]), key.grant_encrypt(users["Two"])],
            "Writer": lambda: key.grant_encrypt(users["Writer"]),
            "Tenant": lambda: key.grant_operations(
                users["Tenant"], "kms:Encrypt", "kms:Decrypt", encryption_context={"tenant": "a"}
            ),
            "Narrowed": lambda: key.grant_operations(
                users["Narrowed"], "kms:Encrypt", "kms:Decrypt"
            ).resource_statement.add_condition("Bool", {"aws:SecureTransport": "true"}),
        }
        for name in order:
            grants[name]()
        (found,) = (
            item["Properties"]["KeyPolicy"]["Statement"]
            for item in app.synth().get_stack_by_name("Stack").template["Resources"].values()
            if item["Type"] == "AWS::KMS::Key"
        )
        return [it for it in found if "ArnEquals" in it.get("Condition", {})]

    order = ["One", "Two", "Writer", "Tenant", "Narrowed"]
    there, back = template(order), template(order[::-1])

    assert {it["Sid"]: it for it in there} == {it["Sid"]: it for it in back}
    shared = next(it for it in there if isinstance(it["Condition"]["ArnEquals"]["aws:PrincipalArn"], list))
    assert len(there) == 4
    assert shared["Action"] == ["kms:Decrypt", "kms:Encrypt"]
    assert [next(iter(arn.values()))[0][:3] for arn in shared["Condition"]["ArnEquals"]["aws:PrincipalArn"]] == [
        "One",
        "Two",
    ]


def test_conditions_that_differ_in_a_joined_reference_stay_apart(stack, role, synth, key_statements):
    """The AWS CDK resolves a policy also to look for references, and joins texts there without them."""
    key = EncryptionKey(stack, "Key")
    for name in ("One", "Two"):
        parameter = cdk.CfnParameter(stack, f"Tenant{name}").value_as_string
        key.grant_decrypt(role(name), encryption_context={"tenant": f"{parameter}/data"})

    found = key_statements(synth(stack))[1:]
    contexts = [it["Condition"]["StringEquals"]["kms:EncryptionContext:tenant"] for it in found]
    assert contexts == [{"Fn::Join": ["", [{"Ref": f"Tenant{name}"}, "/data"]]} for name in ("One", "Two")]


def test_python_is_asked_once_per_synthesis_for_a_key_policy(app, stack, role, monkeypatch):
    asked, resolve = [], KeyPolicy.resolve
    monkeypatch.setattr(KeyPolicy, "resolve", lambda self, context: asked.append(self) or resolve(self, context))
    reader = role("Reader")
    for name in ("First", "Second"):
        EncryptionKey(stack, name).grant_decrypt(reader)
    app.synth()
    assert len(asked) == len(set(asked)) == 2


def change_statement(grant, key):
    grant.resource_statement.add_condition("Bool", {"aws:MultiFactorAuthPresent": "true"})
    return "aws:MultiFactorAuthPresent"


def grant_more(grant, key):
    later = iam.Role.from_role_arn(key, "Later", "arn:aws:iam::111122223333:role/Later")
    key.grant_encrypt(later, key_policy_only=True)
    return "role/Later"


def replace_policy(grant, key):
    root = {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "kms:*", "Resource": "*"}
    key.resource.key_policy = {"Statement": [{"Sid": "Own", **root}], "Version": "2012-10-17"}
    return "Own"


@pytest.mark.parametrize("change", [change_statement, grant_more, replace_policy])
def test_key_policy_that_changed_after_a_synthesis_is_written_by_the_next(change, app, stack, role):
    key = EncryptionKey(stack, "Key")
    EncryptionKey(stack, "Other")
    grant = key.grant_decrypt(role("Reader"))
    before = app.synth().get_stack_by_name("Stack").template["Resources"]
    text = change(grant, key)
    after = app.synth(force=True).get_stack_by_name("Stack").template["Resources"]
    assert [name for name in before if before[name] != after[name]] == [stack.get_logical_id(key.resource)]
    assert text in json.dumps(after)


@jsii.implements(IValidation)
class Late:
    def __init__(self, change):
        self.change = change

    def validate(self):
        self.change()
        return []


def narrow_late(grant, reader):
    grant.resource_statement.add_condition("Bool", {"aws:MultiFactorAuthPresent": "true"})


def rename_late(grant, reader):
    reader.node.default_child.override_logical_id("Other")


@pytest.mark.parametrize("change", [narrow_late, rename_late])
def test_change_of_a_key_policy_during_the_checks_is_refused(change, app, stack, role):
    reader = role("Reader")
    grant = EncryptionKey(stack, "Key").grant_decrypt(reader)
    stack.node.add_validation(Late(lambda: change(grant, reader)))
    with pytest.raises(RuntimeError, match="an override changes KeyPolicy"):
        app.synth()
