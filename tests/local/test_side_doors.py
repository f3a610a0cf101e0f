"""No side door: roles that are passed, keys that are not asked for, administration paths, and the seam itself."""

import json
import re
import socket
import ssl
import stat
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.loaders import Loader

from kms_patterns.local import AwsSession, LocalAws
from kms_patterns.local.inspection import explained, recorded_calls, resource_of
from kms_patterns.local.layout import Layout
from kms_patterns.local.server.authorization.resource_policies import stack_document
from kms_patterns.local.server.emulator import emulator, functions
from kms_patterns.local.server.emulator.emulator import APP
from kms_patterns.local.server.requests.request_members import ASKING, Served, is_key_member
from tests.local import every_action

MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:any"
PASS_ROLE = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}


def unique() -> str:
    return f"thing-{uuid.uuid4().hex[:8]}"


def test_the_roots_secret_cannot_be_guessed(aws: LocalAws, code_of: Any) -> None:
    root = aws.session()
    assert len(root.secret_access_key) == 40
    guessed = replace(root, secret_access_key="test")
    assert code_of(guessed.client("sts").get_caller_identity) == "SignatureDoesNotMatch"
    assert stat.S_IMODE((aws.folder / "root-secret").stat().st_mode) == 0o600


def anonymous(aws: LocalAws, path: str, body: bytes | None = None, method: str = "GET") -> tuple[int, str]:
    """Send a request without credentials; return status and body."""
    request = urllib.request.Request(aws.endpoint_url + path, data=body, method=method)
    trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(aws.ca_bundle)))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted)
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/_ministack/sqs/messages"), ("POST", "/_ministack/reset"), ("POST", "/_ministack/config"),
    ("GET", "/_ministack/lambda-code/any"), ("GET", "/_ministack/ses/messages"), ("POST", "/_ministack/rds/iam-auth"),
    ("GET", "//_ministack/sqs/messages"),
])  # fmt: skip
def test_administration_of_the_emulator_needs_the_servers_token(aws: LocalAws, method: str, path: str) -> None:
    status, body = anonymous(aws, path, b"{}" if method == "POST" else None, method)
    assert (status, "token" in body) == (403, True)


def test_health_needs_no_credentials(aws: LocalAws) -> None:
    assert anonymous(aws, "/_ministack/health")[0] == 200


Request = Callable[[AwsSession, str], Any]
PASSING: dict[str, Request] = {
    "lambda": lambda user, role: user.client("lambda").create_function(
        FunctionName=unique(), Role=role, Runtime="python3.12", Handler="i.h", Code={"ZipFile": b"PK"}
    ),
    "states": lambda user, role: user.client("stepfunctions").create_state_machine(
        name=unique(), roleArn=role, definition=json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    ),
    "events": lambda user, role: user.client("events").put_targets(
        Rule="any", Targets=[{"Id": "1", "Arn": MACHINE, "RoleArn": role}]
    ),
    "instance profile": lambda user, role: user.client("iam").add_role_to_instance_profile(
        InstanceProfileName="any", RoleName=role.rsplit("/", 1)[-1]
    ),
    "cloudformation": lambda user, role: user.client("cloudformation").create_stack(
        StackName=unique(), RoleARN=role, TemplateBody="{}"
    ),
    "firehose": lambda user, role: user.client("firehose").create_delivery_stream(
        DeliveryStreamName=unique(), S3DestinationConfiguration={"RoleARN": role, "BucketARN": "arn:aws:s3:::any"}
    ),
    "replication": lambda user, role: user.client("s3").put_bucket_replication(
        Bucket="any", ReplicationConfiguration={"Role": role, "Rules": []}
    ),
}  # fmt: skip


@pytest.mark.parametrize("request_", PASSING.values(), ids=PASSING.keys())
def test_roles_are_passed_with_iam_pass_role_only(
    session_of: Any, make_role: Any, allow: Any, refusal: Any, request_: Request
) -> None:
    services = ["lambda:*", "states:*", "events:*", "iam:AddRole*", "cloudformation:*", "firehose:*", "s3:*"]
    role = make_role()
    code, message = refusal(lambda: request_(session_of(allow(services, "*")), role))
    assert (code.removesuffix("Exception"), "iam:PassRole" in message, role in message) == ("AccessDenied", True, True)
    with suppress(ClientError):
        request_(session_of(allow(services, "*"), PASS_ROLE), role)
        return
    # What else is wrong with the request does not matter.
    assert "PassRole" not in refusal(lambda: request_(session_of(allow(services, "*"), PASS_ROLE), role))[1]


