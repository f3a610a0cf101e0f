"""Every service that takes a key asks KMS for it, also by detours."""

import json
import ssl
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from kms_patterns.local import AwsSession, LocalAws
from kms_patterns.local.server.stacks.stack_refusals import creation

Call = Callable[[Any, str], Any]


@dataclass(frozen=True)
class Row:
    """A service's ``call`` on a resource that ``make`` made under a key, and the KMS actions that it takes."""

    host: str
    name: str
    make: Callable[[LocalAws, str], str]
    call: Call
    uses: tuple[str, ...] = ("Decrypt",)

    @property
    def code(self) -> str:
        """The service's error code where KMS denies access."""
        return {"sqs": "KmsAccessDenied", "sns": "KMSAccessDenied"}.get(self.host, "AccessDeniedException")

    def context(self, resource: str) -> dict[str, str]:
        """Return pairs of the encryption context in which the service uses the key for ``resource``."""
        if self.host == "dynamodb":
            return _of_table(resource)
        names = {"ssm": "PARAMETER_ARN", "secretsmanager": "SecretARN", "sqs": "aws:sqs:arn", "sns": "aws:sns:topicArn"}
        return {names[self.host]: resource}


def _unique() -> str:
    return f"thing-{uuid.uuid4().hex[:8]}"


def _parameter(aws: LocalAws, key: str) -> str:
    name = _unique()
    aws.client("ssm").put_parameter(Name=name, Type="SecureString", Value="v", KeyId=key)
    return f"arn:aws:ssm:{aws.region}:{aws.account}:parameter/{name}"


def _secret(aws: LocalAws, key: str) -> str:
    return str(aws.client("secretsmanager").create_secret(Name=_unique(), SecretString="v", KmsKeyId=key)["ARN"])


def _queue(aws: LocalAws, key: str) -> str:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName=_unique(), Attributes={"KmsMasterKeyId": key})["QueueUrl"]
    return str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])


def _topic(aws: LocalAws, key: str) -> str:
    return str(aws.client("sns").create_topic(Name=_unique(), Attributes={"KmsMasterKeyId": key})["TopicArn"])


def _table(aws: LocalAws, key: str) -> str:
    keys = [{"AttributeName": "id", "AttributeType": "S"}]
    aws.client("dynamodb").create_table(
        TableName=(name := _unique()), AttributeDefinitions=keys, BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key},
    )  # fmt: skip
    return name


def _of_table(name: str) -> dict[str, str]:
    return {"aws:dynamodb:tableName": name, "aws:dynamodb:subscriberId": "000000000000"}


