"""Ways around the services' own permissions: each asks the permission of who acts, or is refused."""

import base64
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
from urllib.parse import urlencode

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.loaders import Loader

from kms_patterns.local import AwsSession, LocalAws
from kms_patterns.local.server.emulator.emulator import APP
from kms_patterns.local.server.services.key_members import ASKING, is_key_member

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


def _token() -> str:
    def part(content: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    claims = {"iss": "https://tok.example.com", "sub": "me", "aud": "sts.amazonaws.com", "exp": 4102444800}
    return f"{part({'alg': 'none'})}.{part(claims)}."


@pytest.mark.parametrize(("action", "token"), [
    ("AssumeRoleWithWebIdentity", "WebIdentityToken"), ("AssumeRoleWithSAML", "SAMLAssertion"),
])  # fmt: skip
@pytest.mark.parametrize("registered", [False, True])
def test_federation_is_refused(aws: LocalAws, make_role: Any, action: str, token: str, registered: bool) -> None:
    provider = f"arn:aws:iam::{aws.account}:oidc-provider/tok.example.com"
    if registered:
        aws.client("iam").create_open_id_connect_provider(Url="https://tok.example.com", ThumbprintList=["a" * 40])
    role = make_role(trust={"Effect": "Allow", "Principal": {"Federated": provider}, "Action": f"sts:{action}"})
    form = {"Version": "2011-06-15", "Action": action, "RoleArn": role, "RoleSessionName": "xx", token: _token()}
    status, body = anonymous(aws, "/", urlencode(form | {"PrincipalArn": provider}).encode(), "POST")
    if registered:
        aws.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)
    assert (status, "AccessKeyId" in body) == (400, False), body
    assert "InvalidIdentityToken" in body


@pytest.mark.parametrize("name", ["x", "y" * 65, "with space"])
def test_session_names_have_2_to_64_characters_of_some(aws: LocalAws, make_role: Any, code_of: Any, name: str) -> None:
    sts = aws.client("sts", config=Config(parameter_validation=False))
    trust = {"Effect": "Allow", "Principal": {"AWS": aws.account}, "Action": "sts:AssumeRole"}
    assert code_of(sts.assume_role, RoleArn=make_role(trust=trust), RoleSessionName=name) == "ValidationError"


@pytest.mark.parametrize(("option", "action"), [
    ({"Tags": [{"Key": "team", "Value": "a"}]}, "sts:TagSession"),
    ({"SourceIdentity": "alice"}, "sts:SetSourceIdentity"),
])  # fmt: skip
def test_tags_and_source_identity_need_a_permission_of_their_own(
    aws: LocalAws, session_of: Any, make_role: Any, allow: Any, refusal: Any, option: dict[str, Any], action: str
) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": aws.account}, "Action": ["sts:AssumeRole", action]}
    role = make_role(trust=trust)
    without, with_it = session_of(allow("sts:AssumeRole", "*")), session_of(allow(["sts:AssumeRole", action], "*"))
    request = {"RoleArn": role, "RoleSessionName": "name"} | option
    code, message = refusal(without.client("sts").assume_role, **request)
    assert (code, action in message) == ("AccessDenied", True)
    assert with_it.client("sts").assume_role(**request)["AssumedRoleUser"]["Arn"].endswith("/name")


def with_keys(aws: LocalAws, keys: dict[str, str]) -> AwsSession:
    access, secret, token = keys["AccessKeyId"], keys["SecretAccessKey"], keys.get("SessionToken")
    return replace(aws.session(), access_key_id=access, secret_access_key=secret, session_token=token)


def test_session_without_mfa_may_not_call_iam(aws: LocalAws) -> None:
    iam, name = aws.client("iam"), unique()
    iam.create_user(UserName=name)
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps({"Statement": everything}))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    user = AwsSession(
        key["AccessKeyId"], key["SecretAccessKey"], None, aws.endpoint_url, aws.ca_bundle, aws.region, aws.folder
    )
    found = user.client("sts").get_session_token()["Credentials"]
    session = AwsSession(
        found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"], aws.endpoint_url, aws.ca_bundle,
        aws.region, aws.folder,
    )  # fmt: skip
    assert user.client("iam").list_users()["Users"]
    with pytest.raises(session.client("iam").exceptions.ClientError, match="AccessDenied"):
        session.client("iam").list_users()
    assert session.client("kms").list_keys()["Keys"] is not None


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
