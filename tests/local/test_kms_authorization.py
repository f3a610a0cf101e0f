"""Who may do what with a key: key policy, identity policies, and the condition keys of KMS."""

import json
import time
import uuid
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from kms_patterns.local import LocalAws
from kms_patterns.local.server.authorization import emulator_policies
from kms_patterns.local.server.authorization.operators import met
from kms_patterns.local.server.authorization.patterns import UNKNOWN
from kms_patterns.local.server.requests.further_permissions import partiql
from kms_patterns.policy.conditions import encryption_context
from tests.local.conftest import ROOT, caller, kms_in_process, policy
from tests.local.conftest import allow as in_process_allow
from tests.local.conftest import deny as in_process_deny
from tests.local.test_acting import DENIED, TRUSTED, bundle, make_function, unique

SPELT = dict(encryption_context({"tenant": "a", "path": "b"}))
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


ACCOUNT = "000000000000"


@pytest.mark.parametrize("place", ["identity policy", "key policy"])
@pytest.mark.parametrize(("condition", "context", "allowed"), [
    ({"StringEquals": {"kms:EncryptionContext:tenant": "a"}}, {"tenant": "a"}, True),
    ({"StringEquals": {"kms:EncryptionContext:tenant": "a"}}, {"tenant": "a", "more": "x"}, True),
    ({"StringEquals": {"kms:EncryptionContext:tenant": "a"}}, {"tenant": "b"}, False),
    ({"StringEquals": {"kms:EncryptionContext:tenant": "a"}}, {"tenant": "A"}, False),
    ({"StringEquals": {"kms:EncryptionContext:tenant": "a"}}, {}, False),
    ({"StringEquals": {"kms:EncryptionContext:tenant": ["a", "b"]}}, {"tenant": "b"}, True),
    ({"StringLike": {"kms:EncryptionContext:path": "orders/*"}}, {"path": "orders/1"}, True),
    ({"StringLike": {"kms:EncryptionContext:path": "orders/*"}}, {"path": "users/1"}, False),
    ({"StringEqualsIfExists": {"kms:EncryptionContext:tenant": "a"}}, {}, True),
    ({"StringEqualsIfExists": {"kms:EncryptionContext:tenant": "a"}}, {"tenant": "b"}, False),
    ({"StringNotEquals": {"kms:EncryptionContext:tenant": "a"}}, {}, True),
    ({"StringNotEquals": {"kms:EncryptionContext:tenant": "a"}}, {"tenant": "a"}, False),
    ({"Null": {"kms:EncryptionContext:tenant": "false"}}, {"tenant": "any"}, True),
    ({"Null": {"kms:EncryptionContext:tenant": "false"}}, {"other": "any"}, False),
    ({"Null": {"kms:EncryptionContext:tenant": "false"}}, {}, False),
    ({"Null": {"kms:EncryptionContext:tenant": "true"}}, {}, True),
    ({"Null": {"kms:EncryptionContext:tenant": "true"}}, {"tenant": "any"}, False),
    ({"Null": {"kms:EncryptionContextKeys": "false"}}, {"any": "x"}, True),
    ({"Null": {"kms:EncryptionContextKeys": "false"}}, {}, False),
    ({"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": ["tenant"]}}, {"tenant": "a", "more": "x"}, True),
    ({"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": ["tenant"]}}, {"more": "x"}, False),
    ({"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": ["tenant"]}}, {}, False),
    ({"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": ["tenant"]}}, {"Tenant": "a"}, False),
    ({"ForAnyValue:StringLike": {"kms:EncryptionContextKeys": "${*}"}}, {"tenant": "a"}, False),
    ({"ForAnyValue:StringLikeIfExists": {"kms:EncryptionContextKeys": "tenant"}}, {"Tenant": "a"}, False),
    ({"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["tenant", "user"]}}, {"tenant": "a"}, True),
    ({"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["tenant"]}}, {"tenant": "a", "more": "x"}, False),
    ({"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["tenant"]}}, {"TENANT": "a"}, False),
    ({"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["tenant"]}}, {}, True),
    (SPELT, {"tenant": "a", "path": "b", "more": "x"}, True),
    (SPELT, {"Tenant": "a", "path": "b"}, False),
    (SPELT, {"tenant": "a", "PATH": "b"}, False),
    ({"StringEquals": {"kms:CallerAccount": ACCOUNT}}, {}, True),
    ({"StringEquals": {"kms:CallerAccount": "111111111111"}}, {}, False),
    ({"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}, {}, True),
    ({"StringEquals": {"aws:PrincipalAccount": "111111111111"}}, {}, False),
    ({"StringEquals": {"kms:KeySpec": "SYMMETRIC_DEFAULT", "kms:KeyUsage": "ENCRYPT_DECRYPT"}}, {}, True),
    ({"StringEquals": {"kms:KeySpec": "RSA_2048"}}, {}, False),
    ({"StringEquals": {"kms:KeyOrigin": "AWS_KMS"}}, {}, True),
    ({"StringEquals": {"kms:KeyOrigin": "EXTERNAL"}}, {}, False),
    ({"StringEquals": {"kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}}, {}, True),
    ({"StringEquals": {"kms:EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}}, {}, False),
    ({"Bool": {"aws:SecureTransport": "true"}}, {}, True),
    ({"Bool": {"aws:SecureTransport": "false"}}, {}, False),
    ({"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}, {}, False),
    ({"Null": {"kms:ViaService": "true"}}, {}, True),
    ({"Bool": {"aws:ViaAWSService": "false"}}, {}, True),
])  # fmt: skip
def test_condition_of_an_allow(
    make_key: Any, session_of: Any, allow: Any, root_statement: Any, code_of: Any,
    place: str, condition: Any, context: dict[str, str], allowed: bool,
) -> None:  # fmt: skip
    in_key = {"Condition": condition} if place == "key policy" else {}
    in_role = condition if place == "identity policy" else {}
    key = make_key(root_statement | {"Action": "kms:PutKeyPolicy"}, root_statement | {"Action": "kms:Encrypt"} | in_key)
    kms = session_of(allow("kms:Encrypt", key, **in_role)).client("kms")
    request = {"KeyId": key, "Plaintext": b"x", "EncryptionContext": context}
    if allowed:
        assert kms.encrypt(**request)["KeyId"] == key
    else:
        assert code_of(kms.encrypt, **request) == "AccessDeniedException"


@pytest.mark.parametrize(("context", "allowed"), [({"tenant": "a"}, True), ({"tenant": "b"}, False), ({}, False)])
def test_a_deny_unless_the_context_matches(
    make_key: Any, session_of: Any, allow: Any, root_statement: Any, code_of: Any, context: Any, allowed: bool
) -> None:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*",
            "Condition": {"StringNotEquals": {"kms:EncryptionContext:tenant": "a"}}}  # fmt: skip
    key = make_key(root_statement, deny)
    kms = session_of(allow("kms:Encrypt", key)).client("kms")
    request = {"KeyId": key, "Plaintext": b"x", "EncryptionContext": context}
    if allowed:
        assert kms.encrypt(**request)["KeyId"] == key
    else:
        assert code_of(kms.encrypt, **request) == "AccessDeniedException"


def test_the_context_condition_of_re_encrypt_is_the_sources_for_from_and_the_destinations_for_to(
    root_kms: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    key = make_key()
    kms = session_of(
        allow("kms:ReEncryptFrom", key, StringEquals={"kms:EncryptionContext:tenant": "a"}),
        allow("kms:ReEncryptTo", key, StringEquals={"kms:EncryptionContext:tenant": "b"}),
    ).client("kms")

    def request(source: str, destination: str) -> dict[str, Any]:
        blob = root_kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"tenant": source})["CiphertextBlob"]
        contexts = {
            "SourceEncryptionContext": {"tenant": source},
            "DestinationEncryptionContext": {"tenant": destination},
        }
        return {"CiphertextBlob": blob, "DestinationKeyId": key, **contexts}

    assert kms.re_encrypt(**request("a", "b"))["KeyId"] == key
    for source, destination in (("b", "b"), ("a", "a"), ("b", "a")):
        assert code_of(kms.re_encrypt, **request(source, destination)) == "AccessDeniedException"


def test_the_alias_conditions(root_kms: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any) -> None:
    key = make_key()
    root_kms.create_alias(AliasName="alias/conditional", TargetKeyId=key)
    by_request = session_of(allow("kms:Encrypt", key, StringEquals={"kms:RequestAlias": "alias/conditional"})).client(
        "kms"
    )
    assert by_request.encrypt(KeyId="alias/conditional", Plaintext=b"x")["KeyId"] == key
    assert code_of(by_request.encrypt, KeyId=key, Plaintext=b"x") == "AccessDeniedException"
    having = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/conditional"}}
    by_resource = session_of(allow("kms:Encrypt", "*", **having)).client("kms")
    assert by_resource.encrypt(KeyId=key, Plaintext=b"x")["KeyId"] == key
    assert code_of(by_resource.encrypt, KeyId=make_key(), Plaintext=b"x") == "AccessDeniedException"


def test_the_tags_of_the_key(root_kms: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any) -> None:
    tagged, plain = make_key(Tags=[{"TagKey": "Team", "TagValue": "blue"}]), make_key()
    kms = session_of(allow("kms:Encrypt", "*", StringEquals={"aws:ResourceTag/Team": "blue"})).client("kms")
    assert kms.encrypt(KeyId=tagged, Plaintext=b"x")["KeyId"] == tagged
    assert code_of(kms.encrypt, KeyId=plain, Plaintext=b"x") == "AccessDeniedException"


def _key_policy(kms: Any, key: str, *statements: dict[str, Any]) -> None:
    kms.put_key_policy(KeyId=key, Policy=policy(*statements), BypassPolicyLockoutSafetyCheck=True)


def _change(what: str, root: Any, key: str, role: str, alias: str) -> None:
    """Take away what ``what`` is about."""
    kms, iam, name = root.client("kms"), root.client("iam"), role.rsplit("/", 1)[1]
    if what == "identity policy":
        iam.put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=policy(in_process_allow("s3:*")))
    elif what == "managed policy":
        iam.detach_role_policy(
            RoleName=name, PolicyArn=iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"][0]["PolicyArn"]
        )
    elif what == "boundary":
        arn = iam.get_role(RoleName=name)["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"]
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy(in_process_allow("s3:*")), SetAsDefault=True)
    elif what == "key policy":
        _key_policy(kms, key, _named(f"arn:aws:iam::{role.split(':')[4]}:root", "kms:PutKeyPolicy"))
    elif what == "tag of the key":
        kms.tag_resource(KeyId=key, Tags=[{"TagKey": "team", "TagValue": "red"}])
    elif what == "tag of the role":
        iam.tag_role(RoleName=name, Tags=[{"Key": "team", "Value": "red"}])
    elif what == "alias":
        kms.delete_alias(AliasName=alias)
    else:
        kms.revoke_grant(KeyId=key, GrantId=kms.list_grants(KeyId=key)["Grants"][0]["GrantId"])


@pytest.mark.parametrize(("what", "condition"), [
    ("identity policy", {}), ("managed policy", None), ("boundary", {}), ("key policy", {}),
    ("tag of the key", {"StringEquals": {"aws:ResourceTag/team": "blue"}}),
    ("tag of the role", {"StringEquals": {"aws:PrincipalTag/team": "blue"}}),
    ("alias", {"ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/once-*"}}), ("grant", None),
])  # fmt: skip
def test_what_decided_on_a_request_and_was_changed_decides_on_the_next_one(
    aws: Any, root_kms: Any, make_key: Any, make_role: Any, code_of: Any, what: str, condition: Any
) -> None:
    alias, iam = f"alias/once-{what.replace(' ', '-')}", aws.client("iam")
    key = make_key(Tags=[{"TagKey": "team", "TagValue": "blue"}])
    root_kms.create_alias(AliasName=alias, TargetKeyId=key)
    role = make_role(*([] if condition is None else [in_process_allow("kms:Encrypt", **condition)]))
    name, document = role.rsplit("/", 1)[1], policy(in_process_allow("kms:*"))
    iam.tag_role(RoleName=name, Tags=[{"Key": "team", "Value": "blue"}])
    if what in {"managed policy", "boundary"}:
        arn = iam.create_policy(PolicyName=name, PolicyDocument=document)["Policy"]["Arn"]
        put = iam.put_role_permissions_boundary if what == "boundary" else iam.attach_role_policy
        put(RoleName=name, **{"PermissionsBoundary" if what == "boundary" else "PolicyArn": arn})
    if what == "grant":
        root_kms.create_grant(KeyId=key, GranteePrincipal=role, Operations=["Encrypt"])
    session = aws.assume(role, "ec2.amazonaws.com")
    assert _encrypts(session, key)
    _change(what, aws, key, role, alias)
    assert code_of(session.client("kms").encrypt, KeyId=key, Plaintext=b"x") == Refused


@pytest.mark.parametrize(("key", "operator", "value"), [
    ("aws:PrincipalIsAWSService", "Bool", "false"), ("aws:ViaAWSService", "Bool", "false"),
    ("aws:UserAgent", "StringLike", "*Boto3*"), ("aws:TokenIssueTime", "DateGreaterThan", "2020-01-01T00:00:00Z"),
    ("aws:SecureTransport", "Bool", "true"), ("aws:SourceIp", "IpAddress", "127.0.0.0/8"),
    ("aws:PrincipalType", "StringEquals", "AssumedRole"), ("aws:ResourceAccount", "StringLike", "*"),
    ("aws:RequestedRegion", "StringLike", "*"), ("aws:MultiFactorAuthPresent", "Bool", "false"),
    ("aws:userid", "StringLike", "AROA*"),
])  # fmt: skip
def test_a_deny_on_what_every_request_of_a_role_has_applies(
    make_key: Any, session_of: Any, allow: Any, code_of: Any, key: str, operator: str, value: str
) -> None:
    deny = {"Effect": "Deny", "Action": "kms:*", "Resource": "*", "Condition": {operator: {key: value}}}
    arn, kms = make_key(), session_of(allow("kms:*", "*"), deny).client("kms")
    assert code_of(kms.describe_key, KeyId=arn) == "AccessDeniedException"


def test_of_two_names_that_differ_in_case_only_neither_opens_and_each_denies(tmp_path: Path) -> None:
    with kms_in_process(tmp_path / "calls") as kms:
        red, blue = ({"TagKey": "team", "TagValue": "red"}, {"TagKey": "Team", "TagValue": "blue"})
        tagged = kms.key(Tags=[red, blue])
        context = {"EncryptionContext": {"team": "red", "Team": "blue"}}
        for key, operation, request in (
            ("kms:EncryptionContext:team", "Encrypt", {"KeyId": kms.key(), "Plaintext": "eA==", **context}),
            ("aws:RequestTag/team", "TagResource", {"KeyId": kms.key(), "Tags": [red, blue]}),
            ("aws:ResourceTag/team", "DescribeKey", {"KeyId": tagged}),
        ):
            for value in ("red", "blue"):
                opening = caller(in_process_allow(StringEquals={key: value}))
                denying = caller(in_process_allow(), in_process_deny(StringEquals={key: value}))
                assert kms.code(operation, opening, **request) == "AccessDeniedException", key
                assert kms.code(operation, denying, **request) == "AccessDeniedException", key
            other = caller(in_process_allow(), in_process_deny(StringEquals={key: "green"}))
            assert kms.code(operation, other, **request) == "OK"


@pytest.mark.parametrize(("operator", "found", "expected"), [
    ("StringEquals", ["a"], True), ("StringEquals", ["b"], False), ("StringEquals", ["b", "c"], False),
    ("StringEquals", ["a", "b"], None), ("StringNotEquals", ["b", "c"], True), ("StringNotEquals", ["a", "b"], None),
    ("ForAnyValue:StringEquals", ["a", "b"], True), ("ForAllValues:StringEquals", ["a", "b"], False),
    ("StringEquals", UNKNOWN, None), ("Null", UNKNOWN, None), ("ForAllValues:StringEquals", UNKNOWN, None),
    ("StringEqualsIfExists", UNKNOWN, None), ("StringEqualsIfExists", None, True), ("StringNotEquals", None, True),
])  # fmt: skip
def test_a_line_on_an_unknown_value_or_on_one_of_several_is_undecided(
    operator: str, found: Any, expected: bool | None
) -> None:
    assert met(operator, found, ["true"] if operator == "Null" else ["a"], None) is expected


@pytest.mark.parametrize("key", ["aws:RequestTag/team", "aws:ResourceTag/team"])
def test_the_tags_of_a_new_key_are_those_of_the_request(tmp_path: Path, key: str) -> None:
    with kms_in_process(tmp_path / "calls") as kms:
        denying = caller(in_process_allow(), in_process_deny("kms:CreateKey", StringEquals={key: "red"}))
        for value, code in (("red", "AccessDeniedException"), ("blue", "OK")):
            assert kms.code("CreateKey", denying, Tags=[{"TagKey": "team", "TagValue": value}]) == code


def test_a_key_policy_alone_does_not_let_a_principal_retire_a_grant(tmp_path: Path) -> None:
    with kms_in_process(tmp_path / "calls") as kms:
        everyone = {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}
        key = kms.key(Policy=policy(everyone))
        grant = {"KeyId": key, "GranteePrincipal": ROOT, "Operations": ["Decrypt"]}
        token = kms.answer("CreateGrant", **grant)["GrantToken"]
        nothing, retiring = caller(in_process_allow("s3:GetObject")), caller(in_process_allow("kms:RetireGrant"))
        assert kms.code("DescribeKey", nothing, KeyId=key) == "OK"
        assert kms.code("RetireGrant", nothing, GrantToken=token) == "AccessDeniedException"
        assert kms.code("RetireGrant", retiring, GrantToken=token) == "OK"


def test_a_deletion_is_scheduled_within_seven_to_thirty_days_and_says_so(tmp_path: Path) -> None:
    with kms_in_process(tmp_path / "calls") as kms:
        primary = kms.key(MultiRegion=True)
        kms.answer("ReplicateKey", KeyId=primary, ReplicaRegion="eu-west-1")
        for days in (6, 31):
            assert kms.code("ScheduleKeyDeletion", KeyId=primary, PendingWindowInDays=days) == "ValidationException"
        alone = kms.answer("ScheduleKeyDeletion", KeyId=kms.key(), PendingWindowInDays=7)
        assert (alone["KeyState"], alone["PendingWindowInDays"]) == ("PendingDeletion", 7)
        assert "DeletionDate" in alone
        waiting = kms.answer("ScheduleKeyDeletion", KeyId=primary)
        assert (waiting["KeyState"], waiting["PendingWindowInDays"]) == ("PendingReplicaDeletion", 30)
        assert "DeletionDate" not in waiting


def test_role_made_again_under_its_name_gets_nothing_from_a_statement_with_its_unique_id(
    aws: Any, make_role: Any, make_key: Any, root_statement: Any, allow: Any, code_of: Any
) -> None:
    name, iam = "made-again", aws.client("iam")

    def encrypts(key: str) -> Any:
        kms = aws.assume(f"arn:aws:iam::{ACCOUNT}:role/{name}", "ec2.amazonaws.com").client("kms")
        return lambda: kms.encrypt(KeyId=key, Plaintext=b"x")

    make_role(allow("kms:Encrypt", "*"), name=name)
    unique = {"StringLike": {"aws:userid": f"{iam.get_role(RoleName=name)['Role']['RoleId']}:*"}}
    named = {"ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/{name}"}}
    manage = root_statement | {"Action": "kms:PutKeyPolicy"}
    by_name = make_key(manage, root_statement | {"Action": "kms:Encrypt", "Condition": named})
    by_id = make_key(manage, root_statement | {"Action": "kms:Encrypt", "Condition": named | unique})
    assert encrypts(by_id)()["CiphertextBlob"]
    iam.delete_role_policy(RoleName=name, PolicyName="policy")
    iam.delete_role(RoleName=name)
    make_role(allow("kms:Encrypt", "*"), name=name)
    assert encrypts(by_name)()["CiphertextBlob"]
    assert code_of(encrypts(by_id)) == Refused


NAME = {"StringLike": {"sts:RoleSessionName": "${aws:PrincipalTag/who}"}}
TAGGED = {"StringEquals": {"aws:RequestTag/team": "a"}}
UNNAMED = {"Null": {"sts:ExternalId": "true"}}
KNOWN_AS = {"StringLike": {"sts:SourceIdentity": "a*"}}


@pytest.mark.parametrize(("condition", "request_", "assumed"), [
    (NAME, {}, True), (NAME, {"RoleSessionName": "other"}, False),
    (TAGGED, {"Tags": [{"Key": "team", "Value": "a"}]}, True),
    (TAGGED, {"Tags": [{"Key": "team", "Value": "b"}]}, False),
    (KNOWN_AS, {"SourceIdentity": "ann"}, True), (KNOWN_AS, {"SourceIdentity": "bob"}, False), (KNOWN_AS, {}, False),
    (UNNAMED, {}, True), (UNNAMED, {"ExternalId": "ee"}, False),
])  # fmt: skip
def test_trust_policy_is_decided_as_any_other(
    aws: LocalAws, make_role: Any, session_of: Any, allow: Any, condition: Any, request_: Any, assumed: bool
) -> None:
    """AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html (sts keys)."""
    actions = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    asking = session_of(allow(actions))
    name = asking.client("sts").get_caller_identity()["Arn"].split("/")[1]
    aws.client("iam").tag_role(RoleName=name, Tags=[{"Key": "who", "Value": "ann"}])
    trust = {"Effect": "Allow", "Principal": {"AWS": aws.account}, "Action": actions, "Condition": condition}
    request = {"RoleArn": make_role(trust=trust), "RoleSessionName": "ann", **request_}
    if assumed:
        assert asking.client("sts").assume_role(**request)["Credentials"]
    else:
        with pytest.raises(ClientError, match="AccessDenied"):
            asking.client("sts").assume_role(**request)


def test_statement_of_a_key_policy_without_actions_or_resources_has_no_effect(tmp_path: Path) -> None:
    """AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html (Policy)."""
    void = [{"Effect": effect, "Principal": "*", "Action": "kms:Encrypt"} for effect in ("Allow", "Deny")]
    with kms_in_process(tmp_path / "calls") as kms:
        key, own = kms.key(), {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
        assert kms.code("PutKeyPolicy", KeyId=key, Policy=policy(own, *void)) == "OK"
        assert kms.code("Encrypt", caller(in_process_allow()), KeyId=key, Plaintext="eA==") == "OK"
        assert kms.code("Encrypt", caller(in_process_allow("s3:*")), KeyId=key, Plaintext="eA==") == Refused


def test_key_that_is_to_be_deleted_does_not_rotate(tmp_path: Path) -> None:
    """AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_GetKeyRotationStatus.html."""
    with kms_in_process(tmp_path / "calls") as kms:
        key = kms.key()
        kms.answer("EnableKeyRotation", KeyId=key)
        kms.answer("ScheduleKeyDeletion", KeyId=key)
        assert not kms.answer("GetKeyRotationStatus", KeyId=key)["KeyRotationEnabled"]
        kms.answer("CancelKeyDeletion", KeyId=key)
        assert kms.answer("GetKeyRotationStatus", KeyId=key)["KeyRotationEnabled"]


@pytest.mark.parametrize(("action", "key", "absent"), [
    ("lambda:CreateFunctionUrlConfig", "lambda:functionurlauthtype", False),
    ("lambda:GetFunction", "lambda:functionurlauthtype", True), ("iam:DeleteRole", "iam:resourcetag/class", False),
    ("s3:GetObject", "s3:x-amz-acl", True),
    ("s3:PutInventoryConfiguration", "s3:inventoryaccessibleoptionalfields", False),
])  # fmt: skip
def test_condition_key_that_aws_lists_for_an_action_and_nothing_fills_is_not_absent(
    action: str, key: str, absent: bool
) -> None:
    request = SimpleNamespace(action=action, resource_arn="arn:aws:s3:::b/k", service_context={})
    assert emulator_policies._is_filled(request, key) is absent


def test_log_group_that_is_created_has_no_tag_yet() -> None:
    for action, found in (("CreateLogGroup", None), ("CreateLogStream", emulator_policies.UNKNOWN)):
        request = SimpleNamespace(action=f"logs:{action}", resource_arn="arn:aws:logs:us-east-1:1:log-group:g")
        assert emulator_policies._resource_tag(request, "a") is found


def test_tags_of_a_resource_count_in_each_kind_of_policy(aws: LocalAws, make_role: Any, session_of: Any) -> None:
    queues, everything = aws.client("sqs"), in_process_allow("*")
    denying = in_process_deny("sqs:SendMessage", StringEquals={"aws:ResourceTag/class": "secret"})
    url = queues.create_queue(QueueName=f"queue-{uuid.uuid4().hex[:8]}", tags={"class": "secret"})["QueueUrl"]
    queue = f"arn:aws:sqs:{aws.region}:{aws.account}:{url.rpartition('/')[2]}"
    trust = {"Effect": "Allow", "Principal": {"AWS": aws.account}, "Action": "sts:AssumeRole"}
    narrowed = {"RoleSessionName": "ann", "Policy": policy(everything, denying)}
    asking = session_of(everything).client("sts")
    made = asking.assume_role(RoleArn=make_role(everything, trust=trust), **narrowed)["Credentials"]
    limited = replace(
        aws.session(), access_key_id=made["AccessKeyId"], secret_access_key=made["SecretAccessKey"],
        session_token=made["SessionToken"],
    )  # fmt: skip
    free, message = session_of(everything).client("sqs"), {"QueueUrl": url, "MessageBody": "x"}
    assert free.send_message(**message)["MessageId"]
    with pytest.raises(ClientError, match="explicit deny in a session policy"):
        limited.client("sqs").send_message(**message)
    own = policy({**denying, "Principal": "*", "Resource": queue})
    queues.set_queue_attributes(QueueUrl=url, Attributes={"Policy": own})
    batch = {"QueueUrl": url, "Entries": [{"Id": "a", "MessageBody": "x"}]}
    for send, given in ((free.send_message, message), (free.send_message_batch, batch)):
        with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
            send(**given)


@pytest.mark.parametrize(("statement", "asked"), [
    ("SELECT * FROM \"t\" WHERE p='x'", ("dynamodb:PartiQLSelect", "t")),
    ("select p from t.\"i\"", ("dynamodb:PartiQLSelect", "t/index/i")),
    ("INSERT INTO \"t\" VALUE {'p': 'x'}", ("dynamodb:PartiQLInsert", "t")),
    ("UPDATE \"t\" SET a=1 WHERE p='x'", ("dynamodb:PartiQLUpdate", "t")),
    ("DELETE FROM t WHERE p='x'", ("dynamodb:PartiQLDelete", "t")),
])  # fmt: skip
def test_statement_of_partiql_asks_for_its_own_action(statement: str, asked: tuple[str, str]) -> None:
    """AWS: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-iam.html."""
    for body in ({"Statement": statement}, {"TransactStatements": [{"Statement": statement}]}):
        assert partiql("dynamodb", json.dumps(body).encode()) == asked


def test_variables_and_code_of_a_function_under_a_key_are_for_who_may_decrypt_them(
    aws: LocalAws, key: str, make_role: Any, make_bucket: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    role, functions = make_role(trust=TRUSTED), aws.client("lambda")
    name = make_function(aws, role, bundle(), KMSKeyArn=key, Environment={"Variables": {"A": "b"}})
    bare = session_of(allow(["lambda:*", "s3:*", "iam:PassRole"], "*")).client("lambda")
    assert bare.get_function_configuration(FunctionName=name)["Environment"]["Error"]["ErrorCode"] == DENIED
    assert "Variables" not in bare.get_function(FunctionName=name)["Configuration"]["Environment"]
    changed = {"FunctionName": name, "Environment": {"Variables": {"A": "c"}}}
    assert code_of(bare.update_function_configuration, **changed) == DENIED
    user = session_of(allow("lambda:*", "*"), allow("kms:Decrypt", key)).client("lambda")
    assert user.get_function_configuration(FunctionName=name)["Environment"]["Variables"] == {"A": "b"}
    at = {"S3Bucket": make_bucket(key), "S3Key": "code"}
    aws.client("s3").put_object(Bucket=at["S3Bucket"], Key="code", Body=bundle())
    assert code_of(bare.update_function_code, FunctionName=name, **at) == DENIED
    assert functions.update_function_code(FunctionName=name, **at)["CodeSha256"]
    aws.client("kms").disable_key(KeyId=key)
    assert code_of(functions.invoke, FunctionName=name) == "KMSDisabledException"


def test_log_group_asks_for_its_key_whenever_it_is_written_and_read(
    aws: LocalAws, make_key: Any, root_statement: Any, code_of: Any
) -> None:
    service = root_statement | {"Principal": {"Service": f"logs.{aws.region}.amazonaws.com"}}
    logs, key, place = aws.client("logs"), make_key(root_statement, service), {"logGroupName": unique()}
    logs.create_log_group(**place, kmsKeyId=key)
    logs.create_log_stream(**place, logStreamName="s")
    written = {**place, "logStreamName": "s", "logEvents": [{"timestamp": int(time.time() * 1000), "message": "x"}]}
    logs.put_log_events(**written)
    only = json.dumps({"Version": "2012-10-17", "Statement": [root_statement]})
    aws.client("kms").put_key_policy(KeyId=key, Policy=only)
    for call, request in ((logs.filter_log_events, place), (logs.put_log_events, written)):
        assert code_of(call, **request) == "InvalidParameterException"
