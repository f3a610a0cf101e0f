"""RsaEnvelopeCipher: one function that opens what outsiders wrote, with one algorithm, from inbox to opened."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam, aws_s3

from kms_patterns import EncryptedBucket, EncryptionKey, RsaEncryptionKey, RsaEnvelopeCipher

Statements = list[dict[str, Any]]
Synth = Callable[[cdk.Stack], dict[str, Any]]
SHA_256 = {"StringEquals": {"kms:EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}}


@pytest.fixture
def storage(stack: cdk.Stack) -> EncryptionKey:
    return EncryptionKey(stack, "Storage")


@pytest.fixture
def buckets(stack: cdk.Stack, storage: EncryptionKey) -> dict[str, aws_s3.IBucket]:
    return {name: EncryptedBucket(stack, name, encryption_key=storage) for name in ("source", "destination")}


@pytest.fixture
def key(stack: cdk.Stack) -> RsaEncryptionKey:
    return RsaEncryptionKey(stack, "Key")


Make = Callable[..., RsaEnvelopeCipher]


@pytest.fixture
def make(stack: cdk.Stack, key: RsaEncryptionKey, buckets: dict[str, aws_s3.IBucket]) -> Make:
    return lambda **options: RsaEnvelopeCipher(stack, "Mail", **({"encryption_key": key, **buckets} | options))


def functions(template: dict[str, Any]) -> list[dict[str, Any]]:
    return [item["Properties"] for item in template["Resources"].values() if item["Type"] == "AWS::Lambda::Function"]


def allow(action: Any, resource: Any, condition: dict[str, Any] | None = None) -> dict[str, Any]:
    statement = {"Action": action, "Effect": "Allow", "Resource": resource}
    return {**statement, "Condition": {"StringEquals": condition}} if condition else statement


def test_role_may_decrypt_with_the_pinned_algorithm_read_the_inbox_and_write_what_it_opened(
    *,
    stack: cdk.Stack,
    synth: Synth,
    key: RsaEncryptionKey,
    storage: EncryptionKey,
    buckets: dict[str, aws_s3.IBucket],
    make: Make,
    role_statements: Callable[..., Statements],
    through_s3: Callable[..., dict[str, Any]],
) -> None:
    cipher = make()
    base: Any = cipher.node.find_child("Decrypt")
    source, destination = (stack.resolve(buckets[name].arn_for_objects("*")) for name in ("source", "destination"))
    expected = [
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], stack.resolve(base.log_group.log_group_arn)),
        allow("sqs:SendMessage", stack.resolve(base.dead_letters.queue_arn)),
        allow("s3:GetObject", source),
        allow(["s3:AbortMultipartUpload", "s3:PutObject"], destination),
        through_s3("kms:Decrypt", storage, buckets["source"]),
        through_s3(["kms:Decrypt", "kms:GenerateDataKey"], storage, buckets["destination"]),
        allow("kms:Decrypt", stack.resolve(key.key_arn), SHA_256["StringEquals"]),
    ]
    assert sorted(role_statements(synth(stack), stack, cipher.decrypt_role), key=str) == sorted(expected, key=str)


def test_key_policy_names_the_role_with_decrypt_and_the_algorithm_alone(
    *,
    stack: cdk.Stack,
    synth: Synth,
    key: RsaEncryptionKey,
    make: Make,
    key_statements: Callable[..., Statements],
    named: Callable[..., dict[str, Any]],
) -> None:
    cipher = make()
    logical_id = stack.resolve(key.key_arn)["Fn::GetAtt"][0]
    assert key_statements(synth(stack), logical_id)[1:] == [named(cipher.decrypt_role, ["kms:Decrypt"], SHA_256)]


def test_function_knows_key_algorithm_buckets_and_context(
    *, stack: cdk.Stack, synth: Synth, key: RsaEncryptionKey, buckets: dict[str, aws_s3.IBucket], make: Make
) -> None:
    make(required_context=["sender"], encryption_context={"app": "mail"}, encryption_algorithm="RSAES_OAEP_SHA_1")
    (function,) = functions(synth(stack))
    assert function["Handler"] == "kms_runtime.handlers.rsa_envelope_cipher.decrypt"
    assert function["Environment"]["Variables"] == {
        "KEY_ARN": stack.resolve(key.key_arn),
        "ENCRYPTION_ALGORITHM": "RSAES_OAEP_SHA_1",
        "SOURCE_BUCKET": stack.resolve(buckets["source"].bucket_name),
        "DESTINATION_BUCKET": stack.resolve(buckets["destination"].bucket_name),
        "ENCRYPTION_CONTEXT": '{"app": "mail"}',
        "REQUIRED_CONTEXT_KEYS": '["sender"]',
    }


def test_caller_is_granted_the_function_and_nothing_on_the_key(
    stack: cdk.Stack, synth: Synth, make: Make, role_statements: Callable[..., Statements]
) -> None:
    operator = aws_iam.Role(stack, "Operator", assumed_by=aws_iam.ServicePrincipal("ec2.amazonaws.com"))
    cipher = make()
    cipher.grant_decrypt(operator)
    assert role_statements(synth(stack), stack, operator) == [
        {
            "Action": "lambda:InvokeFunction",
            "Effect": "Allow",
            "Resource": stack.resolve(cipher.decrypt_function.function_arn),
        }
    ]


def test_arriving_object_starts_the_function(
    stack: cdk.Stack, synth: Synth, buckets: dict[str, aws_s3.IBucket], make: Make
) -> None:
    cipher = make(decrypt_on_create=True)
    rules = [item["Properties"] for item in synth(stack)["Resources"].values() if item["Type"] == "AWS::Events::Rule"]
    assert [rule["EventPattern"]["detail"] for rule in rules] == [
        {"bucket": {"name": [stack.resolve(buckets["source"].bucket_name)]}}
    ]
    assert [rule["Targets"][0]["Arn"] for rule in rules] == [stack.resolve(cipher.decrypt_function.function_arn)]


def test_one_bucket_for_both_is_refused(make: Make, buckets: dict[str, aws_s3.IBucket]) -> None:
    with pytest.raises(ValueError, match="outsiders could replace decrypted objects"):
        make(destination=buckets["source"])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"decrypt_on_create": True, "required_context": ["sender"]}, r"cannot give a value for \['sender'\]"),
        ({"encryption_algorithm": "RSASSA_PSS_SHA_256"}, "give one of RSAES_OAEP_SHA_256, RSAES_OAEP_SHA_1"),
        ({"required_context": ["aws-crypto-public-key"]}, "is reserved"),
    ],
)
def test_what_cannot_be_is_refused(make: Make, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make(**options)


def test_rsa_envelope_cipher_matches_its_snapshot(
    stack: cdk.Stack, synth: Synth, make: Make, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    make(required_context=["sender"])
    snapshot_of(synth(stack))