def _url(client: Any, arn: str) -> str:
    return str(client.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"])


def _last(arn: str) -> str:
    return arn.rpartition("/")[2]


ITEM = {"id": {"S": "1"}}
BOTH = ("GenerateDataKey", "Decrypt")
ROWS = [
    Row("ssm", "read", _parameter, lambda c, r: c.get_parameter(Name=_last(r), WithDecryption=True)),
    Row("ssm", "read several", _parameter, lambda c, r: c.get_parameters(Names=[_last(r)], WithDecryption=True)),
    Row("secretsmanager", "read", _secret, lambda c, r: c.get_secret_value(SecretId=r)),
    Row(
        "secretsmanager",
        "write",
        _secret,
        lambda c, r: c.put_secret_value(SecretId=r, SecretString="w"),
        ("GenerateDataKey",),
    ),
    Row("sqs", "send", _queue, lambda c, r: c.send_message(QueueUrl=_url(c, r), MessageBody="m"), BOTH),
    Row("sqs", "receive", _queue, lambda c, r: c.receive_message(QueueUrl=_url(c, r))),
    Row("sns", "publish", _topic, lambda c, r: c.publish(TopicArn=r, Message="m"), BOTH),
    Row("dynamodb", "put", _table, lambda c, r: c.put_item(TableName=r, Item=ITEM)),
    Row("dynamodb", "get", _table, lambda c, r: c.get_item(TableName=r, Key=ITEM)),
    Row("dynamodb", "batch", _table, lambda c, r: c.batch_get_item(RequestItems={r: {"Keys": [ITEM]}})),
    Row("dynamodb", "PartiQL", _table, lambda c, r: c.execute_statement(Statement=f'SELECT * FROM "{r}"')),
]


@pytest.fixture
def user(session_of: Any, allow: Any) -> Callable[..., AwsSession]:
    """Return a function that makes a session with all actions of a service and some of a key's, under a condition."""

    def make(row: Row, key: str, via: str, actions: tuple[str, ...], **context: str) -> AwsSession:
        equals = {"kms:ViaService": via} | {f"kms:EncryptionContext:{name}": value for name, value in context.items()}
        use = [allow([f"kms:{action}" for action in actions], key, StringEquals=equals)] if actions else []
        statement: AwsSession = session_of(allow(f"{row.host}:*", "*"), *use)
        return statement

    return make


def _id(row: Row) -> str:
    return f"{row.host} {row.name}"


@pytest.mark.parametrize("row", ROWS, ids=_id)
def test_permission_through_the_service_in_its_context_suffices(
    row: Row, aws: LocalAws, make_key: Any, user: Any
) -> None:
    key = make_key()
    resource = row.make(aws, key)
    context = row.context(resource)
    session = user(row, key, f"{row.host}.us-east-1.amazonaws.com", row.uses, **context)
    before = len(aws.kms_calls())
    row.call(session.client(row.host), resource)
    calls = [call for call in aws.kms_calls()[before:] if call["keyArn"] == key]
    assert [call["action"] for call in calls] == [f"kms:{use}" for use in row.uses]
    for call in calls:
        assert (call["decision"], call["viaService"]) == ("allow", f"{row.host}.us-east-1.amazonaws.com")
        assert ":assumed-role/" in call["principal"]
        assert context.items() <= call["encryptionContext"].items()


@pytest.mark.parametrize("row", ROWS, ids=_id)
def test_without_a_permission_the_service_refuses(
    row: Row, aws: LocalAws, make_key: Any, user: Any, code_of: Any
) -> None:
    key = make_key()
    resource = row.make(aws, key)
    nobody = user(row, key, f"{row.host}.us-east-1.amazonaws.com", ())
    assert code_of(lambda: row.call(nobody.client(row.host), resource)) == row.code
    elsewhere = user(row, key, "s3.us-east-1.amazonaws.com", row.uses)
    assert code_of(lambda: row.call(elsewhere.client(row.host), resource)) == row.code
    calls = [call for call in aws.kms_calls() if call["keyArn"] == key and call["decision"] == "deny"]
    assert len(calls) == 2


@pytest.mark.parametrize("row", ROWS, ids=_id)
def test_a_disabled_key_stops_everyone(row: Row, aws: LocalAws, root_kms: Any, make_key: Any, code_of: Any) -> None:
    key = make_key()
    resource = row.make(aws, key)
    root_kms.disable_key(KeyId=key)
    codes = {"ssm": "InvalidKeyId", "secretsmanager": "EncryptionFailure", "sqs": "KmsDisabled", "sns": "KMSDisabled"}
    expected = codes.get(row.host, "DisabledException")
    assert code_of(lambda: row.call(aws.client(row.host), resource)) == expected


def test_parameter_is_written_with_encrypt_and_an_advanced_one_with_a_data_key(
    aws: LocalAws, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    key = make_key()
    writer = session_of(allow("ssm:*", "*"), allow("kms:Encrypt", key)).client("ssm")
    secure = {"Type": "SecureString", "Value": "v", "KeyId": key}
    writer.put_parameter(Name=(name := _unique()), **secure)
    assert code_of(writer.put_parameter, Name=_unique(), Tier="Advanced", **secure) == "AccessDeniedException"
    assert code_of(writer.get_parameter, Name=name, WithDecryption=True) == "AccessDeniedException"
    assert writer.get_parameter(Name=name)["Parameter"]["Value"] != "v"


def test_secret_whose_key_is_refused_is_not_created(
    aws: LocalAws, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    key, name = make_key(), _unique()
    session = session_of(allow("secretsmanager:*", "*"), allow("kms:GenerateDataKey", key))
    request = {"Name": name, "SecretString": "v", "KmsKeyId": key}
    assert code_of(session.client("secretsmanager").create_secret, **request) == "AccessDeniedException"
    assert code_of(aws.client("secretsmanager").describe_secret, SecretId=name) == "ResourceNotFoundException"


def test_table_is_made_with_a_grant_for_the_service_only(
    aws: LocalAws, make_key: Any, session_of: Any, allow: Any, code_of: Any
) -> None:
    key = make_key()
    for_services = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    maker = session_of(
        allow("dynamodb:*", "*"), allow("kms:DescribeKey", key), allow("kms:CreateGrant", key, **for_services)
    )
    direct = {"KeyId": key, "GranteePrincipal": f"arn:aws:iam::{aws.account}:root", "Operations": ["Decrypt"]}
    assert code_of(maker.client("kms").create_grant, **direct) == "AccessDeniedException"
    keys = {"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}], "BillingMode": "PAY_PER_REQUEST"}
    keys |= {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}
    sse = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}
    before = len(aws.kms_calls())
    maker.client("dynamodb").create_table(TableName=(name := _unique()), SSESpecification=sse, **keys)
    grant = next(call for call in aws.kms_calls()[before:] if call["action"] == "kms:CreateGrant")
    assert grant["encryptionContext"] == _of_table(name)
    nobody = session_of(allow("dynamodb:*", "*")).client("dynamodb")
    assert code_of(nobody.create_table, TableName=_unique(), SSESpecification=sse, **keys) == "AccessDeniedException"


def test_default_key_of_a_service_serves_everyone_through_it(
    aws: LocalAws, session_of: Any, allow: Any, code_of: Any
) -> None:
    session = session_of(allow(["ssm:*", "secretsmanager:*", "kms:*"], "*"))
    session.client("ssm").put_parameter(Name=(name := _unique()), Type="SecureString", Value="v")
    assert session.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"] == "v"
    secret = session.client("secretsmanager").create_secret(Name=_unique(), SecretString="v")["ARN"]
    assert session.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"] == "v"
    direct = {"KeyId": "alias/aws/ssm", "Plaintext": b"x"}
    assert code_of(session.client("kms").encrypt, **direct) == "AccessDeniedException"


def test_resources_without_a_key_are_none_of_kms_business(aws: LocalAws, session_of: Any, allow: Any) -> None:
    session = session_of(allow(["ssm:*", "sqs:*", "sns:*"], "*"))
    before = len(aws.kms_calls())
    session.client("ssm").put_parameter(Name=(name := _unique()), Type="String", Value=json.dumps({}))
    session.client("ssm").get_parameter(Name=name, WithDecryption=True)
    queue = session.client("sqs").create_queue(QueueName=_unique())["QueueUrl"]
    session.client("sqs").send_message(QueueUrl=queue, MessageBody="m")
    session.client("sns").publish(TopicArn=session.client("sns").create_topic(Name=_unique())["TopicArn"], Message="m")
    assert aws.kms_calls()[before:] == []


FORM = {"content-type": "application/x-www-form-urlencoded"}


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
    request = {"TableName": table["name"], "BackupName": "mine"}
    assert code_of(dynamodb.create_backup, **request) == "AccessDeniedException"


def test_tables_are_neither_restored_nor_exported(aws: Any, code_of: Any, table: dict[str, str]) -> None:
    dynamodb, target = aws.client("dynamodb"), {"TargetTableName": unique()}
    for call, request in (
        (dynamodb.restore_table_from_backup, {"BackupArn": table["backup"], **target}),
        (dynamodb.restore_table_to_point_in_time, {"SourceTableName": table["name"], **target}),
        (dynamodb.restore_table_to_point_in_time, {"SourceTableArn": table["arn"], **target}),
        (dynamodb.export_table_to_point_in_time, {"TableArn": table["arn"], "S3Bucket": "bucket"}),
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
    kms = aws.client("kms")
    assert kms.describe_key(KeyId="alias/aws/ssm")["KeyMetadata"]["KeyManager"] == "AWS"
    # DescribeKey of a predefined alias makes the key, if no service has.
    found = [kms.describe_key(KeyId="alias/aws/sns")["KeyMetadata"]["Arn"] for _ in range(2)]
    assert found[0] == found[1]
    with pytest.raises(kms.exceptions.NotFoundException):
        kms.describe_key(KeyId="alias/aws/own")


def test_managed_key_is_made_for_who_may_describe_it_and_its_alias_is_there_before(
    aws: LocalAws, session_of: Any, code_of: Any
) -> None:
    where = {"region_name": "sa-east-1"}
    abroad, named = aws.client("kms", **where), {"KeyId": "alias/aws/dynamodb"}
    assert code_of(session_of().client("kms", **where).describe_key, **named) == "AccessDeniedException"
    assert abroad.list_keys()["Keys"] == []
    assert {it["AliasName"] for it in abroad.list_aliases()["Aliases"] if "TargetKeyId" not in it} > {named["KeyId"]}
    key = abroad.describe_key(**named)["KeyMetadata"]["KeyId"]
    of_key = [it["AliasName"] for it in abroad.list_aliases()["Aliases"] if it.get("TargetKeyId") == key]
    assert of_key == [named["KeyId"]]


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


NEVER_MADE = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:user/never-made"}, "Action": "*"}


@pytest.mark.parametrize("document", ["{", json.dumps({"Statement": [{**NEVER_MADE, "Resource": "*"}]})])
@pytest.mark.parametrize(("service", "code"), [
    ("secretsmanager", "MalformedPolicyDocumentException"), ("sns", "InvalidParameter"),
    ("sqs", "InvalidAttributeValue"),
])  # fmt: skip
def test_resource_policy_that_its_service_does_not_store_is_refused(
    aws: LocalAws, code_of: Any, service: str, code: str, document: str
) -> None:
    client, name = aws.client(service), unique()
    if service == "secretsmanager":
        secret = client.create_secret(Name=name, SecretString="x")["ARN"]
        found = code_of(client.put_resource_policy, SecretId=secret, ResourcePolicy=document)
    elif service == "sns":
        topic = {"TopicArn": client.create_topic(Name=name)["TopicArn"], "AttributeName": "Policy"}
        found = code_of(client.set_topic_attributes, **topic, AttributeValue=document)
    else:
        url = client.create_queue(QueueName=name)["QueueUrl"]
        found = code_of(client.set_queue_attributes, QueueUrl=url, Attributes={"Policy": document})
    assert found == code


@pytest.mark.parametrize("condition", [
    {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["1"]}},
    {"StringEqualsIfExists": {"dynamodb:Select": "COUNT"}},
    {"StringNotEquals": {"dynamodb:ReturnValues": "ALL_OLD"}},
])  # fmt: skip
def test_condition_key_that_the_emulator_does_not_fill_allows_nothing(
    session_of: Any, allow: Any, code_of: Any, table: dict[str, str], condition: dict[str, Any]
) -> None:
    session = session_of(allow("dynamodb:GetItem", "*") | {"Condition": condition})
    get = session.client("dynamodb").get_item
    assert code_of(get, TableName=table["name"], Key=ITEM) == "AccessDeniedException"


@pytest.mark.parametrize(("changed", "refused"), [
    ({}, False), ({"EnableKeyRotation": True}, False), ({"PendingWindowInDays": 3}, True),
    ({"EnableKeyRotation": True, "KeySpec": "RSA_2048"}, True),
    ({"EnableKeyRotation": "true", "Origin": "EXTERNAL"}, True),
])  # fmt: skip
def test_key_of_a_stack_that_kms_would_refuse(changed: dict[str, Any], refused: bool) -> None:
    assert (creation("AWS::KMS::Key", changed) is not None) is refused


@pytest.mark.parametrize(("source", "reached"), [(None, False), ("another topic", False), ("the topic", True)])
def test_topic_reaches_a_queue_whose_key_allows_it_only(
    aws: LocalAws, make_key: Any, root_statement: Any, source: str | None, reached: bool
) -> None:
    sqs, sns, name = aws.client("sqs"), aws.client("sns"), unique()
    topic = sns.create_topic(Name=name)["TopicArn"]
    arn = f"arn:aws:sqs:{aws.region}:{aws.account}:{name}"
    by_sns = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Condition": {
        "ArnEquals": {"aws:SourceArn": topic if source == "the topic" else f"{topic}2"},
    }}  # fmt: skip
    use = by_sns | {"Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": "*"}
    send = {
        **by_sns,
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [send]})
    key = make_key(root_statement, *([use] if source else []))
    url = sqs.create_queue(QueueName=name, Attributes={"KmsMasterKeyId": key, "Policy": policy})["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    sns.publish(TopicArn=topic, Message="hello")
    received = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2 if reached else 0).get("Messages", [])
    assert len(received) == int(reached)