@pytest.mark.parametrize(("service", "allowed"), [("lambda.amazonaws.com", True), ("ec2.amazonaws.com", False)])
def test_role_is_passed_to_the_service_that_the_policy_names(
    session_of: Any, make_role: Any, allow: Any, refusal: Any, service: str, allowed: bool
) -> None:
    passing = allow("iam:PassRole", "*", StringEquals={"iam:PassedToService": service})
    session, role = session_of(allow("lambda:*", "*"), passing), make_role()
    assert ("iam:PassRole" in refusal(lambda: PASSING["lambda"](session, role))[1]) is not allowed


UNNAMED: dict[str, Callable[[AwsSession], Any]] = {
    "lambda:DeleteAlias": lambda user: user.client("lambda").delete_alias(FunctionName="f", Name="a"),
    "lambda:DeleteEventSourceMapping": lambda user: user.client("lambda").delete_event_source_mapping(UUID="u" * 36),
    "lambda:DeleteFunctionUrlConfig": lambda user: user.client("lambda").delete_function_url_config(FunctionName="f"),
    "cloudwatch:DeleteAlarms": lambda user: user.client("cloudwatch").delete_alarms(AlarmNames=["a"]),
    "kinesisanalytics:DeleteApplication": lambda user: user.client("kinesisanalyticsv2").delete_application(
        ApplicationName="a", CreateTimestamp=0
    ),
}


@pytest.mark.parametrize(("action", "request_"), UNNAMED.items(), ids=UNNAMED.keys())
def test_every_operation_needs_its_own_action(
    session_of: Any, allow: Any, refusal: Any, action: str, request_: Callable[[AwsSession], Any]
) -> None:
    others = ["lambda:List*", "lambda:Create*", "lambda:Get*", "cloudwatch:Put*"]
    assert action in refusal(lambda: request_(session_of(allow(others, "*"))))[1]


KEYS: dict[str, Request] = {
    "kinesis": lambda aws, key: aws.client("kinesis").start_stream_encryption(
        StreamName="any", EncryptionType="KMS", KeyId=key
    ),
    "efs": lambda aws, key: aws.client("efs").create_file_system(CreationToken="t", Encrypted=True, KmsKeyId=key),
    "event bus": lambda aws, key: aws.client("events").create_event_bus(Name=unique(), KmsKeyIdentifier=key),
    "ecr": lambda aws, key: aws.client("ecr").create_repository(
        repositoryName=unique(), encryptionConfiguration={"encryptionType": "KMS", "kmsKey": key}
    ),
    "rds": lambda aws, key: aws.client("rds").create_db_instance(
        DBInstanceIdentifier=unique(), DBInstanceClass="db.t3.micro", Engine="postgres", KmsKeyId=key
    ),
}


@pytest.mark.parametrize("request_", KEYS.values(), ids=KEYS.keys())
def test_services_that_never_ask_kms_refuse_a_key(aws: LocalAws, key: str, refusal: Any, request_: Request) -> None:
    _code, message = refusal(lambda: request_(aws.session(), key))
    assert "does not ask KMS" in message


# Members of the models whose documentation mentions KMS, and that name no key.
NOT_KEYS = {
    "DataAccessRoleArn", "DataQualityEncryptionMode", "DatasetIdentifier", "KeyType", "LogGroupArn",
    "MlUserDataEncryptionMode", "OutputLocation", "PreSignedUrl", "encryptionType", "includedData", "kmsAccessRoleArn",
    "roleArn", "secretArn", "sseAlgorithm",
}  # fmt: skip
MODELS = {
    "airflow": "mwaa", "documentdb": "docdb", "elasticfilesystem": "efs", "elasticmapreduce": "emr",
    "elasticloadbalancing": "elbv2", "monitoring": "cloudwatch", "ses": "sesv2", "states": "stepfunctions",
    "tagging": "resourcegroupstaggingapi", "appsync-events": "appsync",
}  # fmt: skip


