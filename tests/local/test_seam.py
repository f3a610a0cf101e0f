"""The emulator is checked before it is changed, and what it let pass is denied, through HTTP."""

import json
import ssl
import urllib.request
import uuid
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from kms_patterns.local.server.emulator import emulator, functions


def test_the_installed_emulator_is_the_expected_one() -> None:
    emulator.check()


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator, "version", lambda _name: "1.5.34")
    with pytest.raises(emulator.EmulatorMismatch, match=r"ministack 1\.5\.34 is installed, .* 1\.5\.33 only"):
        emulator.check()


@pytest.mark.parametrize(("module", "name", "found"), [
    (emulator.KMS, "_resolve_key", None),
    (emulator.S3, "_dispatch", lambda method, bucket, key: None),
    (emulator.EVALUATOR, "enforce", "no function at all"),
])  # fmt: skip
def test_a_function_that_is_missing_or_differs_is_refused(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str, found: Any
) -> None:
    real = import_module(module)
    names = {known: getattr(real, known) for known in emulator.REQUIRED[module]} | ({name: found} if found else {})
    fake = SimpleNamespace(**{known: value for known, value in names.items() if known != name or found})
    monkeypatch.setattr(emulator, "import_module", lambda asked: fake if asked == module else import_module(asked))
    with pytest.raises(emulator.EmulatorMismatch, match=f"{module}.{name} is"):
        emulator.check()


def test_only_checked_names_can_be_reached() -> None:
    with pytest.raises(LookupError, match="not in the table"):
        emulator.reach(emulator.KMS, "_encrypt")


def test_a_worker_that_reports_errors_in_another_form_is_refused() -> None:
    with pytest.raises(emulator.EmulatorMismatch, match="another form"):
        functions.worker_script("print('hello')")


Refused = "AccessDeniedException"
OTHER = "arn:aws:iam::000000000000:role/never-made"


def test_a_key_policys_deny_with_not_principal_applies(
    aws: Any, make_role: Any, make_key: Any, session_of: Any, allow: Any, root_statement: Any, code_of: Any
) -> None:
    spared = {"AWS": make_role()}
    deny = {"Sid": "OnlyOne", "Effect": "Deny", "NotPrincipal": spared, "Action": "kms:*", "Resource": "*"}
    key, session = make_key(root_statement, deny), session_of(allow("kms:*", "*"))
    assert code_of(session.client("kms").encrypt, KeyId=key, Plaintext=b"x") == Refused
    decided = {"policy": "key policy", "sid": "OnlyOne", "position": 1, "effect": "Deny"}
    assert aws.kms_calls()[-1]["statement"] == decided


def test_a_bucket_policys_deny_with_not_principal_applies(
    root_s3: Any, make_bucket: Any, s3_user: Any, code_of: Any
) -> None:
    bucket, s3 = make_bucket(), s3_user()
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    deny = {"Effect": "Deny", "NotPrincipal": {"AWS": OTHER}, "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/*"}
    root_s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    assert code_of(s3.put_object, Bucket=bucket, Key="a", Body=b"x") == "AccessDenied"


def test_arn_like_does_not_reach_over_a_colon(make_key: Any, session_of: Any, allow: Any, code_of: Any) -> None:
    key = make_key()
    wide = session_of(allow("kms:Encrypt", key, ArnLike={"aws:PrincipalArn": "arn:aws:iam::*:role/*"})).client("kms")
    assert wide.encrypt(KeyId=key, Plaintext=b"x")
    over = session_of(allow("kms:Encrypt", key, ArnLike={"aws:PrincipalArn": "arn:aws:*:role/*"})).client("kms")
    assert code_of(over.encrypt, KeyId=key, Plaintext=b"x") == Refused


@pytest.mark.parametrize(("path", "allowed"), [("blue/a", True), ("red/a", False)])
def test_policy_variables_are_filled(
    aws: Any, make_bucket: Any, make_role: Any, allow: Any, code_of: Any, path: str, allowed: bool
) -> None:
    bucket, name = make_bucket(), f"role-{uuid.uuid4().hex[:8]}"
    role = make_role(allow("s3:PutObject", f"arn:aws:s3:::{bucket}/${{aws:PrincipalTag/team}}/*"), name=name)
    aws.client("iam").tag_role(RoleName=name, Tags=[{"Key": "team", "Value": "blue"}])
    s3 = aws.assume(role, "ec2.amazonaws.com").client("s3")
    if allowed:
        assert s3.put_object(Bucket=bucket, Key=path, Body=b"x")["ETag"]
    else:
        assert code_of(s3.put_object, Bucket=bucket, Key=path, Body=b"x") == "AccessDenied"


