"""Ways around the services' own permissions: each asks the permission of who acts, or is refused."""

import json
import re
import ssl
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.loaders import Loader

from kms_patterns.local import AwsSession, LocalAws
from kms_patterns.local.server.emulator.emulator import APP
from kms_patterns.local.server.requests.key_members import ASKING, is_key_member

MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:any"
PASS_ROLE = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}


def unique() -> str:
    return f"thing-{uuid.uuid4().hex[:8]}"


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
