"""Void grants between stacks of two Regions: the check follows the references of the AWS CDK, of either kind, home."""

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptionKey

ACCOUNT = "111122223333"


@pytest.fixture(params=["strong", "weak"])
def app(request):
    return cdk.App(context={"@aws-cdk/core:defaultCrossStackReferences": request.param})


@pytest.fixture
def home(app):
    env = cdk.Environment(account=ACCOUNT, region="eu-west-1")
    return cdk.Stack(app, "Home", env=env, cross_region_references=True)


@pytest.fixture
def away(app):
    env = cdk.Environment(account=ACCOUNT, region="us-east-1")
    return cdk.Stack(app, "Away", env=env, cross_region_references=True)


@pytest.fixture
def key(home):
    return EncryptionKey(home, "Key")


@pytest.fixture
def user(role, away):
    return role("Role", away, role_name="orders")


def own(action, key):
    return iam.PolicyStatement(actions=[action], resources=[key.key_arn])


def test_grant_writes_both_halves(app, key, user):
    key.grant_decrypt(user)

    app.synth()


def test_half_of_the_role_alone_is_found(app, key, user):
    user.add_to_policy(own("kms:Encrypt", key))

    with pytest.raises(RuntimeError, match=r"Home/Key: Away/Role/\S+ allows role/orders kms:Encrypt, which the key"):
        app.synth()


def test_half_of_the_role_beyond_its_grant_is_found(app, key, user):
    key.grant_decrypt(user)
    user.add_to_policy(own("kms:GenerateDataKey", key))

    with pytest.raises(RuntimeError, match="allows role/orders kms:GenerateDataKey, which the key policy does not"):
        app.synth()


def test_half_of_the_key_alone_is_found(app, home, away, key, user):
    arn = cdk.Arn.format(
        cdk.ArnComponents(service="iam", region="", resource="role", resource_name="orders", account=ACCOUNT), home
    )
    statement = iam.PolicyStatement(
        actions=["kms:Decrypt"],
        principals=[iam.AccountRootPrincipal()],
        resources=["*"],
        conditions={"ArnEquals": {"aws:PrincipalArn": arn}},
    )
    key.add_to_resource_policy(statement)

    with pytest.raises(RuntimeError, match="which no policy of that role or user does"):
        app.synth()


def test_stacks_of_one_name_in_two_regions_are_told_apart(app, role):
    homes = [
        cdk.Stack(
            app,
            f"Home{number}",
            stack_name="Home",
            env=cdk.Environment(account=ACCOUNT, region=region),
            cross_region_references=True,
        )
        for number, region in enumerate(["eu-west-1", "eu-west-2"])
    ]
    keys = [EncryptionKey(stack, "Key") for stack in homes]
    third = cdk.Stack(
        app, "Third", env=cdk.Environment(account=ACCOUNT, region="us-east-1"), cross_region_references=True
    )
    user = role("Role", third, role_name="orders")
    keys[1].grant_decrypt(user)
    user.add_to_policy(own("kms:Encrypt", keys[1]))

    with pytest.raises(RuntimeError, match=r"Home1/Key: \S+ allows role/orders kms:Encrypt"):
        app.synth()
