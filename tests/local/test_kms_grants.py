"""Grants: operations, constraints, tokens, passing on, retiring; an explicit deny wins.

https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
"""

from typing import Any

import pytest

EC2 = "ec2.amazonaws.com"
Refused = "AccessDeniedException"
CONTEXT = {"tenant": "a", "purpose": "test"}


@pytest.fixture
def grantee(aws: Any, make_role: Any) -> Any:
    """A role without any policy: its ARN and a KMS client."""
    role = make_role()
    return role, aws.assume(role, EC2).client("kms")


def _grant(root_kms: Any, key: str, role: str, *operations: str, **options: Any) -> dict[str, str]:
    granted: dict[str, str] = root_kms.create_grant(
        KeyId=key, GranteePrincipal=role, Operations=list(operations), **options
    )
    return granted


def test_a_grant_allows_its_operations_only(aws: Any, root_kms: Any, key: str, grantee: Any, code_of: Any) -> None:
    role, kms = grantee
    assert code_of(kms.encrypt, KeyId=key, Plaintext=b"x") == Refused
    granted = _grant(root_kms, key, role, "Encrypt")
    blob = kms.encrypt(KeyId=key, Plaintext=b"x", GrantTokens=[granted["GrantToken"]])["CiphertextBlob"]
    call = aws.kms_calls()[-1]
    assert (call["reason"], call["statement"]["sid"]) == ("grant", granted["GrantId"])
    assert code_of(kms.decrypt, CiphertextBlob=blob) == Refused
    assert code_of(kms.generate_data_key, KeyId=key, KeySpec="AES_256") == Refused


def test_a_grant_is_for_its_key_and_its_grantee(
    root_kms: Any, key: str, make_key: Any, session_of: Any, grantee: Any, code_of: Any
) -> None:
    role, kms = grantee
    _grant(root_kms, key, role, "Encrypt")
    assert code_of(kms.encrypt, KeyId=make_key(), Plaintext=b"x") == Refused
    assert code_of(session_of().client("kms").encrypt, KeyId=key, Plaintext=b"x") == Refused


@pytest.mark.parametrize(("constraint", "context", "allowed"), [
    ("EncryptionContextSubset", CONTEXT, True), ("EncryptionContextSubset", CONTEXT | {"more": "x"}, True),
    ("EncryptionContextSubset", {"tenant": "a"}, False), ("EncryptionContextSubset", {}, False),
    ("EncryptionContextEquals", CONTEXT, True), ("EncryptionContextEquals", CONTEXT | {"more": "x"}, False),
    ("EncryptionContextEquals", CONTEXT | {"tenant": "b"}, False),
])  # fmt: skip
def test_a_constraint_binds_the_encryption_context(
    root_kms: Any, key: str, grantee: Any, code_of: Any, constraint: str, context: dict[str, str], allowed: bool
) -> None:
    role, kms = grantee
    _grant(root_kms, key, role, "Encrypt", "DescribeKey", Constraints={constraint: CONTEXT})
    request = {"KeyId": key, "Plaintext": b"x", "EncryptionContext": context}
    if allowed:
        assert kms.encrypt(**request)["KeyId"] == key
    else:
        assert code_of(kms.encrypt, **request) == Refused
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key


def test_an_explicit_deny_wins_over_a_grant(
    aws: Any, root_kms: Any, make_role: Any, key: str, allow: Any, code_of: Any
) -> None:
    role = make_role(allow("kms:Encrypt", "*") | {"Effect": "Deny"})
    _grant(root_kms, key, role, "Encrypt", "DescribeKey")
    kms = aws.assume(role, EC2).client("kms")
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key
    assert code_of(kms.encrypt, KeyId=key, Plaintext=b"x") == Refused


def test_a_token_of_no_grant_is_refused(root_kms: Any, key: str, code_of: Any) -> None:
    request = {"KeyId": key, "Plaintext": b"x", "GrantTokens": ["bm9uZQ"]}
    assert code_of(root_kms.encrypt, **request) == "InvalidGrantTokenException"


