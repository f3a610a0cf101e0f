"""What every key denies whatever other policies allow, and what it lets pass."""

import aws_cdk as cdk
import pytest

from kms_patterns import EncryptionKey, KeyAccess, KeyLifecycle, SigningKey
from kms_patterns.keys.errors import KeyConfigurationError

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
    with pytest.raises(KeyConfigurationError, match="nobody could manage the key"):
        EncryptionKey(stack, "Key", perimeter=bad)


def test_perimeter_that_leaves_the_account_of_the_key_outside_is_refused(app, stack, synth):
    with pytest.raises(KeyConfigurationError, match=r"the key is in account 111122223333.*MalformedPolicyDocument"):
        EncryptionKey(stack, "Key", perimeter="444455556666")
    anywhere = cdk.Stack(app, "Anywhere")
    EncryptionKey(anywhere, "Key", perimeter="444455556666")
    synth(anywhere)