def test_version_of_a_secret_is_written_once_and_says_its_key(aws: LocalAws, key: str, code_of: Any) -> None:
    manager, token = aws.client("secretsmanager"), str(uuid.uuid4())
    named = {"SecretId": manager.create_secret(Name=f"s-{token}", KmsKeyId=key)["ARN"]}
    assert "VersionIdsToStages" not in manager.describe_secret(**named)
    first = {**named, "ClientRequestToken": token, "SecretString": "a"}
    assert manager.put_secret_value(**first)["VersionId"] == manager.put_secret_value(**first)["VersionId"] == token
    for again in (manager.put_secret_value, manager.update_secret):
        assert code_of(again, **first | {"SecretString": "b"}) == "ResourceExistsException"
    assert manager.get_secret_value(**named)["SecretString"] == "a"
    asked = {**named, "VersionId": token, "VersionStage": "AWSPREVIOUS"}
    assert code_of(manager.get_secret_value, **asked) == "InvalidRequestException"
    assert code_of(manager.rotate_secret, **named) == code_of(manager.put_secret_value, **named)
    current = {"VersionStage": "AWSCURRENT", "RemoveFromVersionId": token}
    assert code_of(manager.update_secret_version_stage, **named, **current) == "InvalidParameterException"
    manager.put_secret_value(**named, SecretString="c", VersionStages=["blue"])
    manager.put_secret_value(**named, SecretString="d", VersionStages=["blue"])
    listed = manager.list_secret_version_ids(**named)["Versions"]
    assert [(it["VersionStages"], it["KmsKeyIds"]) for it in listed] == [(["AWSCURRENT"], [key]), (["blue"], [key])]


