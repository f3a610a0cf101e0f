"""Conditions and operations that no request could meet are refused where they are written."""

import pytest

from kms_patterns import EncryptionKey, ImportedKey, SigningKey
from kms_patterns.keys.errors import GrantRefused

ELSEWHERE = "arn:aws:kms:us-east-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab"
CONTEXT = {"StringEquals": {"kms:EncryptionContext:tenant": "a"}}


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


@pytest.mark.parametrize(
    ("service", "advice"),
    [
        ("efs", "use 'elasticfilesystem'"),
        ("aurora", "use 'rds'"),
        ("ebs", "use 'ec2'"),
        ("S3", "small letters"),
        ("s3*", "a wildcard is read literally"),
        ("s3 ", "such as 's3'"),
    ],
)
def test_name_that_no_endpoint_has_is_refused(service, advice, stack, key, role):
    imported = ImportedKey.from_key_arn(stack, "Imported", ELSEWHERE)
    user = role("User")

    for grant in (key.grant_decrypt, imported.grant_decrypt):
        with pytest.raises(GrantRefused, match=f"no request would match; .*{advice}|{advice}.*no request would match"):
            grant(user, via_service=service)
    with pytest.raises(GrantRefused, match=advice):
        key.grant_create_grant(user, operations=["Decrypt"], via_service=service)


@pytest.mark.parametrize("service", ["s3", "elasticfilesystem", "api.sagemaker", "dynamodb"])
def test_name_of_an_endpoint_is_taken(service, stack, key, role, synth):
    key.grant_decrypt(role("User"), via_service=service)

    synth(stack)


def test_encryption_context_among_the_conditions_of_a_key_without_one_is_refused(stack, role):
    key, imported = SigningKey(stack, "Key"), SigningKey.from_key_arn(stack, "Imported", ELSEWHERE)
    user = role("User")

    for grant in (key.grant_sign, imported.grant_sign):
        with pytest.raises(GrantRefused, match=r"encryption context \['tenant'\]: only symmetric"):
            grant(user, conditions=CONTEXT)
        grant(user, conditions={"StringNotEquals": CONTEXT["StringEquals"]})


@pytest.mark.parametrize("operations", [[], ["kms:Decrypt"], ["Decryptt"], ["Decrypt", "Sign"]])
def test_operations_that_no_kms_grant_on_the_key_has_are_refused(operations, key, role):
    with pytest.raises(GrantRefused, match="a KMS grant on this key may hold CreateGrant, Decrypt, DescribeKey"):
        key.grant_create_grant(role("User"), operations=operations)


def test_operations_of_the_type_of_key_are_taken(stack, role, synth):
    SigningKey(stack, "Key").grant_create_grant(role("User"), operations=["Sign", "CreateGrant", "RetireGrant"])

    synth(stack)


def test_another_principal_among_the_conditions_is_refused(key, role):
    other = {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/other"}}

    with pytest.raises(GrantRefused, match="the grant names Stack/User by aws:PrincipalArn itself"):
        key.grant_decrypt(role("User"), conditions=other)
