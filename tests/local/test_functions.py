"""Lambda functions, the events that start them, and faults on demand as boto3 meets them."""

import io
import json
import platform
import sys
import time
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, ResponseStreamingError

from kms_patterns.local import LocalAws, StartFailed, daemon
from kms_patterns.local.aws_session import local_address
from kms_patterns.local.server.emulator.functions import foreign_bundle
from kms_patterns.local.server.kms.call_log import CallLog
from kms_patterns.local.server.kms.kms_service import KmsService
from kms_patterns.local.server.services.function_deliveries import validating
from kms_runtime import KmsKeyring, encrypt
from kms_runtime.aws_errors import ThrottlingException

TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
CODE = """
import importlib, logging, os, boto3
class OwnRefusal(Exception):
    pass
def found(name):
    try:
        return bool(importlib.import_module(name))
    except ModuleNotFoundError:
        return False
def handler(event, context):
    if "log" in event:
        logging.getLogger("own").info("said %s", event["log"], extra={"tenant": "a"})
        logging.getLogger("own").debug("not said")
        return {}
    if "raise" in event:
        raise OwnRefusal(event["raise"])
    if "import" in event:
        return {name: found(name) for name in event["import"]}
    if "environment" in event:
        return dict(os.environ)
    client = boto3.client(event["service"])
    answer = getattr(client, event["operation"])(**event["request"])
    return {name: value for name, value in answer.items() if isinstance(value, str)}
"""


@pytest.fixture
def make_function(aws: Any, make_role: Any) -> Callable[..., Callable[[Any], dict[str, Any]]]:
    """Return a function that deploys CODE under a role, and returns a function which invokes it."""

    def make(*statements: Any, name: str = "", **properties: Any) -> Callable[[Any], dict[str, Any]]:
        client, code = aws.client("lambda"), io.BytesIO()
        name = name or f"function-{uuid.uuid4().hex[:8]}"
        with zipfile.ZipFile(code, "w") as bundle:
            bundle.writestr("index.py", CODE)
        client.create_function(
            FunctionName=name, Role=make_role(*statements, trust=TRUST, name=f"role-{name}"), Runtime="python3.12",
            Handler="index.handler", Timeout=10, Code={"ZipFile": code.getvalue()}, **properties,
        )  # fmt: skip
        client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400}
        )

        def invoke(event: Any) -> dict[str, Any]:
            answer = client.invoke(FunctionName=name, Payload=json.dumps(event))
            return {"error": answer.get("FunctionError"), "payload": json.load(answer["Payload"]), "name": name}

        return invoke

    return make


def test_a_function_calls_kms_as_its_own_role(aws: Any, make_key: Any, make_function: Any, allow: Any) -> None:
    key = make_key()
    invoke = make_function(allow("kms:GenerateDataKeyWithoutPlaintext", key))
    before = len(aws.kms_calls())
    call = {
        "service": "kms",
        "operation": "generate_data_key_without_plaintext",
        "request": {"KeyId": key, "KeySpec": "AES_256"},
    }
    allowed = invoke(call)
    assert (allowed["error"], allowed["payload"]["KeyId"]) == (None, key)
    refused = invoke(call | {"operation": "generate_data_key"})
    assert (refused["error"], refused["payload"]["errorType"]) == ("Unhandled", "ClientError")
    assert "not authorized to perform: kms:GenerateDataKey on resource" in refused["payload"]["errorMessage"]
    session = f"arn:aws:sts::{aws.account}:assumed-role/role-{allowed['name']}/{allowed['name']}"
    assert {call["principal"] for call in aws.kms_calls()[before:]} == {session}


def test_an_exception_is_reported_by_its_class_name(make_function: Any) -> None:
    answer = make_function()({"raise": "because"})
    assert answer["error"] == "Unhandled"
    assert {name: answer["payload"][name] for name in ("errorType", "errorMessage")} == {
        "errorType": "OwnRefusal", "errorMessage": "because",
    }  # fmt: skip


def test_a_function_has_boto3_and_what_it_brings_itself(make_function: Any) -> None:
    available = dict.fromkeys(("boto3", "botocore.config", "ssl"), True)
    ours = ("kms_runtime", "kms_patterns", "cryptography", "fastjsonschema", "ministack", "pip")
    expected = available | dict.fromkeys(ours, False)
    assert make_function()({"import": list(expected)})["payload"] == expected