def test_dead_letter_stays_under_the_key_of_its_queue(
    aws: LocalAws, session_of: Any, allow: Any, key: str, code_of: Any
) -> None:
    sqs, name = aws.client("sqs"), unique()
    dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    policy = {"deadLetterTargetArn": f"arn:aws:sqs:{aws.region}:{aws.account}:{name}-dead", "maxReceiveCount": 1}
    attributes = {"KmsMasterKeyId": key, "VisibilityTimeout": "0", "RedrivePolicy": json.dumps(policy)}
    source = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    sqs.send_message(QueueUrl=source, MessageBody="secret")
    sqs.receive_message(QueueUrl=source)
    assert "Messages" not in sqs.receive_message(QueueUrl=source)
    plain = session_of(allow("sqs:*", "*")).client("sqs")
    assert code_of(plain.receive_message, QueueUrl=dead) == "KmsAccessDenied"
    reader = session_of(allow("sqs:*", "*"), allow("kms:Decrypt", key)).client("sqs")
    assert reader.receive_message(QueueUrl=dead)["Messages"][0]["Body"] == "secret"


def test_key_of_a_replicated_secret_is_asked_in_its_region(
    aws: LocalAws, session_of: Any, allow: Any, key: str, code_of: Any
) -> None:
    abroad = aws.client("kms", region_name="eu-west-1").create_key()["KeyMetadata"]["Arn"]
    secret = aws.client("secretsmanager").create_secret(Name=unique(), KmsKeyId=key, SecretString="x")["ARN"]
    asked = {"SecretId": secret, "AddReplicaRegions": [{"Region": "eu-west-1", "KmsKeyId": abroad}]}
    on_secret, use = allow("secretsmanager:*", "*"), ["kms:Decrypt", "kms:GenerateDataKey"]
    without = session_of(on_secret, allow(use, key)).client("secretsmanager")
    assert code_of(without.replicate_secret_to_regions, **asked) == "AccessDeniedException"
    replicating = session_of(on_secret, allow(use, [key, abroad])).client("secretsmanager")
    assert replicating.replicate_secret_to_regions(**asked)["ReplicationStatus"][0]["KmsKeyId"] == abroad
    new = {"Name": unique(), "SecretString": "x", "KmsKeyId": key, "AddReplicaRegions": asked["AddReplicaRegions"]}
    assert code_of(without.create_secret, **new) == "AccessDeniedException"
    assert replicating.create_secret(**new)["ReplicationStatus"][0]["KmsKeyId"] == abroad