def _members(model: dict[str, Any], shape: str, seen: set[str]) -> Iterator[tuple[str, str]]:
    if shape in seen:
        return
    seen.add(shape)
    described = model["shapes"][shape]
    for name, member in described.get("members", {}).items():
        inner = model["shapes"][member["shape"]]
        if inner["type"] == "string":
            yield name, member.get("documentation", "") + inner.get("documentation", "")
        yield from _members(model, member["shape"], seen)
    for part in ("member", "key", "value"):
        if part in described:
            yield from _members(model, described[part]["shape"], seen)


def test_every_member_of_every_service_that_names_a_key_is_recognized() -> None:
    loader, unseen, found = Loader(), set(), 0
    services = import_module(APP).SERVICE_HANDLERS
    known = set(loader.list_available_services("service-2"))
    for service in sorted(set(services) - ASKING):
        name = MODELS.get(service, service)
        if name not in known:
            continue
        model, seen = loader.load_service_model(name, "service-2"), set[str]()
        shapes = [operation["input"]["shape"] for operation in model["operations"].values() if "input" in operation]
        for member, text in (found for shape in shapes for found in _members(model, shape, seen)):
            if re.search(r"KMS (key|ARN|master)|Key Management Service", re.sub("<[^>]+>", "", text)) or (
                "kms" in member.lower()
            ):
                found += 1
                unseen |= {(service, member)} if not is_key_member(service, member) else set()
    assert {member for _service, member in unseen} <= NOT_KEYS, unseen
    assert found > 100


def test_denial_names_the_kind_of_policy(aws: LocalAws, make_role: Any, allow: Any, refusal: Any) -> None:
    iam, everything = aws.client("iam"), allow("*", "*")
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("sqs:*", "*")]})
    boundary = iam.create_policy(PolicyName=unique(), PolicyDocument=document)["Policy"]["Arn"]
    trust = {"Effect": "Allow", "Principal": {"AWS": aws.account}, "Action": "sts:AssumeRole"}
    bounded, free = make_role(everything, trust=trust), make_role(everything, trust=trust)
    iam.put_role_permissions_boundary(RoleName=bounded.rpartition("/")[2], PermissionsBoundary=boundary)
    found = aws.client("sts").assume_role(RoleArn=free, RoleSessionName="narrow", Policy=document)["Credentials"]
    narrow = replace(
        aws.session(), access_key_id=found["AccessKeyId"], secret_access_key=found["SecretAccessKey"],
        session_token=found["SessionToken"],
    )  # fmt: skip
    none = aws.assume(make_role(trust=trust))
    kinds = {"permissions boundary": aws.assume(bounded), "session policy": narrow, "identity-based policy": none}
    for kind, session in kinds.items():
        message = refusal(session.client("s3").list_buckets)[1]
        assert message.endswith(f"because no {kind} allows the s3:ListAllMyBuckets action"), message


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
    root_s3: Any, make_bucket: Any, make_role: Any, s3_user: Any, code_of: Any
) -> None:
    bucket, s3 = make_bucket(), s3_user()
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    deny = {
        "Effect": "Deny",
        "NotPrincipal": {"AWS": make_role()},
        "Action": "s3:*",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
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


@pytest.mark.parametrize("type_name", ["AWS::S3::BucketPolicy", "AWS::KMS::Key", "Made::Up::Type"])
def test_cloud_control_does_not_say_that_it_made_what_it_does_not_make(aws: Any, code_of: Any, type_name: str) -> None:
    control = aws.client("cloudcontrol")
    named = {"TypeName": type_name, "Identifier": "a"}
    calls = [(control.create_resource, {"TypeName": type_name, "DesiredState": "{}"}), (control.get_resource, named),
             (control.update_resource, {**named, "PatchDocument": "[]"}), (control.delete_resource, named)]  # fmt: skip
    assert {code_of(call, **request) for call, request in calls} == {"UnsupportedActionException"}


def test_cloudformation_keeps_a_buckets_lifecycle_and_the_encryption_that_it_blocks(aws: Any, root_s3: Any) -> None:
    rule = {"Id": "parts", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30, "NewerNoncurrentVersions": 2},
            "Transitions": [{"StorageClass": "GLACIER", "TransitionInDays": 90}], "ExpirationInDays": 365,
            "Prefix": "logs/", "TagFilters": [{"Key": "kind", "Value": "log"}]}  # fmt: skip
    blocked = {"ServerSideEncryptionConfiguration": [{"BlockedEncryptionTypes": {"EncryptionType": ["NONE"]}}]}
    properties = {"LifecycleConfiguration": {"Rules": [rule]}, "BucketEncryption": blocked}
    bucket = {"Type": "AWS::S3::Bucket", "Properties": properties}
    formation, name = aws.client("cloudformation"), f"lifecycle-{uuid.uuid4().hex[:8]}"
    formation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"Bucket": bucket}}))
    formation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    physical = formation.describe_stack_resources(StackName=name)["StackResources"][0]["PhysicalResourceId"]
    root_s3.put_object(Bucket=physical, Key="a", Body=b"", SSECustomerAlgorithm="AES256", SSECustomerKey="k" * 32)
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