def test_a_function_sees_nothing_of_the_users_environment(
    aws: Any, make_function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = make_function()({"environment": True})["payload"]
    assert found["AWS_ENDPOINT_URL"] == aws.endpoint_url
    assert found["AWS_CA_BUNDLE"] == str(aws.ca_bundle)
    assert found["HOME"].startswith(str(aws.folder))
    assert found["TMPDIR"].startswith(str(aws.folder))
    assert not {
        "PYTHONPATH",
        "MALLOC_ARENA_MAX",
        "PYTEST_CURRENT_TEST",
        "JSII_NODE",
        "KMS_PATTERNS_RUNTIME_PACKAGES",
    } & set(found)
    assert found["AWS_ACCESS_KEY_ID"].startswith("ASIA")


def test_a_failed_asynchronous_invocation_reaches_the_dead_letter_queue_of_a_cloudformation_function(
    aws: Any, make_role: Any, allow: Any
) -> None:
    sqs, cloudformation, stack = aws.client("sqs"), aws.client("cloudformation"), f"stack-{uuid.uuid4().hex[:8]}"
    queue = sqs.create_queue(QueueName=stack)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    function = {"Type": "AWS::Lambda::Function", "Properties": {
        "Runtime": "python3.12", "Handler": "index.handler", "Code": {"ZipFile": CODE}, "Timeout": 10,
        "Role": make_role(allow("sqs:SendMessage", arn), trust=TRUST), "DeadLetterConfig": {"TargetArn": arn},
    }}  # fmt: skip
    cloudformation.create_stack(StackName=stack, TemplateBody=json.dumps({"Resources": {"F": function}}))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})
    name = cloudformation.describe_stack_resources(StackName=stack)["StackResources"][0]["PhysicalResourceId"]
    client = aws.client("lambda")
    assert client.get_function_configuration(FunctionName=name)["DeadLetterConfig"] == {"TargetArn": arn}
    client.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps({"raise": "lost"}))
    deadline = time.monotonic() + 30
    received: list[Any] = []
    while not received and time.monotonic() < deadline:
        received = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", [])
    assert "OwnRefusal" in received[0]["Body"]


