"""A grant names one role or user, by its own ARN, inside of the key's perimeter."""

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptionKey
from kms_patterns.keys.errors import GrantRefused


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::111122223333:role/*",
        "arn:aws:iam::444455556666:role/orders-?",
        "arn:aws:iam::444455556666:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_*",
        "arn:aws:sts::444455556666:assumed-role/orders/session",
    ],
)
def test_arn_that_stands_for_no_single_role_is_refused(arn, stack, key):
    with pytest.raises(GrantRefused, match="is the ARN of no single role or user"):
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

    with pytest.raises(GrantRefused, match="is the ARN of no single role or user"):
        key.grant_decrypt(role)