@pytest.mark.parametrize("end", ["revoke", "retire by token", "retire by the grantee", "retire by another"])
def test_a_grant_ends(aws: Any, root_kms: Any, key: str, make_role: Any, grantee: Any, code_of: Any, end: str) -> None:
    role, kms = grantee
    retiring = make_role()
    granted = _grant(root_kms, key, role, "Encrypt", "RetireGrant", RetiringPrincipal=retiring)
    assert kms.encrypt(KeyId=key, Plaintext=b"x")["KeyId"] == key
    by_id = {"KeyId": key, "GrantId": granted["GrantId"]}
    stranger = aws.assume(make_role(), EC2).client("kms")
    assert code_of(stranger.retire_grant, **by_id) == Refused
    assert code_of(stranger.revoke_grant, **by_id) == Refused
    if end == "revoke":
        root_kms.revoke_grant(**by_id)
    elif end == "retire by token":
        kms.retire_grant(GrantToken=granted["GrantToken"])
    elif end == "retire by the grantee":
        kms.retire_grant(**by_id)
    else:
        aws.assume(retiring, EC2).client("kms").retire_grant(**by_id)
    assert code_of(kms.encrypt, KeyId=key, Plaintext=b"x") == Refused


@pytest.mark.parametrize(("operations", "constraints", "allowed"), [
    (["Decrypt"], {"EncryptionContextSubset": CONTEXT}, True),
    (["Decrypt"], {"EncryptionContextEquals": CONTEXT | {"more": "x"}}, True),
    (["Decrypt"], {"EncryptionContextSubset": {"tenant": "a"}}, False), (["Decrypt"], None, False),
    (["GenerateDataKey"], {"EncryptionContextSubset": CONTEXT}, False),
])  # fmt: skip
def test_a_grantee_passes_on_no_more_than_it_has(
    root_kms: Any,
    key: str,
    make_role: Any,
    grantee: Any,
    code_of: Any,
    operations: Any,
    constraints: Any,
    allowed: bool,
) -> None:
    role, kms = grantee
    _grant(root_kms, key, role, "Decrypt", "CreateGrant", Constraints={"EncryptionContextSubset": CONTEXT})
    request = {"KeyId": key, "GranteePrincipal": make_role(), "Operations": operations}
    request |= {"Constraints": constraints} if constraints else {}
    if allowed:
        assert kms.create_grant(**request)["GrantId"]
    else:
        assert code_of(kms.create_grant, **request) == Refused


@pytest.mark.parametrize(("condition", "request_", "allowed"), [
    ({"Bool": {"kms:GrantIsForAWSResource": "true"}}, {}, False),
    ({"Bool": {"kms:GrantIsForAWSResource": "false"}}, {}, True),
    ({"StringEquals": {"kms:GrantConstraintType": "EncryptionContextEquals"}}, {}, False),
    ({"StringEquals": {"kms:GrantConstraintType": "EncryptionContextEquals"}},
     {"Constraints": {"EncryptionContextEquals": CONTEXT}}, True),
    ({"StringEquals": {"kms:EncryptionContext:tenant": "a"}},
     {"Constraints": {"EncryptionContextSubset": CONTEXT}}, True),
    ({"ForAllValues:StringEquals": {"kms:GrantOperations": ["Decrypt"]}}, {}, True),
    ({"ForAllValues:StringEquals": {"kms:GrantOperations": ["Encrypt"]}}, {}, False),
])  # fmt: skip
def test_conditions_of_create_grant(
    key: str, make_role: Any, session_of: Any, allow: Any, code_of: Any, condition: Any, request_: Any, allowed: bool
) -> None:
    kms = session_of(allow("kms:CreateGrant", key, **condition)).client("kms")
    request = {"KeyId": key, "GranteePrincipal": make_role(), "Operations": ["Decrypt"], **request_}
    if allowed:
        assert kms.create_grant(**request)["GrantId"]
    else:
        assert code_of(kms.create_grant, **request) == Refused