def bundle(name: str, machine: int) -> bytes:
    """A zip with one extension module for a processor."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr(name, b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little"))
    return code.getvalue()


HERE = {"x86_64": 0x3E, "aarch64": 0xB7}[platform.machine()] if sys.platform == "linux" else 0
HOST = f"cpython-{sys.version_info[0]}{sys.version_info[1]}"


@pytest.mark.parametrize(("name", "machine", "said"), [
    (f"pkg/m.{HOST}-linux-gnu.so", HERE, None), ("pkg/m.abi3.so", HERE, None), ("pkg/m.py", 0, None),
    ("pkg/m.abi3.so", 0x3E + 0xB7 - HERE, "is built for Linux"), ("pkg/m.cpython-399-any.so", HERE, "Python 3.99"),
])  # fmt: skip
def test_bundle_of_another_platform_is_refused_with_the_flag(name: str, machine: int, said: str | None) -> None:
    found = foreign_bundle(bundle(name, machine))
    assert (found is None) is (said is None), found
    if found and said:
        assert said in found
        assert "--context kms-patterns:platform=host" in found


def test_function_of_another_platform_says_so_when_it_is_invoked(aws: Any, make_role: Any) -> None:
    client, name = aws.client("lambda"), f"function-{uuid.uuid4().hex[:8]}"
    client.create_function(
        FunctionName=name, Role=make_role(trust=TRUST), Runtime="python3.12", Handler="index.handler",
        Code={"ZipFile": bundle("m.abi3.so", 0x3E + 0xB7 - HERE)},
    )  # fmt: skip
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})
    assert "platform=host" in client.invoke(FunctionName=name)["Payload"].read().decode()


URL = "https://abc123.lambda-url.us-east-1.on.aws"


def template(display_name: str) -> str:
    resources = {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": display_name}}}
    return json.dumps({"Resources": resources})


@pytest.fixture
def queue(aws: LocalAws) -> str:
    url: str = aws.client("sqs").create_queue(QueueName="stack-events")["QueueUrl"]
    return url


def statuses(aws: LocalAws, queue: str, expected: int) -> list[tuple[str, str]]:
    """Stack and status of the events in the queue."""
    found: list[dict[str, Any]] = []
    for _ in range(20):
        answer = aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            aws.client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
        if len(found) >= expected:
            break
    assert all(event["detail-type"] == "CloudFormation Stack Status Change" for event in found)
    return [(event["detail"]["stack-id"], event["detail"]["status-details"]["status"]) for event in found]


def test_deployment_and_update_of_a_stack_are_told_to_its_rule_alone(aws: LocalAws, queue: str) -> None:
    cloudformation, events = aws.client("cloudformation"), aws.client("events")
    arn = aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {
        "source": ["aws.cloudformation"],
        "detail": {"status-details": {"status": ["CREATE_COMPLETE", "UPDATE_COMPLETE"]}},
    }
    statement = {
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
        "Resource": arn,
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    aws.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    events.put_rule(Name="deployed", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="deployed", Targets=[{"Id": "queue", "Arn": arn}])
    stack = cloudformation.create_stack(StackName="told", TemplateBody=template("one"))["StackId"]
    cloudformation.get_waiter("stack_create_complete").wait(StackName="told", WaiterConfig={"Delay": 1})
    assert statuses(aws, queue, 1) == [(stack, "CREATE_COMPLETE")]
    cloudformation.update_stack(StackName="told", TemplateBody=template("two"))
    cloudformation.get_waiter("stack_update_complete").wait(StackName="told", WaiterConfig={"Delay": 1})
    assert statuses(aws, queue, 1) == [(stack, "UPDATE_COMPLETE")]
    events.remove_targets(Rule="deployed", Ids=["queue"])
    events.delete_rule(Name="deployed")


def test_function_url_leads_to_the_endpoint_with_its_path() -> None:
    endpoint = "https://127.0.0.1:4711"
    assert local_address(f"{URL}/key.pem", endpoint) == f"{endpoint}/_aws/lambda-url/abc123/key.pem"
    assert local_address(URL, endpoint) == f"{endpoint}/_aws/lambda-url/abc123/"
    assert local_address(f"{URL}/a?b=c", endpoint) == f"{endpoint}/_aws/lambda-url/abc123/a?b=c"


@pytest.mark.parametrize("url", ["https://example.com/key.pem", URL.replace("https", "http"), "abc", ""])
def test_other_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is not a function URL"):
        local_address(url, "https://127.0.0.1:4711")


def test_a_denied_call_tells_who_what_and_which_statement(
    aws: Any, key: str, session_of: Any, allow: Any, code_of: Any
) -> None:
    deny = allow("kms:Decrypt", "*") | {"Effect": "Deny", "Sid": "NoReading"}
    kms = session_of(allow("kms:*", "*"), deny).client("kms")
    blob = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"tenant": "a"})["CiphertextBlob"]
    code_of(kms.decrypt, CiphertextBlob=blob, EncryptionContext={"tenant": "a"})
    allowed, denied = aws.cloud_trail()[-2:]
    assert (allowed["eventName"], allowed["readOnly"], "errorCode" in allowed) == ("Encrypt", True, False)
    assert (denied["eventName"], denied["errorCode"], denied["awsRegion"]) == ("Decrypt", "AccessDenied", aws.region)
    assert denied["requestParameters"] == {"keyId": key, "encryptionContext": {"tenant": "a"}}
    assert denied["resources"] == [{"accountId": aws.account, "type": "AWS::KMS::Key", "ARN": key}]
    assert denied["userIdentity"]["type"] == "AssumedRole"
    decided = {"policy": "policy", "sid": "NoReading", "position": 1, "effect": "Deny"}
    assert denied["additionalEventData"] == {
        "decision": "deny", "reason": "with an explicit deny in an identity-based policy", "statement": decided,
    }  # fmt: skip


def test_a_call_through_s3_names_the_service(aws: Any, key: str, make_bucket: Any, s3_user: Any) -> None:
    s3_user("kms:GenerateDataKey", key=key).put_object(Bucket=make_bucket(key), Key="a", Body=b"x")
    event = aws.cloud_trail()[-1]
    assert (event["eventName"], event["userIdentity"]["invokedBy"]) == ("GenerateDataKey", "s3.amazonaws.com")


@pytest.mark.parametrize(("key", "value"), [("EventName", "Encrypt"), ("EventSource", "kms.amazonaws.com")])
def test_cloud_trail_answers_from_the_record(aws: LocalAws, make_key: Any, key: str, value: str) -> None:
    arn = make_key()
    aws.client("kms").encrypt(KeyId=arn, Plaintext=b"x")
    looked_for = [{"AttributeKey": key, "AttributeValue": value}]
    found = aws.client("cloudtrail").lookup_events(LookupAttributes=looked_for)["Events"]
    events = [event for event in found if arn in event["CloudTrailEvent"]]
    assert [event["EventName"] for event in events][:1] == ["Encrypt"]
    assert json.loads(events[0]["CloudTrailEvent"])["requestParameters"]["keyId"] == arn


ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=1)
PATIENT = Config(retries={"mode": "standard", "total_max_attempts": 10})


def test_json_logs_are_as_lambda_writes_them(aws: LocalAws, make_function: Any) -> None:
    made = make_function(LoggingConfig={"LogFormat": "JSON"})
    name = made({"log": "this"})["name"]
    events = aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    start, said, report = (json.loads(event["message"]) for event in events)
    request = start["record"]["requestId"]
    assert (start["type"], start["record"]) == ("platform.start", {"requestId": request, "version": "$LATEST"})
    expected = {"level": "INFO", "message": "said this", "logger": "own", "tenant": "a", "requestId": request}
    assert {name: value for name, value in said.items() if name != "timestamp"} == expected
    assert (report["type"], report["record"]["status"]) == ("platform.report", "success")
    assert set(report["record"]["metrics"]) == {"durationMs", "billedDurationMs", "memorySizeMB"}
    made({"raise": "this"})
    lines = [it["message"] for it in aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]]
    (done,) = [json.loads(it) for it in lines if '"platform.runtimeDone"' in it]
    assert done["record"]["status"] == "error"


def test_text_logs_have_warnings_with_level_and_request(aws: LocalAws, make_function: Any) -> None:
    made = make_function()
    name = made({"log": "this"})["name"]
    events = aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    assert [event["message"].partition(" ")[0] for event in events] == ["START", "END", "REPORT"]


def test_with_delays_nothing_that_was_just_made_works(code_of: Any) -> None:
    trust = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
    with LocalAws.start(delay=3600) as slow:
        kms, iam, sqs = slow.client("kms"), slow.client("iam"), slow.client("sqs")
        role = iam.create_role(RoleName="app", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        assert (
            code_of(kms.create_grant, KeyId=key, GranteePrincipal=role, Operations=["Encrypt"]) == "InvalidArnException"
        )
        named = {"Effect": "Allow", "Principal": {"AWS": role}, "Action": "kms:*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [named]})
        assert code_of(kms.create_key, Policy=policy) == "MalformedPolicyDocumentException"
        user = iam.create_user(UserName="ann")["User"]["Arn"]
        granted = kms.create_grant(KeyId=key, GranteePrincipal=user, Operations=["Encrypt"])
        made = iam.create_access_key(UserName="ann")["AccessKey"]
        own = {"access_key_id": made["AccessKeyId"], "secret_access_key": made["SecretAccessKey"]}
        app = replace(slow.session(), **own).client("kms")
        assert code_of(app.encrypt, KeyId=key, Plaintext=b"x") == "AccessDeniedException"
        assert app.encrypt(KeyId=key, Plaintext=b"x", GrantTokens=[granted["GrantToken"]])["CiphertextBlob"]
        function = {"FunctionName": "f", "Role": role, "Runtime": "python3.12", "Handler": "index.handler"}
        refused = code_of(slow.client("lambda").create_function, **function, Code={"ZipFile": b"x"})
        assert refused == "InvalidParameterValueException"
        queue = sqs.create_queue(QueueName="q")["QueueUrl"]
        allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
        events = slow.client("events")
        events.put_rule(Name="r", EventPattern=json.dumps({"source": ["app"]}))
        events.put_targets(Rule="r", Targets=[{"Id": "q", "Arn": f"arn:aws:sqs:us-east-1:{slow.account}:q"}])
        events.put_events(Entries=[{"Source": "app", "DetailType": "made", "Detail": "{}"}])
        assert "Messages" not in sqs.receive_message(QueueUrl=queue)


@pytest.fixture
def faulty(aws: LocalAws) -> Iterator[LocalAws]:
    yield aws
    aws.inject_faults()


def keys_of(aws: LocalAws) -> int:
    pages = aws.client("kms").get_paginator("list_keys").paginate()
    return sum(len(page["Keys"]) for page in pages)


@pytest.mark.parametrize(("kind", "code", "s3_code"), [
    ("throttle", "ThrottlingException", "SlowDown"), ("error", "KMSInternalException", "InternalError"),
    ("unavailable", "DependencyTimeoutException", "ServiceUnavailable"),
    ("expired credentials", "ExpiredTokenException", "ExpiredToken"),
    ("clock skew", "RequestExpired", "RequestTimeTooSkewed"),
    ("access denied", "AccessDeniedException", "AccessDenied"),
    ("disabled key", "DisabledException", "KMS.DisabledException"),
])  # fmt: skip
def test_a_fault_looks_like_aws(faulty: LocalAws, code_of: Any, kind: str, code: str, s3_code: str) -> None:
    faulty.inject_faults({"kind": kind})
    assert code_of(faulty.client("kms", config=ONCE).list_keys) == code
    assert code_of(faulty.client("s3", config=ONCE).list_buckets) == s3_code
    assert faulty.injected_faults() == {kind: 2}


def test_a_fault_is_about_its_operation_and_ends(faulty: LocalAws, code_of: Any) -> None:
    kms = faulty.client("kms", config=ONCE)
    faulty.inject_faults({"kind": "throttle", "service": "kms", "operation": "ListKeys", "times": 2})
    assert kms.list_aliases()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert faulty.client("s3", config=ONCE).list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert [code_of(kms.list_keys) for _ in range(2)] == ["ThrottlingException"] * 2
    assert kms.list_keys()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_quota_throttles_what_is_above_its_rate(faulty: LocalAws) -> None:
    kms = faulty.client("kms", config=ONCE)
    faulty.inject_faults({"kind": "quota", "service": "kms", "rate": 3})
    outcomes = Counter(_outcome(kms.list_keys) for _ in range(12))
    assert outcomes["ThrottlingException"] >= 3
    assert outcomes["ok"] >= 3


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "delay", "seconds": 1.5}])
def test_a_cut_or_slow_connection_is_an_error_once_and_retried(faulty: LocalAws, fault: dict[str, Any]) -> None:
    faulty.inject_faults(fault | {"times": 1})
    with pytest.raises((HTTPClientError, ResponseStreamingError)):
        faulty.client("kms", config=ONCE).list_keys()
    faulty.inject_faults(fault | {"times": 1})
    patient = faulty.client("kms", config=PATIENT.merge(Config(read_timeout=1)))
    assert patient.list_keys()["ResponseMetadata"]["RetryAttempts"] == 1


def test_giving_up_says_after_how_many_attempts(faulty: LocalAws, key: str) -> None:
    faulty.inject_faults({"kind": "throttle", "service": "kms"})
    thrice = faulty.client("kms", config=Config(retries={"mode": "standard", "total_max_attempts": 3}))
    with pytest.raises(ThrottlingException, match=r"^GenerateDataKey: fault \(given up after 3 attempts\)$"):
        encrypt(io.BytesIO(), io.BytesIO(), keyring=KmsKeyring(key, kms_client=thrice), encryption_context={})
    assert (faulty.injected_faults(), faulty.retries()) == ({"throttle": 3}, 2)


def test_a_lost_answer_is_that_of_a_request_that_was_served(faulty: LocalAws) -> None:
    before = keys_of(faulty)
    faulty.inject_faults({"kind": "lost answer", "operation": "CreateKey", "times": 1, "name": "lost"})
    faulty.client("kms", config=PATIENT).create_key()
    assert keys_of(faulty) == before + 2
    assert (faulty.injected_faults(), faulty.retries()) == ({"lost": 1}, 1)


def test_faults_tell_what_they_came_to(faulty: LocalAws, root_s3: Any, make_bucket: Any, code_of: Any) -> None:
    place = {"Bucket": make_bucket(), "Key": "k"}
    upload = {**place, "UploadId": root_s3.create_multipart_upload(**place)["UploadId"]}
    once = faulty.client("s3", config=ONCE)
    faulty.inject_faults({"kind": "access denied", "service": "s3"})
    for call, request in (
        (once.create_multipart_upload, place), (once.upload_part, {**upload, "PartNumber": 1, "Body": b""}),
        (once.abort_multipart_upload, upload), (once.list_parts, upload),
    ):  # fmt: skip
        assert code_of(call, **request) == "AccessDenied"
    found = [(request["kind"], request["operations"], request["path"]) for request in faulty.faulted_requests()]
    path = f"/{place['Bucket']}/k"
    operations = [["POST", "CreateMultipartUpload"], ["PUT", "UploadPart"], ["DELETE", "AbortMultipartUpload"], ["GET"]]
    assert found == [("access denied", sorted(["", *names]), path) for names in operations]


def test_a_refusal_of_a_large_part_is_seen_as_what_it_is(
    faulty: LocalAws, root_s3: Any, make_bucket: Any, code_of: Any
) -> None:
    place = {"Bucket": make_bucket(), "Key": "k"}
    part = {**place, "UploadId": root_s3.create_multipart_upload(**place)["UploadId"], "PartNumber": 1}
    faulty.inject_faults({"kind": "access denied", "operation": "UploadPart", "times": 1})
    assert code_of(faulty.client("s3", config=PATIENT).upload_part, **part, Body=bytes(6 << 20)) == "AccessDenied"


def test_an_unknown_kind_is_refused(faulty: LocalAws) -> None:
    with pytest.raises(ValueError, match="no kind of fault: \\['earthquake'\\]"):
        faulty.inject_faults({"kind": "earthquake"})


def _outcome(call: Any) -> str:
    try:
        call()
    except ClientError as refused:
        return str(refused.response["Error"]["Code"])
    return "ok"


def test_tags_of_a_function_are_shown_to_who_may_list_them(
    aws: LocalAws, make_function: Any, session_of: Any, allow: Any
) -> None:
    name = f"tagged-{uuid.uuid4().hex[:8]}"
    make_function(name=name, Tags={"team": "blue"})
    reads = allow("lambda:GetFunction", "*")
    found = session_of(reads).client("lambda").get_function(FunctionName=name)
    assert ("Tags" in found, found["TagsError"]["ErrorCode"]) == (False, "AccessDeniedException")
    arn = found["Configuration"]["FunctionArn"]
    allowed = session_of(reads, allow("lambda:ListTags", arn)).client("lambda")
    assert allowed.get_function(FunctionName=name)["Tags"] == {"team": "blue"}
    # Tags are the function's, also where a version of it is asked for.
    version = aws.client("lambda").publish_version(FunctionName=name)["Version"]
    assert "TagsError" not in allowed.get_function(FunctionName=name, Qualifier=version)


def _until(condition: Callable[[], Any]) -> Any:
    """Return what a condition comes to, which the server's own threads bring about within seconds."""
    ended = time.monotonic() + 20
    while not (found := condition()) and time.monotonic() < ended:
        time.sleep(0.05)
    return found


