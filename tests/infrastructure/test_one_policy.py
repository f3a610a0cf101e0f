"""A key policy depends on what the app asks for: not on validations, frames, or stacks that JavaScript made."""

import re
from pathlib import Path

import aws_cdk as cdk
import jsii
import pytest
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_lambda as functions
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from mypy import api

from kms_patterns import EncryptionKey

HERE = cdk.Environment(account="111122223333", region="eu-west-1")


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


@jsii.implements(cdk.IAspect)
class EncryptLogGroups:
    def __init__(self, key):
        self.key = key

    def visit(self, node):
        if isinstance(node, logs.CfnLogGroup):
            node.kms_key_id = self.key.key_arn


def test_resource_that_an_aspect_encrypts_is_served(stack, synth):
    key = EncryptionKey(stack, "Key")
    logs.LogGroup(stack, "Logs")

    cdk.Aspects.of(stack).add(EncryptLogGroups(key))

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