NO_PRINCIPAL = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
MALFORMED = {
    "a principal": {**NO_PRINCIPAL, "Principal": "*"}, "no service": {**NO_PRINCIPAL, "Action": "Decrypt"},
    "two colons": {**NO_PRINCIPAL, "Action": "kms:a:b"}, "no action": {**NO_PRINCIPAL, "Action": []},
    "a name for an ARN": {**NO_PRINCIPAL, "Resource": "foo"}, "a Sid with a space": {**NO_PRINCIPAL, "Sid": "a b"},
    "an operator": {**NO_PRINCIPAL, "Condition": {"Foo": {"a": "b"}}}, "an element": {**NO_PRINCIPAL, "X": 1},
}  # fmt: skip


@pytest.mark.parametrize("fault", MALFORMED)
def test_policy_that_iam_does_not_store_is_refused_also_of_a_stack(aws: LocalAws, code_of: Any, fault: str) -> None:
    document = {"Version": "2012-10-17", "Statement": [MALFORMED[fault]]}
    create = aws.client("iam").create_policy
    assert code_of(create, PolicyName=unique(), PolicyDocument=json.dumps(document)) == "MalformedPolicyDocument"
    assert stack_document("AWS::IAM::Role", {"Policies": [{"PolicyName": "p", "PolicyDocument": document}]}) is not None


@pytest.mark.parametrize("changed", [
    {"Resource": "*"}, {"Principal": {"AWS": "arn:aws:iam::000000000000:user/never-made"}}, {"Action": "s3:GetObject"},
    {"Principal": {"AWS": "arn:aws:iam::000000000000:role/*"}},
])  # fmt: skip
def test_trust_policy_that_iam_does_not_store_is_refused(aws: LocalAws, code_of: Any, changed: dict[str, Any]) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust | changed]})
    create = aws.client("iam").create_role
    assert code_of(create, RoleName=unique(), AssumeRolePolicyDocument=document) == "MalformedPolicyDocument"


@pytest.mark.parametrize(("service", "code"), [
    ("lambda", "InvalidParameterValueException"), ("stepfunctions", "AccessDeniedException"),
])  # fmt: skip
def test_role_that_does_not_trust_the_service_is_refused(
    aws: LocalAws, make_role: Any, code_of: Any, service: str, code: str
) -> None:
    role, name = make_role(), unique()
    machine = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
    function = {"Runtime": "python3.12", "Handler": "i.h", "Code": {"ZipFile": b"x"}, "Role": role}
    assert (
        code
        == {
            "lambda": lambda: code_of(aws.client("lambda").create_function, FunctionName=name, **function),
            "stepfunctions": lambda: code_of(
                aws.client("stepfunctions").create_state_machine, name=name, roleArn=role, definition=machine
            ),
        }[service]()
    )


