"""Other ways to what a service holds under a key: each asks KMS, too, or leads nowhere."""

import ssl
import urllib.error
import urllib.request
import uuid
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from kms_patterns.local import AwsSession

FORM = {"content-type": "application/x-www-form-urlencoded"}
ITEM = {"id": {"S": "1"}}


def unique() -> str:
    return f"thing-{uuid.uuid4().hex[:8]}"


def raw(session: AwsSession, service: str, path: str, form: dict[str, str], **options: Any) -> tuple[int, str]:
    """Send a request that no SDK would send, signed; return status and body."""
    method, headers = options.get("method", "POST"), FORM | options.get("headers", {})
    body = urlencode(form).encode()
    request = AWSRequest(method=method, url=session.endpoint_url + path, data=body, headers=headers)
    credentials = Credentials(session.access_key_id, session.secret_access_key, session.session_token)
    SigV4Auth(credentials, service, session.region).add_auth(request)
    trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(session.ca_bundle)))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted)
    sent = urllib.request.Request(str(request.url), data=body, headers=dict(request.headers), method=method)
    try:
        with opener.open(sent, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


@pytest.fixture
def queue(aws: Any, key: str) -> str:
    """A queue under a key, with a message; the path of its URL."""
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName=unique(), Attributes={"KmsMasterKeyId": key})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="secret")
    return "/" + "/".join(url.split("/")[-2:])


@pytest.mark.parametrize("options", [
    {},
    {"headers": {"x-amz-target": "Other.ListQueues"}},
    {"headers": {"x-amz-target": "AmazonSQS.ReceiveMessage"}},
], ids=["query", "query with a target", "JSON"])  # fmt: skip
def test_queue_named_by_the_path_only(session_of: Any, allow: Any, queue: str, options: dict[str, Any]) -> None:
    session = session_of(allow("sqs:*", "*"))
    form = {} if "AmazonSQS" in str(options) else {"Action": "ReceiveMessage", "Version": "2012-11-05"}
    status, body = raw(session, "sqs", queue, form, **options)
    # The JSON protocol takes no queue from the path at all.
    refusal = "missing required field: QueueUrl" if "AmazonSQS" in str(options) else "KmsAccessDenied"
    assert (status, refusal in body, "secret" in body) == (400, True, False), body


def test_body_of_a_get_is_none(session_of: Any, allow: Any, queue: str) -> None:
    session = session_of(allow("sqs:*", "*"))
    path = f"{queue}?{urlencode({'Action': 'ReceiveMessage', 'Version': '2012-11-05'})}"
    status, body = raw(session, "sqs", path, {"Action": "ListQueues"}, method="GET")
    assert (status, "KmsAccessDenied" in body, "secret" in body) == (400, True, False), body


@pytest.mark.parametrize("without_account", [True, False])
@pytest.mark.parametrize("headers", [{}, {"x-amz-target": "Other.ListTopics"}], ids=["", "target"])
def test_topic_named_otherwise(
    aws: Any, session_of: Any, allow: Any, key: str, headers: dict[str, str], without_account: bool
) -> None:
    topic = aws.client("sns").create_topic(Name=unique(), Attributes={"KmsMasterKeyId": key})["TopicArn"]
    named = topic.replace(f":{aws.account}:", "::") if without_account else topic
    form = {"Action": "Publish", "TopicArn": named, "Message": "m", "Version": "2010-03-31"}
    status, body = raw(session_of(allow("sns:*", "*")), "sns", "/", form, headers=headers)
    assert (status, "KMSAccessDenied" in body) == (400, True), body


