"""Key policy and identity policy together: who may use a key, each rule once allowed and once denied.

https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html
"""

import json
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

Refused = "AccessDeniedException"


def _named(principal: str | list[str], action: str | list[str] = "kms:Encrypt", effect: str = "Allow") -> dict[str, Any]:
    return {"Effect": effect, "Principal": {"AWS": principal}, "Action": action, "Resource": "*"}


def _encrypts(session: Any, key: str, **request: Any) -> bool:
    return bool(session.client("kms").encrypt(KeyId=key, Plaintext=b"x", **request)["CiphertextBlob"])


def test_delegation_to_the_account_and_an_identity_policy_allow(make_key: Any, session_of: Any, allow: Any) -> None:
    key = make_key()
    assert _encrypts(session_of(allow("kms:Encrypt", key)), key)


def test_delegation_to_the_account_alone_is_not_enough(make_key: Any, session_of: Any, refusal: Any) -> None:
    key, session = make_key(), session_of()
    code, message = refusal(session.client("kms").encrypt, KeyId=key, Plaintext=b"x")
    assert code == Refused
    assert message.endswith(f"kms:Encrypt on resource: {key} because no identity-based policy allows the kms:Encrypt action")


def test_an_identity_policy_alone_is_not_enough(
    make_key: Any, session_of: Any, allow: Any, refusal: Any, root_statement: Any
) -> None:
    key = make_key(root_statement | {"Action": ["kms:DescribeKey", "kms:PutKeyPolicy"]})
    session = session_of(allow("*", "*"))
    code, message = refusal(session.client("kms").encrypt, KeyId=key, Plaintext=b"x")
    assert code == Refused
    assert message.endswith("because no resource-based policy allows the kms:Encrypt action")
    assert session.client("kms").describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key


def test_a_key_policy_that_names_the_role_suffices(
    aws: Any, make_key: Any, make_role: Any, root_statement: Any, code_of: Any
) -> None:
    named, other = make_role(), make_role()
    key = make_key(root_statement, _named(named))
    assert _encrypts(aws.assume(named, "ec2.amazonaws.com"), key)
    assert code_of(aws.assume(other, "ec2.amazonaws.com").client("kms").encrypt, KeyId=key, Plaintext=b"x") == Refused


def test_two_key_control_lets_only_the_named_role_with_the_identity_policy_use_the_key(
    aws: Any, make_key: Any, make_role: Any, root_statement: Any, allow: Any, code_of: Any
) -> None:
    named, bare, other = make_role(allow("kms:Encrypt", "*")), make_role(path="/app/"), make_role(allow("*", "*"))
    named_in_policy = {"ArnEquals": {"aws:PrincipalArn": [named, bare]}}
    key = make_key(
        root_statement | {"Action": "kms:PutKeyPolicy"},
        root_statement | {"Action": "kms:Encrypt", "Condition": named_in_policy},
    )
    assert _encrypts(aws.assume(named, "ec2.amazonaws.com"), key)
    for refused in (bare, other):
        assert code_of(aws.assume(refused, "ec2.amazonaws.com").client("kms").encrypt, KeyId=key, Plaintext=b"x") == Refused


def test_the_principal_arn_of_a_session_is_its_role_with_the_path(
    aws: Any, make_key: Any, make_role: Any, root_statement: Any, allow: Any, code_of: Any
) -> None:
    role = make_role(allow("kms:Encrypt", "*"), path="/team/blue/")
    without_path = role.replace("/team/blue", "")
    session = aws.assume(role, "ec2.amazonaws.com")
    for principal, allowed in ((role, True), (without_path, False), (role.replace("iam", "sts"), False)):
        key = make_key(root_statement | {"Condition": {"StringEquals": {"aws:PrincipalArn": principal}}})
        if allowed:
            assert _encrypts(session, key)
        else:
            assert code_of(session.client("kms").encrypt, KeyId=key, Plaintext=b"x") == Refused


