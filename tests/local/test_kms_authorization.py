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


def _named(
    principal: str | list[str], action: str | list[str] = "kms:Encrypt", effect: str = "Allow"
) -> dict[str, Any]:
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
    assert message.endswith(
        f"kms:Encrypt on resource: {key} because no identity-based policy allows the kms:Encrypt action"
    )


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
        assert (
            code_of(aws.assume(refused, "ec2.amazonaws.com").client("kms").encrypt, KeyId=key, Plaintext=b"x")
            == Refused
        )


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
    assert (code, message.rsplit("with", 1)[1]) == (
        Refused,
        f" an explicit deny in a{'n' * (kind == 'identity')} {kind}-based policy",
    )
    assert session.client("kms").describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key


def test_a_permissions_boundary_narrows(aws: Any, make_key: Any, make_role: Any, allow: Any, code_of: Any) -> None:
    key, role, iam = make_key(), make_role(allow("kms:*", "*")), aws.client("iam")
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("kms:DescribeKey", "*")]})
    boundary = iam.create_policy(PolicyName=role.rsplit("/", 1)[1], PolicyDocument=document)["Policy"]["Arn"]
    session = aws.assume(role, "ec2.amazonaws.com")
    assert _encrypts(session, key)
    iam.put_role_permissions_boundary(RoleName=role.rsplit("/", 1)[1], PermissionsBoundary=boundary)
    assert code_of(session.client("kms").encrypt, KeyId=key, Plaintext=b"x") == Refused
    assert session.client("kms").describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key


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


def test_anonymous_wrongly_signed_and_unknown_credentials_are_refused(
    aws: Any, make_key: Any, session_of: Any, code_of: Any
) -> None:
    key, good = make_key(), session_of()
    way = {"endpoint_url": aws.endpoint_url, "verify": str(aws.ca_bundle), "region_name": aws.region}
    anonymous = boto3.client("kms", config=Config(signature_version=UNSIGNED), **way)
    assert code_of(anonymous.encrypt, KeyId=key, Plaintext=b"x") == "MissingAuthenticationTokenException"
    credentials = {"aws_access_key_id": good.access_key_id, "aws_session_token": good.session_token}
    forged = boto3.client("kms", aws_secret_access_key="guessed", **credentials, **way)
    assert code_of(forged.encrypt, KeyId=key, Plaintext=b"x") == "InvalidSignatureException"
    unknown = boto3.client("kms", aws_access_key_id="AKIAUNKNOWNUNKNOWN00", aws_secret_access_key="x", **way)
    assert code_of(unknown.encrypt, KeyId=key, Plaintext=b"x") == "UnrecognizedClientException"
