"""What the policy of an EncryptionKey and the policies of its users say, statement by statement."""

import re

import pytest
from aws_cdk import aws_sns as sns

from kms_patterns import EncryptionKey, KeyAccess
from kms_patterns.keys.errors import GrantRefused

ROOT = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":iam::111122223333:root"]]}
ADMINISTRATION = [
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListKeyRotations",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:RevokeGrant",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
]
ACCOUNT_ADMINISTRATION = {
    "Sid": "AccountAdministration",
    "Effect": "Allow",
    "Principal": {"AWS": ROOT},
    "Action": ADMINISTRATION,
    "Resource": "*",
}


@pytest.fixture
def key(stack):
    return EncryptionKey(stack, "Key")


def key_arn(stack, key):
    return stack.resolve(key.key_arn)


def test_without_grants_the_account_may_administer_and_nobody_may_use(stack, key, synth, key_statements):
    assert key_statements(synth(stack)) == [ACCOUNT_ADMINISTRATION]


@pytest.mark.parametrize(
    ("method", "actions"),
    [
        ("grant_encrypt", ["kms:Encrypt"]),
        ("grant_decrypt", ["kms:Decrypt"]),
        ("grant_encrypt_decrypt", ["kms:Decrypt", "kms:Encrypt"]),
        ("grant_generate_data_key", ["kms:GenerateDataKey"]),
        ("grant_generate_data_key_without_plaintext", ["kms:GenerateDataKeyWithoutPlaintext"]),
        ("grant_re_encrypt_from", ["kms:ReEncryptFrom"]),
        ("grant_re_encrypt_to", ["kms:ReEncryptTo"]),
        ("grant_admin", ADMINISTRATION),
    ],
)
def test_each_grant_writes_its_exact_actions_into_both_policies(
    method, actions, stack, key, role, synth, key_statements, role_statements, named
):
    user = role("User")

    grant = getattr(key, method)(user)

    template = synth(stack)
    written = actions if len(actions) > 1 else actions[0]
    assert grant.success
    assert key_statements(template) == [ACCOUNT_ADMINISTRATION, named(user, actions)]
    assert role_statements(template, stack, user) == [
        {"Effect": "Allow", "Action": written, "Resource": key_arn(stack, key)}
    ]


def test_every_condition_stands_in_both_policies(stack, key, role, synth, key_statements, role_statements, named):
    user = role("User")
    conditions = {
        "StringEquals": {
            "kms:EncryptionContext:tenant": "a",
            "kms:ViaService": "s3.eu-west-1.amazonaws.com",
            "aws:SourceVpc": "vpc-1",
        },
        "Null": {"kms:EncryptionContext:purpose": "false"},
    }

    key.grant_decrypt(
        user,
        encryption_context={"tenant": "a"},
        required_context=["purpose"],
        via_service="s3",
        conditions={"StringEquals": {"aws:SourceVpc": "vpc-1"}},
    )

    template = synth(stack)
    assert key_statements(template) == [ACCOUNT_ADMINISTRATION, named(user, ["kms:Decrypt"], conditions)]
    assert role_statements(template, stack, user) == [
        {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key_arn(stack, key), "Condition": conditions}
    ]


def test_resource_can_wait_for_both_halves(stack, key, role, synth):
    topic = sns.Topic(stack, "Topic")

    key.grant_decrypt(role("User")).apply_before(topic)

    (waiting,) = [item for item in synth(stack)["Resources"].values() if item["Type"] == "AWS::SNS::Topic"]
    assert sorted(re.sub(r"[0-9A-F]{8}$", "", name) for name in waiting["DependsOn"]) == ["Key", "UserDefaultPolicy"]


def test_conditions_that_no_request_can_meet_are_refused(key, role):
    with pytest.raises(GrantRefused, match="cannot be both 'a' and 'b'"):
        key.grant_decrypt(
            role("User"),
            encryption_context={"tenant": "a"},
            conditions={"StringEquals": {"kms:EncryptionContext:tenant": "b"}},
        )