@pytest.mark.parametrize("denied_by", ["key policy", "identity policy"])
def test_an_explicit_deny_wins(
    make_key: Any, session_of: Any, allow: Any, root_statement: Any, refusal: Any, denied_by: str
) -> None:
    in_key = [_named("*", effect="Deny")] if denied_by == "key policy" else []
    key = make_key(root_statement, *in_key)
    in_role = [allow("kms:Encrypt", key) | {"Effect": "Deny"}] if denied_by == "identity policy" else []
    session = session_of(allow("kms:*", key), *in_role)
    code, message = refusal(session.client("kms").encrypt, KeyId=key, Plaintext=b"x")
    kind = "resource" if denied_by == "key policy" else "identity"
    assert (code, message.rsplit("with", 1)[1]) == (Refused, f" an explicit deny in a{'n' * (kind == 'identity')} {kind}-based policy")
    assert session.client("kms").describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key


def test_a_permissions_boundary_narrows(
    aws: Any, make_key: Any, make_role: Any, allow: Any, code_of: Any
) -> None:
    key, role, iam = make_key(), make_role(allow("kms:*", "*")), aws.client("iam")
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("kms:DescribeKey", "*")]})
    boundary = iam.create_policy(PolicyName=role.rsplit("/", 1)[1], PolicyDocument=document)["Policy"]["Arn"]
    session = aws.assume(role, "ec2.amazonaws.com")
    assert _encrypts(session, key)
    iam.put_role_permissions_boundary(RoleName=role.rsplit("/", 1)[1], PermissionsBoundary=boundary)
    assert code_of(session.client("kms").encrypt, KeyId=key, Plaintext=b"x") == Refused
    assert session.client("kms").describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key