@pytest.mark.parametrize(("operation", "condition", "good", "bad"), [
    ("schedule_key_deletion", {"NumericEquals": {"kms:ScheduleKeyDeletionPendingWindowInDays": "30"}},
     {}, {"PendingWindowInDays": 7}),
    ("enable_key_rotation", {"NumericLessThanEquals": {"kms:RotationPeriodInDays": "180"}},
     {"RotationPeriodInDays": 180}, {"RotationPeriodInDays": 181}),
    ("tag_resource", {"StringEquals": {"aws:RequestTag/team": "blue"}},
     {"Tags": [{"TagKey": "team", "TagValue": "blue"}]}, {"Tags": [{"TagKey": "team", "TagValue": "red"}]}),
    ("untag_resource", {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}},
     {"TagKeys": ["team"]}, {"TagKeys": ["cost"]}),
    ("encrypt", {"StringEquals": {"kms:CustomerMasterKeySpec": "SYMMETRIC_DEFAULT"},
                 "Bool": {"kms:MultiRegion": "false"}, "Null": {"kms:EncryptionContext:tenant": "true"}},
     {"Plaintext": b"x"}, {"Plaintext": b"x", "EncryptionContext": {"Tenant": "a"}}),
    ("encrypt", {"StringEquals": {"kms:EncryptionContext:tenant": "a"}},
     {"Plaintext": b"x", "EncryptionContext": {"tenant": "a"}},
     {"Plaintext": b"x", "EncryptionContext": {"tenant": "b", "Tenant": "a"}}),
])  # fmt: skip
def test_remaining_condition_keys(
    key: str, session_of: Any, allow: Any, code_of: Any, operation: str, condition: Any, good: Any, bad: Any
) -> None:
    name = "kms:" + "".join(part.title() for part in operation.split("_"))
    kms = session_of(allow(name, key, **condition)).client("kms")
    assert code_of(getattr(kms, operation), KeyId=key, **bad) == Refused
    assert getattr(kms, operation)(KeyId=key, **good)["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_re_encrypt_on_the_same_key_can_be_told_apart(
    root_kms: Any, key: str, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    actions = ["kms:ReEncryptFrom", "kms:ReEncryptTo"]
    kms = session_of(allow(actions, "*", Bool={"kms:ReEncryptOnSameKey": "true"})).client("kms")
    blob = root_kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=key)["KeyId"] == key
    assert code_of(kms.re_encrypt, CiphertextBlob=blob, DestinationKeyId=make_key()) == Refused


@pytest.mark.parametrize("means", ["key policy", "grant", "retiring"])
def test_a_role_that_was_made_again_is_not_the_one_that_was_named(
    aws: Any, root_kms: Any, make_role: Any, make_key: Any, root_statement: Any, code_of: Any, means: str
) -> None:
    name = f"again-{means.split(maxsplit=1)[0]}"
    role = make_role(name=name)
    named = {"Effect": "Allow", "Principal": {"AWS": role}, "Action": "kms:DescribeKey", "Resource": "*"}
    key = make_key(root_statement, *([named] if means == "key policy" else []))
    made = root_kms.create_grant(KeyId=key, GranteePrincipal=role, RetiringPrincipal=role, Operations=["DescribeKey"])
    if means == "key policy":
        root_kms.revoke_grant(KeyId=key, GrantId=made["GrantId"])

    def code() -> str:
        kms = aws.assume(role, EC2).client("kms")
        if means == "retiring":
            return code_of(kms.retire_grant, KeyId=key, GrantId=made["GrantId"], DryRun=True)
        try:
            return str(kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"])
        except kms.exceptions.ClientError as refused:
            return str(refused.response["Error"]["Code"])

    assert code() == ("DryRunOperationException" if means == "retiring" else "Enabled")
    aws.client("iam").delete_role(RoleName=name)
    make_role(name=name)
    assert code() == Refused
    if means == "key policy":
        # Stored again, the policy names the role that there is now.
        root_kms.put_key_policy(KeyId=key, Policy=root_kms.get_key_policy(KeyId=key)["Policy"])
        assert code() == "Enabled"