@pytest.mark.parametrize("service", ["kms", "iam", "s3"])
def test_signature_of_the_account_root_is_checked(aws: LocalAws, code_of: Any, service: str) -> None:
    client = replace(aws.session(), secret_access_key="wrong" * 8).client(service)
    call = {"kms": "list_keys", "iam": "list_users", "s3": "list_buckets"}[service]
    assert code_of(getattr(client, call)) in {"InvalidSignatureException", "SignatureDoesNotMatch"}


def test_administrator_reads_content_by_no_action_but_those_of_the_table(aws: LocalAws) -> None:
    """A sample; ``python -m tests.local.every_action`` tries everything."""
    tried = every_action.run(aws, sample=6)
    assert every_action.unexpected(tried) == []
    assert [it.name for it in tried if it.read and it.name == "kms PutKeyPolicy"] == ["kms PutKeyPolicy"]
    assert {"accepted", "denied"} & {it.outcome for it in tried}


def test_neighbour_on_the_machine_finds_nothing_to_act_with(aws: LocalAws) -> None:
    """Another user sees ports, command lines and names of folders; files and credentials are this user's alone."""
    root = aws.session()
    assert stat.S_IMODE(aws.folder.stat().st_mode) == stat.S_IRWXU
    assert aws.folder in root.ca_bundle.parents
    assert aws.folder in root.home.parents
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            assert root.access_key_id.encode() not in process.read_bytes()
    family, address = socket.getaddrinfo("127.0.0.1", None)[0][0], urlsplit(aws.endpoint_url)
    assert address.hostname == "127.0.0.1"
    others = [it[4][0] for it in socket.getaddrinfo(socket.gethostname(), None, family) if it[4][0] != "127.0.0.1"]
    for host in [it for it in others if not str(it).startswith("127.")]:
        with socket.socket() as probe:
            probe.settimeout(1)
            assert probe.connect_ex((host, address.port)) != 0
    guess = replace(root, access_key_id="test", secret_access_key="test")
    for service, call in (
        ("kms", "list_keys"),
        ("s3", "list_buckets"),
        ("iam", "list_roles"),
        ("lambda", "list_functions"),
    ):
        with pytest.raises(ClientError, match=r"security token|Access Key"):
            getattr(guess.client(service), call)()


def test_administrator_does_not_learn_the_credentials_of_the_root(aws: LocalAws, session_of: Any, allow: Any) -> None:
    administrator = session_of(allow("*", "*"))
    found = [
        administrator.client("cloudtrail").lookup_events(),
        administrator.client("iam").list_access_keys(),
        administrator.client("iam").list_users(),
        administrator.client("sts").get_caller_identity(),
        administrator.client("kms").list_keys(),
    ]
    assert aws.session().access_key_id not in json.dumps(found, default=str)


def test_every_refusal_is_recorded_with_its_resource(
    aws: LocalAws, session_of: Any, make_role: Any, allow: Any
) -> None:
    session, role = session_of(allow(["kms:TagResource", "states:*"], "*")), make_role()
    alias, secret = f"alias/{uuid.uuid4().hex[:8]}", replace(aws.session(), secret_access_key="wrong" * 8)
    machine = {
        "name": "m",
        "roleArn": role,
        "definition": json.dumps({"StartAt": "A", "States": {"A": {"Type": "Fail"}}}),
    }
    calls: list[tuple[Callable[[], object], str, str]] = [
        (
            lambda: session.client("kms").create_alias(AliasName=alias, TargetKeyId=uuid.uuid4().hex),
            "kms:CreateAlias",
            alias,
        ),
        (lambda: secret.client("kms").list_keys(), "kms:ListKeys", "*"),
        (lambda: session.client("stepfunctions").create_state_machine(**machine), "states:CreateStateMachine", ""),
        (lambda: session.client("sts").assume_role(RoleArn=role, RoleSessionName="name"), "sts:AssumeRole", role),
    ]
    for call, action, resource in calls:
        with pytest.raises(ClientError):
            call()
        found = recorded_calls(Layout(aws.folder))[-1]
        assert (found["action"], found["decision"]) == (action, "deny"), found
        assert resource_of(found).endswith(resource)