def test_an_alias_is_authorized_as_its_key(
    root_kms: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    key = make_key()
    root_kms.create_alias(AliasName="alias/authorized", TargetKeyId=key)
    alias_arn = key.rsplit(":", 1)[0] + ":alias/authorized"
    by_key, by_alias = session_of(allow("kms:Encrypt", key)), session_of(allow("kms:Encrypt", alias_arn))
    for reference in ("alias/authorized", alias_arn):
        assert _encrypts(by_key, reference)
        assert code_of(by_alias.client("kms").encrypt, KeyId=reference, Plaintext=b"x") == Refused


def test_decrypt_without_a_key_id_is_authorized_on_the_key_in_the_ciphertext(
    root_kms: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    key, other = make_key(), make_key()
    session = session_of(allow("kms:Decrypt", key)).client("kms")
    for plaintext in (b"x", b"x" * 4096):
        mine, theirs = (root_kms.encrypt(KeyId=k, Plaintext=plaintext)["CiphertextBlob"] for k in (key, other))
        assert session.decrypt(CiphertextBlob=mine)["Plaintext"] == plaintext
        assert code_of(session.decrypt, CiphertextBlob=theirs) == Refused


@pytest.mark.parametrize("garbage", [b"x", b"x" * 68, b"x" * 69, b"x" * 500])
def test_a_ciphertext_whose_key_cannot_be_determined_is_denied(
    session_of: Any, allow: Any, code_of: Any, garbage: bytes
) -> None:
    session = session_of(allow("*", "*")).client("kms")
    assert code_of(session.decrypt, CiphertextBlob=garbage) == Refused
    assert code_of(session.re_encrypt, CiphertextBlob=garbage, DestinationKeyId="alias/x") == Refused


def test_naming_an_allowed_key_does_not_open_another_keys_ciphertext(
    root_kms: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    key, other = make_key(), make_key()
    theirs = root_kms.encrypt(KeyId=other, Plaintext=b"x")["CiphertextBlob"]
    session = session_of(allow("kms:Decrypt", key)).client("kms")
    assert code_of(session.decrypt, CiphertextBlob=theirs, KeyId=key) == "IncorrectKeyException"


@pytest.mark.parametrize(("granted", "allowed"), [
    (("kms:ReEncryptFrom", "kms:ReEncryptTo"), True), (("kms:ReEncryptFrom", None), False),
    ((None, "kms:ReEncryptTo"), False), (("kms:ReEncryptTo", "kms:ReEncryptFrom"), False),
    (("kms:Decrypt", "kms:Encrypt"), False),
])  # fmt: skip
def test_re_encrypt_needs_from_on_the_source_and_to_on_the_destination(
    root_kms: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any, granted: Any, allowed: bool
) -> None:
    source, destination = make_key(), make_key()
    blob = root_kms.encrypt(KeyId=source, Plaintext=b"x")["CiphertextBlob"]
    statements = [allow(action, key) for action, key in zip(granted, (source, destination), strict=True) if action]
    session = session_of(*statements).client("kms")
    if allowed:
        assert session.re_encrypt(CiphertextBlob=blob, DestinationKeyId=destination)["KeyId"] == destination
    else:
        assert code_of(session.re_encrypt, CiphertextBlob=blob, DestinationKeyId=destination) == Refused


def test_control_plane_operations_are_authorized_too(
    aws: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any, root_statement: Any
) -> None:
    key = make_key()
    policy = json.dumps({"Version": "2012-10-17", "Statement": [root_statement]})
    reader = session_of(allow(["kms:DescribeKey", "kms:GetKeyPolicy"], key)).client("kms")
    assert reader.describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key
    assert "Statement" in reader.get_key_policy(KeyId=key)["Policy"]
    for call, request in (
        (reader.put_key_policy, {"Policy": policy}), (reader.disable_key, {}), (reader.enable_key_rotation, {}),
        (reader.schedule_key_deletion, {}), (reader.get_public_key, {}), (reader.list_grants, {}),
        (reader.create_grant, {"GranteePrincipal": f"arn:aws:iam::{aws.account}:root", "Operations": ["Decrypt"]}),
    ):  # fmt: skip
        assert code_of(call, KeyId=key, **request) == Refused, call.__name__
    assert session_of(allow("kms:PutKeyPolicy", key)).client("kms").put_key_policy(KeyId=key, Policy=policy)


def test_keyless_operations_need_the_identity_policy_only(session_of: Any, allow: Any, code_of: Any) -> None:
    session, bare = session_of(allow(["kms:ListKeys", "kms:CreateKey"], "*")).client("kms"), session_of().client("kms")
    assert session.create_key()["KeyMetadata"]["KeyState"] == "Enabled"
    assert session.list_keys()["Keys"]
    assert {code_of(bare.list_keys), code_of(bare.create_key), code_of(session.list_aliases)} == {Refused}


def test_an_alias_needs_permission_on_the_alias_and_on_the_key(
    make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    key = make_key()
    alias_arn = key.rsplit(":", 1)[0] + ":alias/of-a-role"
    request = {"AliasName": "alias/of-a-role", "TargetKeyId": key}
    for resource in (key, alias_arn):
        assert code_of(session_of(allow("kms:CreateAlias", resource)).client("kms").create_alias, **request) == Refused
    session_of(allow("kms:CreateAlias", [key, alias_arn])).client("kms").create_alias(**request)


def test_a_missing_key_is_not_found_only_for_who_might_use_it(
    session_of: Any, allow: Any, code_of: Any, make_key: Any
) -> None:
    missing = make_key().rsplit("/", 1)[0] + "/00000000-0000-0000-0000-000000000000"
    allowed, bare = session_of(allow("kms:Encrypt", "*")).client("kms"), session_of().client("kms")
    assert code_of(allowed.encrypt, KeyId=missing, Plaintext=b"x") == "NotFoundException"
    assert code_of(bare.encrypt, KeyId=missing, Plaintext=b"x") == Refused


def test_anonymous_wrongly_signed_and_unknown_credentials_are_refused(aws: Any, make_key: Any, session_of: Any, code_of: Any) -> None:
    key, good = make_key(), session_of()
    way = {"endpoint_url": aws.endpoint_url, "verify": str(aws.ca_bundle), "region_name": aws.region}
    anonymous = boto3.client("kms", config=Config(signature_version=UNSIGNED), **way)
    assert code_of(anonymous.encrypt, KeyId=key, Plaintext=b"x") == "MissingAuthenticationTokenException"
    credentials = {"aws_access_key_id": good.access_key_id, "aws_session_token": good.session_token}
    forged = boto3.client("kms", aws_secret_access_key="guessed", **credentials, **way)
    assert code_of(forged.encrypt, KeyId=key, Plaintext=b"x") == "InvalidSignatureException"
    unknown = boto3.client("kms", aws_access_key_id="AKIAUNKNOWNUNKNOWN00", aws_secret_access_key="x", **way)
    assert code_of(unknown.encrypt, KeyId=key, Plaintext=b"x") == "UnrecognizedClientException"