def test_each_version_of_a_parameter_has_its_own_key(
    aws: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    ssm, name, first, second = aws.client("ssm"), unique(), make_key(), make_key()
    ssm.put_parameter(Name=name, Type="SecureString", Value="first", KeyId=first)
    ssm.put_parameter(Name=name, Type="SecureString", Value="second", KeyId=second, Overwrite=True)
    reader = session_of(allow("ssm:*", "*"), allow("kms:Decrypt", second)).client("ssm")
    assert reader.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"] == "second"
    for call, request in (
        (reader.get_parameter, {"Name": f"{name}:1"}),
        (reader.get_parameters, {"Names": [f"{name}:1"]}),
    ):
        assert code_of(call, WithDecryption=True, **request) == "AccessDeniedException"
    older = session_of(allow("ssm:*", "*"), allow("kms:Decrypt", first)).client("ssm")
    assert older.get_parameter(Name=f"{name}:1", WithDecryption=True)["Parameter"]["Value"] == "first"


def test_another_key_for_a_secret_takes_decrypt_with_the_one_before(
    aws: Any, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    theirs, own = make_key(), make_key()
    secret = aws.client("secretsmanager").create_secret(Name=unique(), SecretString="v", KmsKeyId=theirs)["ARN"]
    every = allow("secretsmanager:*", "*")
    thief = session_of(every, allow("kms:*", own)).client("secretsmanager")
    assert code_of(thief.update_secret, SecretId=secret, KmsKeyId=own) == "AccessDeniedException"
    assert code_of(thief.get_secret_value, SecretId=secret) == "AccessDeniedException"
    owner = session_of(every, allow("kms:*", own), allow("kms:Decrypt", theirs)).client("secretsmanager")
    owner.update_secret(SecretId=secret, KmsKeyId=own)
    assert thief.get_secret_value(SecretId=secret)["SecretString"] == "v"


@pytest.fixture
def table(aws: Any, key: str) -> dict[str, str]:
    """A table under a key, with an item, its stream and a backup."""
    dynamodb, name = aws.client("dynamodb"), unique()
    made = dynamodb.create_table(
        TableName=name, AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key},
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )["TableDescription"]  # fmt: skip
    dynamodb.put_item(TableName=name, Item=ITEM)
    backup = dynamodb.create_backup(TableName=name, BackupName="backup")["BackupDetails"]["BackupArn"]
    return {"name": name, "arn": made["TableArn"], "stream": made["LatestStreamArn"], "backup": backup}


def test_copies_of_a_table_take_decrypt(session_of: Any, allow: Any, code_of: Any, table: dict[str, str]) -> None:
    dynamodb = session_of(allow(["dynamodb:*", "s3:*"], "*")).client("dynamodb")
    for call, request in (
        (dynamodb.create_backup, {"TableName": table["name"], "BackupName": "mine"}),
        (dynamodb.export_table_to_point_in_time, {"TableArn": table["arn"], "S3Bucket": "bucket"}),
    ):
        assert code_of(call, **request) == "AccessDeniedException", request


def test_table_under_a_key_is_not_restored_without_one(aws: Any, code_of: Any, table: dict[str, str]) -> None:
    dynamodb, target = aws.client("dynamodb"), {"TargetTableName": unique()}
    for call, request in (
        (dynamodb.restore_table_from_backup, {"BackupArn": table["backup"], **target}),
        (dynamodb.restore_table_to_point_in_time, {"SourceTableName": table["name"], **target}),
        (dynamodb.restore_table_to_point_in_time, {"SourceTableArn": table["arn"], **target}),
    ):
        assert code_of(call, **request) == "ValidationException", request


def test_stream_of_a_table_takes_decrypt(
    aws: Any, session_of: Any, allow: Any, code_of: Any, table: dict[str, str], key: str
) -> None:
    every = allow("dynamodb:*", "*")
    streams = session_of(every).client("dynamodbstreams")
    shards = streams.describe_stream(StreamArn=table["stream"])["StreamDescription"]["Shards"]
    start = {"StreamArn": table["stream"], "ShardId": shards[0]["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    iterator = streams.get_shard_iterator(**start)["ShardIterator"]
    assert code_of(streams.get_records, ShardIterator=iterator) == "AccessDeniedException"
    reader = session_of(every, allow("kms:Decrypt", key)).client("dynamodbstreams")
    assert reader.get_records(ShardIterator=iterator)["Records"][0]["dynamodb"]["NewImage"] == ITEM


@pytest.mark.parametrize("service", ["dynamodb", "logs", "lambda", "sqs", "ssm", "secretsmanager"])
def test_services_at_rest_take_symmetric_keys_only(
    aws: Any, make_key: Any, make_role: Any, refusal: Any, service: str
) -> None:
    key = make_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
    attribute = {"AttributeName": "id", "AttributeType": "S"}
    calls: dict[str, Any] = {
        "dynamodb": lambda: aws.client("dynamodb").create_table(
            TableName=unique(), AttributeDefinitions=[attribute], BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key},
        ),
        "logs": lambda: aws.client("logs").create_log_group(logGroupName=unique(), kmsKeyId=key),
        "lambda": lambda: aws.client("lambda").create_function(
            FunctionName=unique(), Role=make_role(), Runtime="python3.12", Handler="i.h", Code={"ZipFile": b"PK"},
            KMSKeyArn=key,
        ),
        "sqs": lambda: aws.client("sqs").send_message(
            QueueUrl=aws.client("sqs").create_queue(QueueName=unique(), Attributes={"KmsMasterKeyId": key})["QueueUrl"],
            MessageBody="x",
        ),
        "ssm": lambda: aws.client("ssm").put_parameter(Name=unique(), Value="x", Type="SecureString", KeyId=key),
        "secretsmanager": lambda: aws.client("secretsmanager").create_secret(
            Name=unique(), SecretString="x", KmsKeyId=key
        ),
    }  # fmt: skip
    refusal(calls[service])


@pytest.mark.parametrize("allowed", [False, True])
def test_log_group_takes_a_key_whose_policy_names_logs(
    aws: Any, make_key: Any, root_statement: Any, allowed: bool
) -> None:
    logs = {
        "Effect": "Allow", "Principal": {"Service": f"logs.{aws.region}.amazonaws.com"}, "Resource": "*",
        "Action": ["kms:Encrypt*", "kms:Decrypt*", "kms:GenerateDataKey*"],
        "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:{aws.region}:{aws.account}:*"}},
    }  # fmt: skip
    key = make_key(root_statement, *([logs] if allowed else []))
    client = aws.client("logs")
    if allowed:
        client.create_log_group(logGroupName=unique(), kmsKeyId=key)
        return
    with pytest.raises(client.exceptions.InvalidParameterException, match="is not allowed to be used with LogGroup"):
        client.create_log_group(logGroupName=unique(), kmsKeyId=key)


def test_key_that_a_service_makes_is_managed_by_aws(aws: Any) -> None:
    aws.client("ssm").put_parameter(Name=unique(), Value="x", Type="SecureString")
    assert aws.client("kms").describe_key(KeyId="alias/aws/ssm")["KeyMetadata"]["KeyManager"] == "AWS"


@pytest.mark.parametrize("attributes", [{"KmsMasterKeyId": ""}, {"SqsManagedSseEnabled": "true"}])
@pytest.mark.parametrize("query_protocol", [False, True])
def test_messages_stay_under_the_key_of_their_queue(
    aws: Any, queue: str, attributes: dict[str, str], query_protocol: bool
) -> None:
    url = f"{aws.endpoint_url}{queue}"
    if query_protocol:
        (name, value) = next(iter(attributes.items()))
        form = {"Action": "SetQueueAttributes", "Version": "2012-11-05", "QueueUrl": url}
        status, body = raw(aws.session(), "sqs", queue, form | {"Attribute.1.Name": name, "Attribute.1.Value": value})
        assert (status, "holds messages" in body) == (400, True), body
        return
    with pytest.raises(Exception, match="holds messages"):
        aws.client("sqs").set_queue_attributes(QueueUrl=url, Attributes=attributes)