@pytest.fixture
def keyed_queue(aws: LocalAws, make_key: Any) -> Callable[[], tuple[str, str, str]]:
    """Return a function that makes a queue under a key and returns its URL, its ARN and the key."""

    def make() -> tuple[str, str, str]:
        key, name = make_key(), f"queue-{uuid.uuid4().hex[:8]}"
        url = aws.client("sqs").create_queue(QueueName=name, Attributes={"KmsMasterKeyId": key})["QueueUrl"]
        return url, f"arn:aws:sqs:{aws.region}:{aws.account}:{name}", key

    return make


def _refused(aws: LocalAws, action: str, key: str) -> list[Any]:
    return [it for it in aws.kms_calls() if (it["action"], it["decision"], it["keyArn"]) == (action, "deny", key)]


def _table_with_stream(aws: LocalAws, name: str, key: str) -> str:
    made = aws.client("dynamodb").create_table(
        TableName=name, KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key},
    )  # fmt: skip
    return str(made["TableDescription"]["LatestStreamArn"])


def test_lambda_polls_a_queue_and_a_stream_under_a_key_and_sends_failures_to_a_queue_as_its_functions_role(
    aws: LocalAws, make_function: Any, allow: Any, keyed_queue: Any, make_key: Any
) -> None:
    client, sqs, iam, table_key = aws.client("lambda"), aws.client("sqs"), aws.client("iam"), make_key()
    (source, source_arn, source_key), (dead, dead_arn, dead_key) = keyed_queue(), keyed_queue()
    name = make_function(allow(["sqs:*", "dynamodb:*"], "*"))(None)["name"]
    stream = {"EventSourceArn": _table_with_stream(aws, name, table_key), "StartingPosition": "TRIM_HORIZON"}
    queue, table = (
        client.create_event_source_mapping(FunctionName=name, **it)["UUID"]
        for it in ({"EventSourceArn": source_arn}, stream)
    )
    failures = {"OnFailure": {"Destination": dead_arn}}
    client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0, DestinationConfig=failures)
    aws.client("dynamodb").put_item(TableName=name, Item={"k": {"S": "a"}})
    sqs.send_message(QueueUrl=source, MessageBody="kept")
    client.invoke(FunctionName=name, InvocationType="Event", Payload="null")
    for action, key in (("Decrypt", source_key), ("Decrypt", table_key), ("GenerateDataKey", dead_key)):
        assert _until(lambda: _refused(aws, f"kms:{action}", key))  # noqa: B023 - called here
    counted = ["ApproximateNumberOfMessages"]
    kept = sqs.get_queue_attributes(QueueUrl=source, AttributeNames=counted)["Attributes"]
    assert kept["ApproximateNumberOfMessages"] == "1"
    said = client.get_event_source_mapping(UUID=queue)["LastProcessingResult"]
    assert said.startswith("PROBLEM")
    assert "kms:Decrypt" in said
    assert "Messages" not in sqs.receive_message(QueueUrl=dead)
    # Events of both have no member "service": the function was given them if it says so.
    given = lambda: aws.client("logs").filter_log_events(  # noqa: E731
        logGroupName=f"/aws/lambda/{name}", filterPattern="KeyError"
    )["events"]
    assert not given()
    use = allow(["kms:Decrypt", "kms:GenerateDataKey"], [source_key, dead_key, table_key])
    document = json.dumps({"Version": "2012-10-17", "Statement": [use]})
    iam.put_role_policy(RoleName=f"role-{name}", PolicyName="keys", PolicyDocument=document)
    client.invoke(FunctionName=name, InvocationType="Event", Payload="null")
    received = _until(lambda: sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=1).get("Messages"))
    assert json.loads(received[0]["Body"])["requestPayload"] is None
    assert _until(lambda: len(given()) > 1)
    assert sqs.get_queue_attributes(QueueUrl=source, AttributeNames=counted)["Attributes"][counted[0]] == "0"
    for mapping in (queue, table):
        client.delete_event_source_mapping(UUID=mapping)


