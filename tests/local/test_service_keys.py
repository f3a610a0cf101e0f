"""SSM, Secrets Manager, SQS, SNS and DynamoDB use a key as their caller: with the permission through the service only.

https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from kms_patterns.local import AwsSession, LocalAws

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
