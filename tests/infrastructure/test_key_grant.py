"""KMS grants as resources: exact operations, one grantee, revoked with the stack, made by nobody else."""

import json

import pytest
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptionKey, KeyGrant, SigningKey
from kms_patterns.keys.errors import GrantRefused


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


@pytest.fixture
def partner(stack):
    return iam.Role.from_role_arn(stack, "Partner", "arn:aws:iam::444455556666:role/partner")


def call(stack, template, name):
    (grant,) = [item for item in template["Resources"].values() if item["Type"] == "Custom::KmsGrant"]
    value = grant["Properties"].get(name)
    text = (
        value
        if isinstance(value, str)
        else "".join(part if isinstance(part, str) else "REF" for part in value["Fn::Join"][1])
    )
    return json.loads(text)


def test_grant_is_created_updated_and_revoked(stack, key, partner, synth):
    KeyGrant(stack, "Grant", key=key, grantee=partner, operations=["Decrypt", "DescribeKey"],
             encryption_context_subset={"tenant": "a"}, retiring_principal=partner, name="partner")  # fmt: skip

    template = synth(stack)
    created = call(stack, template, "Update")
    assert created == call(stack, template, "Create")
    assert (created["service"], created["action"]) == ("KMS", "createGrant")
    assert created["parameters"] == {
        "KeyId": "REF",
        "GranteePrincipal": "arn:aws:iam::444455556666:role/partner",
        "Operations": ["Decrypt", "DescribeKey"],
        "Name": "partner",
        "Constraints": {"EncryptionContextSubset": {"tenant": "a"}},
        "RetiringPrincipal": "arn:aws:iam::444455556666:role/partner",
    }
    deleted = call(stack, template, "Delete")
    assert (deleted["action"], deleted["parameters"]["GrantId"]) == ("revokeGrant", "PHYSICAL:RESOURCEID:")


def test_only_the_maker_may_create_grants_and_only_this_one(stack, key, partner, synth, key_statements):
    KeyGrant(stack, "Grant", key=key, grantee=partner, operations=["Decrypt"])

    template = synth(stack)
    (minting,) = [it for it in key_statements(template) if it["Action"] == "kms:CreateGrant"]
    maker = minting["Condition"]["ArnEquals"]["aws:PrincipalArn"]
    assert minting["Condition"] == {
        "ArnEquals": {"aws:PrincipalArn": maker},
        "ForAllValues:StringEquals": {"kms:GrantOperations": ["Decrypt"]},
        "StringEquals": {"kms:GranteePrincipal": "arn:aws:iam::444455556666:role/partner"},
    }
    (found,) = [item for item in template["Resources"].values() if item["Type"] == "AWS::KMS::Key"]
    denial = next(
        it for it in found["Properties"]["KeyPolicy"]["Statement"] if it["Sid"] == "DenyCreateGrantExceptForAwsServices"
    )
    assert denial["Condition"]["ArnNotEquals"] == {"aws:PrincipalArn": [maker]}
    assert "GrantMakerRole" in str(maker)


def test_two_grants_except_two_makers(stack, key, partner, synth):
    KeyGrant(stack, "One", key=key, grantee=partner, operations=["Decrypt"])
    KeyGrant(stack, "Two", key=key, grantee=partner, operations=["Encrypt"])

    (found,) = [item for item in synth(stack)["Resources"].values() if item["Type"] == "AWS::KMS::Key"]
    denial = found["Properties"]["KeyPolicy"]["Statement"][1]
    assert len(denial["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]) == 2


def test_no_wildcard_in_what_the_maker_may_do(stack, key, partner, synth):
    KeyGrant(stack, "Grant", key=key, grantee=partner, operations=["Decrypt"])

    statements = [
        statement
        for item in synth(stack)["Resources"].values()
        if item["Type"] == "AWS::IAM::Policy"
        for statement in item["Properties"]["PolicyDocument"]["Statement"]
    ]
    assert sorted(statement["Action"] for statement in statements) == ["kms:CreateGrant", "kms:RevokeGrant"]
    assert all(statement["Resource"] == stack.resolve(key.key_arn) for statement in statements)


@pytest.mark.parametrize("operations", [[], ["Sign"], ["Decrypt", "CreateGrant"], ["kms:Decrypt"]])
def test_operations_that_a_grant_on_this_key_cannot_hold_are_refused(operations, stack, key, partner):
    with pytest.raises(GrantRefused, match="may hold Decrypt, DescribeKey, Encrypt"):
        KeyGrant(stack, "Grant", key=key, grantee=partner, operations=operations)


def test_two_kinds_of_constraint_are_refused(stack, key, partner):
    with pytest.raises(GrantRefused, match="not both"):
        KeyGrant(stack, "Grant", key=key, grantee=partner, operations=["Decrypt"],
                 encryption_context_subset={"a": "b"}, encryption_context_equals={"a": "b"})  # fmt: skip


def test_constraint_on_a_key_without_encryption_context_is_refused(stack, partner):
    with pytest.raises(GrantRefused, match="only symmetric keys have a context"):
        KeyGrant(stack, "Grant", key=SigningKey(stack, "Key"), grantee=partner, operations=["Sign"],
                 encryption_context_subset={"a": "b"})  # fmt: skip


@pytest.mark.parametrize("name", ["", "with space", "x" * 257])
def test_name_that_kms_would_refuse_is_refused(name, stack, key, partner):
    with pytest.raises(GrantRefused, match="KMS takes 1 to 256 letters"):
        KeyGrant(stack, "Grant", key=key, grantee=partner, operations=["Decrypt"], name=name)


def test_grantee_outside_of_the_perimeter_or_with_a_wildcard_is_refused(stack):
    elsewhere = iam.Role.from_role_arn(stack, "Elsewhere", "arn:aws:iam::444455556666:role/orders")
    several = iam.Role.from_role_arn(stack, "Several", "arn:aws:iam::111122223333:role/*")
    key = EncryptionKey(stack, "Key", perimeter="111122223333")

    with pytest.raises(GrantRefused, match="outside of the key's perimeter"):
        KeyGrant(stack, "Outside", key=key, grantee=elsewhere, operations=["Decrypt"])
    with pytest.raises(GrantRefused, match="no single role or user"):
        KeyGrant(stack, "Wide", key=key, grantee=several, operations=["Decrypt"])