def policy(statement: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


DENY = {"Sid": "Never", "Effect": "Deny", "Action": "*", "Resource": "*"}


@pytest.mark.parametrize(("where", "kind"), [
    ("bucket", "a resource-based policy"), ("queue", "a resource-based policy"), ("key", "key policy"),
    ("boundary", "a permissions boundary"), ("session", "a session policy"), ("role", "an identity-based policy"),
])  # fmt: skip
def test_why_names_the_policy_that_denied(
    aws: LocalAws, make_bucket: Any, make_key: Any, make_role: Any, root_statement: Any, where: str, kind: str
) -> None:
    account, name, denied = f"arn:aws:iam::{aws.account}:root", unique(), DENY | {"Principal": "*"}
    own = [{"Effect": "Allow", "Action": "*", "Resource": "*"}, *([DENY] if where == "role" else [])]
    role = make_role(*own, trust={"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"})
    limit = policy(DENY)
    if where == "boundary":
        arn = aws.client("iam").create_policy(PolicyName=name, PolicyDocument=limit)["Policy"]["Arn"]
        aws.client("iam").put_role_permissions_boundary(RoleName=role.rpartition("/")[2], PermissionsBoundary=arn)
    narrowed = {"Policy": limit} if where == "session" else {}
    found = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="user", **narrowed)["Credentials"]
    session = replace(
        aws.session(),
        access_key_id=found["AccessKeyId"],
        secret_access_key=found["SecretAccessKey"],
        session_token=found["SessionToken"],
    )
    if where == "key":
        key = make_key(root_statement, denied | {"Action": "kms:Encrypt"})
        call, request = session.client("kms").encrypt, {"KeyId": key, "Plaintext": b"x"}
    elif where == "queue":
        url = aws.client("sqs").create_queue(QueueName=name)["QueueUrl"]
        arn = f"arn:aws:sqs:{aws.region}:{aws.account}:{name}"
        attributes = {"Policy": policy(denied | {"Resource": arn, "Action": "sqs:SendMessage"})}
        aws.client("sqs").set_queue_attributes(QueueUrl=url, Attributes=attributes)
        call, request = session.client("sqs").send_message, {"QueueUrl": url, "MessageBody": "x"}
    else:
        bucket = make_bucket()
        if where == "bucket":
            document = policy(denied | {"Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"})
            aws.client("s3").put_bucket_policy(Bucket=bucket, Policy=document)
        call, request = session.client("s3").get_object, {"Bucket": bucket, "Key": "k"}
    with pytest.raises(ClientError, match=r"AccessDenied"):
        call(**request)
    said = explained(recorded_calls(Layout(aws.folder))[-1])
    assert f"statement  Deny Never of {kind}" in said


@pytest.mark.parametrize("text", ['{"RoleArn": "arn"}', "<Request><RoleArn>arn</RoleArn></Request>"])
@pytest.mark.parametrize("start", ["", " " * 65, "\n" * 5000, "\ufeff", "\ufeff" + " " * 65])
def test_a_role_is_seen_behind_whatever_a_body_may_start_with(text: str, start: str) -> None:
    for encoding in ("utf-8", "utf-16-le", "utf-16", "utf-32"):
        served = Served("POST", "/", {}, (start + text).encode(encoding), {})
        assert ("RoleArn", "arn") in set(served.members()), encoding


@pytest.mark.parametrize("uploads", [True, False])
def test_pairs_are_without_an_upload_only_where_one_was_refused(
    monkeypatch: pytest.MonkeyPatch, *, uploads: bool
) -> None:
    place = SimpleNamespace(uploaded=False, readable=lambda: setattr(place, "uploaded", uploads) or [])
    monkeypatch.setattr(every_action, "_send", lambda *_: None)
    planned = [SimpleNamespace(read=[], outcome="refused") for _ in range(5)]
    deployed = lambda *_: nullcontext((place, planned))  # noqa: E731
    monkeypatch.setattr(every_action.Pairs, "deployed", deployed)
    found = every_action.Pairs(left={(0, index) for index in range(1, 5)})
    every_action._sequence(None, range(5), found)  # type: ignore[arg-type]
    assert (found.sent, found.without_upload) == (4, 0 if uploads else 4)
