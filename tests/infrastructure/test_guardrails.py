"""What every key denies, what happens to keys and aliases with their stack, and what a deployed key cannot change."""

import shutil

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms

from kms_patterns import EncryptionKey, KeyAccess, KeyLifecycle, ReplicaKey, SigningKey
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