@pytest.mark.parametrize("access_key", ["test", "000000000000", "123456789012"])
def test_a_well_known_key_is_not_root(aws: Any, code_of: Any, access_key: str) -> None:
    way = {"endpoint_url": aws.endpoint_url, "verify": str(aws.ca_bundle), "region_name": aws.region}
    kms = boto3.client("kms", aws_access_key_id=access_key, aws_secret_access_key="test", **way)
    assert code_of(kms.list_keys) == "UnrecognizedClientException"


def test_a_boundary_and_a_session_policy_narrow_a_key_policy_that_names_the_role(
    aws: Any, make_key: Any, make_role: Any, root_statement: Any, allow: Any, code_of: Any
) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{aws.account}:root"}, "Action": "sts:AssumeRole"}
    role = make_role(trust=trust)
    key = make_key(root_statement, root_statement | {"Principal": {"AWS": role}})
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow("kms:DescribeKey", "*")]})
    sts = aws.client("sts")
    given = sts.assume_role(RoleArn=role, RoleSessionName="narrow", Policy=policy)["Credentials"]
    kms = boto3.client(
        "kms", aws_access_key_id=given["AccessKeyId"], aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"], endpoint_url=aws.endpoint_url, verify=str(aws.ca_bundle),
        region_name=aws.region,
    )  # fmt: skip
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key
    assert code_of(kms.encrypt, KeyId=key, Plaintext=b"x") == Refused


def test_cloudformation_keeps_a_buckets_lifecycle(aws: Any, root_s3: Any) -> None:
    rule = {"Id": "parts", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30, "NewerNoncurrentVersions": 2},
            "Transitions": [{"StorageClass": "GLACIER", "TransitionInDays": 90}], "ExpirationInDays": 365,
            "Prefix": "logs/", "TagFilters": [{"Key": "kind", "Value": "log"}]}  # fmt: skip
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"LifecycleConfiguration": {"Rules": [rule]}}}
    formation, name = aws.client("cloudformation"), f"lifecycle-{uuid.uuid4().hex[:8]}"
    formation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"Bucket": bucket}}))
    formation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    physical = formation.describe_stack_resources(StackName=name)["StackResources"][0]["PhysicalResourceId"]
    assert root_s3.get_bucket_lifecycle_configuration(Bucket=physical)["Rules"] == [
        {"ID": "parts", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3},
         "NoncurrentVersionExpiration": {"NoncurrentDays": 30, "NewerNoncurrentVersions": 2},
         "Transitions": [{"StorageClass": "GLACIER", "Days": 90}], "Expiration": {"Days": 365},
         "Filter": {"And": {"ObjectSizeGreaterThan": 0, "Prefix": "logs/", "Tags": [{"Key": "kind", "Value": "log"}]}}}
    ]  # fmt: skip


@pytest.mark.parametrize("body", [
    b"[]", b"7", b"{", b"\xff", b'{"KeyId": ["a"]}', b'{"KeyId": NaN}', b'{"KeyId": {"a": 1}}', b'{"Tags": [7]}',
    b'{"Tags": [{"TagKey": 7}]}', b'{"KeyId": "a", "Tags": [{"TagKey": "a"}]}', b"[" * 5000,
])  # fmt: skip
def test_a_malformed_kms_request_is_refused_by_type_over_http(aws: Any, body: bytes) -> None:
    session = aws.session()
    credentials = Credentials(session.access_key_id, session.secret_access_key)
    context = ssl.create_default_context(cafile=str(aws.ca_bundle))
    for operation in ("TagResource", "CreateKey", "Decrypt", "RetireGrant"):
        headers = {"X-Amz-Target": f"TrentService.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        signed = AWSRequest("POST", aws.endpoint_url + "/", data=body, headers=headers)
        SigV4Auth(credentials, "kms", aws.region).add_auth(signed)
        request = urllib.request.Request(aws.endpoint_url + "/", body, dict(signed.headers.items()))
        with pytest.raises(HTTPError) as refused:
            urllib.request.urlopen(request, context=context)
        code = json.loads(refused.value.read())["__type"]
        assert (refused.value.code, code in {"SerializationException", "ValidationException"}) == (400, True), code