def test_repeated_grants_extend_one_statement(stack, key, role, synth, key_statements, role_statements, named):
    user = role("User")

    key.grant_encrypt(user)
    key.grant_decrypt(user)
    key.grant_decrypt(user)

    template = synth(stack)
    assert key_statements(template)[1:] == [named(user, ["kms:Decrypt", "kms:Encrypt"])]
    assert [statement["Action"] for statement in role_statements(template, stack, user)] == [
        ["kms:Decrypt", "kms:Encrypt"]
    ]


def test_other_conditions_are_another_statement_so_that_none_widens_the_other(
    stack, key, role, synth, key_statements, named
):
    user = role("User")
    tenant = {"StringEquals": {"kms:EncryptionContext:tenant": "a"}}

    key.grant_encrypt(user, encryption_context={"tenant": "a"})
    key.grant_decrypt(user)
    key.grant_decrypt(user, encryption_context={"tenant": "a"})

    assert key_statements(synth(stack))[1:] == [
        named(user, ["kms:Decrypt", "kms:Encrypt"], tenant),
        named(user, ["kms:Decrypt"], ordinal=2),
    ]


def test_a_grant_that_its_caller_narrowed_does_not_narrow_the_next(stack, key, role, synth, role_statements):
    user = role("User")
    source = {"StringEquals": {"aws:SourceVpc": "vpc-1"}}

    key.grant_encrypt(user).principal_statement.add_conditions(source)
    key.grant_decrypt(user)

    assert [(it["Action"], it.get("Condition")) for it in role_statements(synth(stack), stack, user)] == [
        ("kms:Encrypt", source),
        ("kms:Decrypt", None),
    ]


def test_administrators_get_no_operation_of_users(stack, role, synth, key_statements, named):
    security = role("Security")

    EncryptionKey(stack, "Key", administrators=[security])

    granted = key_statements(synth(stack))
    assert granted == [ACCOUNT_ADMINISTRATION, named(security, ADMINISTRATION)]


def test_use_and_administration_by_one_role_stay_two_statements(stack, key, role, synth, key_statements, named):
    both = role("Both")

    key.grant_admin(both)
    key.grant_decrypt(both)

    assert key_statements(synth(stack))[1:] == [
        named(both, ADMINISTRATION),
        named(both, ["kms:Decrypt"], ordinal=2),
    ]


def test_a_delegated_key_keeps_the_default_policy_and_grants_in_iam_only(
    stack, role, synth, key_statements, role_statements
):
    user = role("User")
    key = EncryptionKey(stack, "Key", access=KeyAccess.DELEGATED)

    key.grant_decrypt(user)

    template = synth(stack)
    assert key_statements(template) == [
        {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
    ]
    assert role_statements(template, stack, user) == [
        {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key_arn(stack, key)}
    ]


def test_no_wildcard_action_and_no_wildcard_identity_resource(stack, key, role, synth, key_statements, role_statements):
    user = role("User")
    for method in dir(EncryptionKey):
        if method.startswith("grant_") and method not in {
            *(
                "grant_operations",
                "grant_pinned",
                "grant_create_grant",
                "grant_sign",
                "grant_verify",
                "grant_sign_verify",
            ),
            *("grant_generate_mac", "grant_verify_mac"),
        }:
            getattr(key, method)(user)

    template = synth(stack)
    in_key, in_role = key_statements(template), role_statements(template, stack, user)
    actions = [action for it in in_key + in_role for action in as_list(it["Action"])]
    assert [action for action in actions if "*" in action] == []
    assert [it for it in in_role if it["Resource"] == "*"] == []
    assert "kms:CreateGrant" not in actions


def as_list(value):
    return value if isinstance(value, list) else [value]


def test_snapshot(stack, role, synth, snapshot_of):
    key = EncryptionKey(stack, "Key", alias="orders/data", administrators=[role("Security")])
    key.grant_encrypt(role("Writer"), required_context=["tenant"])
    key.grant_decrypt(role("Reader"), required_context=["tenant"])

    snapshot_of(synth(stack))
