"""Grants whose other half is written elsewhere: service-linked roles, permission sets, roles of other apps."""

import json

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Annotations, Match

from kms_patterns import EncryptionKey, ImportedKey, KeyAccess, SigningKey
from kms_patterns.keys.errors import GrantRefused

ACCOUNT = "arn:aws:iam::111122223333:role"
AUTOSCALING = f"{ACCOUNT}/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
PERMISSION_SET = f"{ACCOUNT}/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Data_0123456789abcdef"
ANY_OF_THE_SET = f"{ACCOUNT}/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_Data_*"
OTHER_APP = f"{ACCOUNT}/orders"
IMPORTED = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


@pytest.fixture
def notices(stack):
    return lambda: [entry.entry.data for entry in Annotations.from_stack(stack).find_info("*", Match.any_value())]


def imported(stack, arn, **options):
    return iam.Role.from_role_arn(stack, "Role", arn, **options)


def policies(template):
    return [item for item in template["Resources"].values() if item["Type"] == "AWS::IAM::Policy"]


@pytest.mark.parametrize("arn", [PERMISSION_SET, ANY_OF_THE_SET, OTHER_APP])
@pytest.mark.parametrize("mutable", [True, False])
def test_key_policy_names_the_role_and_the_other_half_is_reported(
    arn, mutable, stack, key, synth, key_statements, named, notices
):
    role = imported(stack, arn, mutable=mutable)

    key.grant_decrypt(role, encryption_context={"tenant": "a"}, key_policy_only=True)

    template = synth(stack)
    context = {"StringEquals": {"kms:EncryptionContext:tenant": "a"}}
    assert key_statements(template)[1:] == [named(role, ["kms:Decrypt"], context)]
    assert policies(template) == []
    (notice,) = notices()
    reported = json.loads(notice[notice.index("{") :])
    (logical_id,) = [name for name, item in template["Resources"].items() if item["Type"] == "AWS::KMS::Key"]
    assert reported == {
        "Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": f"<{logical_id}.Arn>", "Condition": context,
    }  # fmt: skip


@pytest.mark.parametrize("mutable", [True, False])
def test_service_linked_role_is_the_principal_and_nothing_is_lacking_elsewhere(
    mutable, stack, key, synth, key_statements, notices
):
    key.allow_use_through("ebs", imported(stack, AUTOSCALING, mutable=mutable), create=True, key_policy_only=True)

    template = synth(stack)
    written = key_statements(template)[1:]
    assert {statement["Principal"]["AWS"] for statement in written} == {AUTOSCALING}
    assert [statement["Condition"].get("Bool") for statement in written] == [
        None, {"kms:GrantIsForAWSResource": "true"},
    ]  # fmt: skip
    assert policies(template) == []
    assert notices() == []


@pytest.mark.parametrize("arn", [AUTOSCALING, PERMISSION_SET, ANY_OF_THE_SET])
def test_role_whose_policy_iam_protects_is_refused_without_it(arn, stack, key):
    with pytest.raises(GrantRefused, match=r"UnmodifiableEntity.*key_policy_only=True"):
        key.grant_decrypt(imported(stack, arn))


@pytest.mark.parametrize("arn", [f"{ACCOUNT}/Reader*", f"{ACCOUNT}/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_*"])
def test_wildcard_that_is_not_one_permission_set_is_refused(arn, stack, key):
    with pytest.raises(GrantRefused, match="exactly one role or user"):
        key.grant_decrypt(imported(stack, arn), key_policy_only=True)


def test_immutable_role_is_refused_with_the_way_out(stack, key):
    with pytest.raises(GrantRefused, match="key_policy_only=True"):
        key.grant_decrypt(imported(stack, OTHER_APP, mutable=False))


def test_precreated_role_is_named(key_statements):
    app = cdk.App()
    iam.Role.customize_roles(app, use_precreated_roles={"Stack/Made": "orders"})
    stack = cdk.Stack(app, "Stack")
    role = iam.Role(stack, "Made", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))

    EncryptionKey(stack, "Key").grant_decrypt(role, key_policy_only=True)

    (statement,) = key_statements(app.synth().get_stack_by_name("Stack").template)[1:]
    assert "role/orders" in str(statement["Condition"])


def test_every_key_type_takes_it(stack, synth, key_statements, named):
    role = imported(stack, OTHER_APP, mutable=False)

    SigningKey(stack, "Signing", key_spec=kms.KeySpec.ECC_NIST_P256).grant_sign(role, key_policy_only=True)

    (statement,) = key_statements(synth(stack))[1:]
    assert statement == named(role, ["kms:Sign"])


def test_delegated_key_leaves_it_to_iam(stack, synth, key_statements, notices):
    key = EncryptionKey(stack, "Delegated", access=KeyAccess.DELEGATED)

    key.grant_decrypt(imported(stack, OTHER_APP, mutable=False), key_policy_only=True)

    assert "Decrypt" not in str([it for it in key_statements(synth(stack)) if it.get("Condition")])
    assert len(notices()) == 1


def test_imported_key_reports_both_halves(stack, synth, notices):
    key = ImportedKey.from_key_arn(stack, "Imported", IMPORTED)

    key.grant_decrypt(imported(stack, OTHER_APP, mutable=False), key_policy_only=True)

    assert "AWS::IAM::Policy" not in str(synth(stack))
    assert len([text for text in notices() if "kms:Decrypt" in text]) == 2


@pytest.mark.parametrize("only_first", [True, False])
def test_what_is_written_here_and_elsewhere_stays_apart(only_first, stack, key, synth, key_statements):
    role = imported(stack, OTHER_APP)
    for only in (only_first, not only_first):
        (key.grant_encrypt if only else key.grant_decrypt)(role, key_policy_only=only)

    template = synth(stack)
    assert sorted(it["Action"] for it in key_statements(template)[1:]) == ["kms:Decrypt", "kms:Encrypt"]
    ((statement,),) = [it["Properties"]["PolicyDocument"]["Statement"] for it in policies(template)]
    assert statement["Action"] == "kms:Decrypt"


def test_deny_that_a_caller_makes_of_a_grant_is_not_shared(stack, key, synth):
    grants = [key.grant_decrypt(iam.Role(stack, name, assumed_by=iam.AccountRootPrincipal())) for name in ("A", "B")]
    grants[1].resource_statements[0].effect = iam.Effect.DENY

    with pytest.raises(RuntimeError, match="Stack/B kms:Decrypt, which the key policy does not"):
        synth(stack)
