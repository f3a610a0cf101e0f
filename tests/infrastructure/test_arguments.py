"""A public argument of the wrong type is refused when it is given, in one line that says what to write."""

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from kms_patterns import EncryptionKey, ImportedKey, KeyAccess, KeyLifecycle, MacKey, ReplicaKey, SigningKey
from kms_patterns.keys.errors import ArgumentRefused, GrantRefused, KeyConfigurationError

ROLE_ARN = "arn:aws:iam::444455556666:role/orders"


@pytest.mark.parametrize("kind", [EncryptionKey, SigningKey, MacKey])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"access": "named"}, "access='named': give KeyAccess.NAMED"),
        ({"access": "DELEGATED"}, "access='DELEGATED': give KeyAccess.DELEGATED"),
        ({"access": None}, "give KeyAccess.NAMED or KeyAccess.DELEGATED"),
        ({"lifecycle": cdk.RemovalPolicy.DESTROY}, "give KeyLifecycle.RETAIN or KeyLifecycle.EPHEMERAL"),
        ({"lifecycle": "ephemeral"}, "give KeyLifecycle.EPHEMERAL"),
        ({"pending_window": 7}, r"pending_window=7: give a Duration, such as Duration.days\(7\)"),
        ({"alias": True}, "alias=True: give text, not bool"),
        ({"aliases": "orders"}, r"each letter would be a name; give a list: \['orders'\]"),
        ({"aliases": [1]}, "give a list of text: 1 is not one"),
        ({"administrators": ROLE_ARN}, r"give a list of roles or users \(iam.IGrantable\)"),
        ({"administrators": [ROLE_ARN]}, r"roles or users .*: 'arn:.*' is not one"),
        ({"tags": {"orders": 1}}, "give a mapping of text to text, not {'orders': 1}"),
        ({"tags": "orders"}, "give a mapping of text to text, not str"),
        ({"enabled": "false"}, "enabled='false': give True or False, not str"),
        ({"multi_region": "no"}, "multi_region='no': give True or False, not str"),
        ({"perimeter": 111122223333}, "perimeter=111122223333: give text, not int"),
    ],
)
def test_property_of_a_key(kind, options, message, stack):
    with pytest.raises(ArgumentRefused, match=message):
        kind(stack, "Key", **options)


def test_unknown_property_of_a_key(stack):
    with pytest.raises(TypeError, match=r"no argument acess; it has .*access"):
        EncryptionKey(stack, "Key", acess=KeyAccess.NAMED)


def test_property_of_one_type_of_key(stack):
    with pytest.raises(KeyConfigurationError, match=r"rotation_period='180': give a Duration, such as .*days\(180\)"):
        EncryptionKey(stack, "Key", rotation_period="180")
    with pytest.raises(ArgumentRefused, match=r"key_spec='ECC_NIST_P384': give KeySpec.ECC_NIST_P384$"):
        SigningKey(stack, "Signing", key_spec="ECC_NIST_P384")
    with pytest.raises(ArgumentRefused, match=r"primary_key=<.*Key object.*: give CustomerManagedKey, not Key"):
        ReplicaKey(stack, "Replica", primary_key=kms.Key(stack, "Theirs"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda key, _: key.grant_decrypt(ROLE_ARN), "no policy can be attached to an iam.ArnPrincipal.*from_role_arn"),
        (lambda key, _: key.grant(ROLE_ARN, "kms:Decrypt"), "grant: grantee='arn.*from_role_arn"),
        (lambda key, _: key.grant_admin(ROLE_ARN), "grant_admin: grantee='arn.*from_role_arn"),
        (lambda key, role: key.grant_operations(role, ["kms:Decrypt"]), "give the values one by one"),
        (lambda key, role: key.grant_decrypt(role, encryption_context="a"), "encryption_context='a': give a mapping"),
        (lambda key, role: key.grant_decrypt(role, encryption_context={"a": 1}), "not {'a': 1}"),
        (lambda key, role: key.grant_decrypt(role, required_context="tenant"), r"each letter .*\['tenant'\]"),
        (lambda key, role: key.grant_decrypt(role, via_service=["s3"]), "give the values one by one"),
        (
            lambda key, role: key.grant_decrypt(role, conditions={"Bool": "true"}),
            "conditions=.*: give a mapping",
        ),
        (
            lambda key, role: key.grant_generate_data_key_pair(role, pair_specs="RSA_2048"),
            "pair_specs='RSA_.*list",
        ),
        (lambda key, role: key.grant_create_grant(role, operations="Decrypt"), r"operations='Decrypt'.*\['Decrypt'\]"),
        (lambda key, role: key.allow_use_through("s3", role, create="yes"), "create='yes': give True or False"),
        (lambda key, _: key.allow_service(iam.ServicePrincipal("s3.amazonaws.com")), "service=.*: give text"),
        (lambda key, _: key.add_alias(["orders"]), "give the values one by one"),
    ],
)
@pytest.mark.parametrize("access", KeyAccess)
def test_argument_of_a_grant(access, call, message, stack, role):
    with pytest.raises(GrantRefused, match=message):
        call(EncryptionKey(stack, "Key", access=access, lifecycle=KeyLifecycle.EPHEMERAL), role("User"))


def test_argument_of_a_grant_on_a_key_of_another_owner(stack, role):
    arn = "arn:aws:kms:eu-west-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    with pytest.raises(ArgumentRefused, match="key_arn=1: give text, not int"):
        ImportedKey.from_key_arn(stack, "Number", 1)
    with pytest.raises(ArgumentRefused, match=r"algorithms='ECDSA_SHA_256'.*list"):
        SigningKey.from_key_arn(stack, "Key", arn).grant_sign(role("User"), algorithms="ECDSA_SHA_256")


def test_operation_without_its_prefix_is_named_with_it(stack, role):
    with pytest.raises(GrantRefused, match="Decrypt refused: it has no prefix; write 'kms:Decrypt'"):
        EncryptionKey(stack, "Key").grant_operations(role("User"), "Decrypt")


def test_tokens_are_what_they_stand_for(stack, role, synth):
    account, alias = cdk.CfnParameter(stack, "Account"), cdk.CfnParameter(stack, "Alias")

    key = EncryptionKey(stack, "Key", perimeter=account.value_as_string, description=alias.value_as_string)
    key.grant_decrypt(role("User"), encryption_context={"tenant": alias.value_as_string})

    synth(stack)