@pytest.mark.parametrize("kind", ["key", "queue", "function"])
def test_bucket_notifies_what_s3_may_reach_only(
    aws: LocalAws, make_key: Any, root_statement: Any, make_function: Any, make_bucket: Any, code_of: Any, kind: str
) -> None:
    bucket, s3, name = make_bucket(), aws.client("s3"), f"queue-{uuid.uuid4().hex[:8]}"
    arn = f"arn:aws:sqs:{aws.region}:{aws.account}:{name}"
    by_s3 = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Condition": {
        "ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"},
    }}  # fmt: skip
    send = by_s3 | {"Action": "sqs:SendMessage", "Resource": arn}
    use = by_s3 | {"Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": "*"}
    key = make_key(root_statement, *([] if kind == "key" else [use]))
    policy = json.dumps({"Version": "2012-10-17", "Statement": [send]})
    attributes = {"KmsMasterKeyId": key} | ({} if kind == "queue" else {"Policy": policy})
    url = aws.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    created = {"Events": ["s3:ObjectCreated:*"]}
    wanted = {"QueueConfigurations": [{"QueueArn": arn, **created}]}
    if kind == "function":
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=wanted)
        assert _until(lambda: aws.client("sqs").receive_message(QueueUrl=url).get("Messages"))
        make_function(name=name)
        function = aws.client("lambda").get_function(FunctionName=name)["Configuration"]
        wanted = {"LambdaFunctionConfigurations": [{"LambdaFunctionArn": function["FunctionArn"], **created}]}
    put = s3.put_bucket_notification_configuration
    assert code_of(put, Bucket=bucket, NotificationConfiguration=wanted) == "InvalidArgument"


@pytest.mark.parametrize("arn", ["arn:aws:sqs:x", "arn:aws:sns:us-east-1:", "arn:aws:lambda:us-east-1:000000000000"])
def test_destination_that_is_not_an_arn_is_left_to_the_emulator_to_refuse(tmp_path: Path, arn: str) -> None:
    put = validating(KmsService(CallLog(tmp_path / "calls")), lambda *_: (400, {}, b"malformed"))
    assert put("bucket", f"<Queue>{arn}</Queue>".encode())[2] == b"malformed"


def test_kept_state_that_cannot_be_read_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "kms.json").write_text("{broken")
    with pytest.raises(StartFailed, match=r"kms\.json cannot be read"):
        daemon.start("damaged", persist=tmp_path)
