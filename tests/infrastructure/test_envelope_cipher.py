"""EnvelopeCipher and RsaEnvelopeCipher: each role reads one bucket, writes another, uses the key for one thing."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam, aws_s3

from kms_patterns import EncryptedBucket, EncryptionKey, EnvelopeCipher, RsaEncryptionKey, RsaEnvelopeCipher

Statements = list[dict[str, Any]]
Synth = Callable[[cdk.Stack], dict[str, Any]]
TENANT = {"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "tenant"}}
VIA_S3 = {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}


@pytest.fixture
def key(stack: cdk.Stack) -> EncryptionKey:
    return EncryptionKey(stack, "Key")


@pytest.fixture
def storage(stack: cdk.Stack) -> EncryptionKey:
    return EncryptionKey(stack, "StorageKey")


@pytest.fixture
def buckets(stack: cdk.Stack, storage: EncryptionKey) -> list[EncryptedBucket]:
    return [EncryptedBucket(stack, name, encryption_key=storage) for name in ("Inbox", "Vault", "Restored")]


@pytest.fixture
def cipher(stack: cdk.Stack, key: EncryptionKey, buckets: list[EncryptedBucket]) -> EnvelopeCipher:
    inbox, vault, restored = buckets
    return EnvelopeCipher(
        stack,
        "Files",
        encryption_key=key,
        source=inbox,
        destination=vault,
        restored=restored,
        required_context=["tenant"],
    )


def beyond_log_and_dead_letters(statements: Statements) -> Statements:
    """The statements after those two, which every function has and which come first."""
    assert [statement["Action"] for statement in statements[:2]] == [
        ["logs:CreateLogStream", "logs:PutLogEvents"],
        "sqs:SendMessage",
    ]
    return statements[2:]


def objects_of(stack: cdk.Stack, bucket: aws_s3.IBucket) -> dict[str, Any]:
    return dict(stack.resolve(bucket.arn_for_objects("*")))


def allow(action: str | list[str], resource: Any, condition: dict[str, Any] | None = None) -> dict[str, Any]:
    statement = {"Action": action, "Effect": "Allow", "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


@pytest.mark.parametrize("name", ["Encrypt", "Decrypt"])
def test_role_reads_one_bucket_writes_another_and_does_one_thing_with_the_key(
    *,
    stack: cdk.Stack,
    synth: Synth,
    key: EncryptionKey,
    storage: EncryptionKey,
    buckets: list[EncryptedBucket],
    cipher: EnvelopeCipher,
    role_statements: Callable[..., Statements],
    through_s3: Callable[..., dict[str, Any]],
    name: str,
) -> None:
    inbox, vault, restored = buckets
    encrypts = name == "Encrypt"
    role, action = (cipher.encrypt_role, "kms:GenerateDataKey") if encrypts else (cipher.decrypt_role, "kms:Decrypt")
    read, write = (inbox, vault) if encrypts else (vault, restored)
    found = beyond_log_and_dead_letters(role_statements(synth(stack), stack, role))
    expected = [
        allow("s3:GetObject", objects_of(stack, read)),
        through_s3("kms:Decrypt", storage, read),
        allow(["s3:AbortMultipartUpload", "s3:PutObject"], objects_of(stack, write)),
        through_s3(["kms:Decrypt", "kms:GenerateDataKey"], storage, write),
        allow(action, stack.resolve(key.key_arn), TENANT),
    ]
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_key_policy_names_each_role_with_its_action_and_the_required_context(
    stack: cdk.Stack,
    synth: Synth,
    key: EncryptionKey,
    cipher: EnvelopeCipher,
    key_statements: Callable[..., Statements],
) -> None:
    logical_id = stack.resolve(key.key_arn)["Fn::GetAtt"][0]
    uses = key_statements(synth(stack), logical_id)[1:]
    expected = [(cipher.encrypt_role, "kms:GenerateDataKey"), (cipher.decrypt_role, "kms:Decrypt")]
    assert [(use["Action"], use["Condition"]) for use in uses] == [
        (action, {"ArnEquals": {"aws:PrincipalArn": stack.resolve(role.role_arn)}, **TENANT})
        for role, action in expected
    ]


def test_functions_know_their_own_buckets(
    stack: cdk.Stack, synth: Synth, key: EncryptionKey, buckets: list[EncryptedBucket], cipher: EnvelopeCipher
) -> None:
    template = synth(stack)
    inbox, vault, restored = (stack.resolve(bucket.bucket_name) for bucket in buckets)
    for function, verb, source, destination in (
        (cipher.encrypt_function, "encrypt", inbox, vault),
        (cipher.decrypt_function, "decrypt", vault, restored),
    ):
        properties = template["Resources"][stack.resolve(function.function_name)["Ref"]]["Properties"]
        assert properties["Handler"] == f"kms_runtime.handlers.envelope_cipher.{verb}"
        assert properties["Environment"]["Variables"] == {
            "KEY_ARN": stack.resolve(key.key_arn),
            "SOURCE_BUCKET": source,
            "DESTINATION_BUCKET": destination,
            "ENCRYPTION_CONTEXT": "{}",
            "REQUIRED_CONTEXT_KEYS": '["tenant"]',
        }


def test_plain_buckets_without_a_key_get_object_grants_only(
    stack: cdk.Stack, synth: Synth, key: EncryptionKey, role_statements: Callable[..., Statements]
) -> None:
    source, destination = aws_s3.Bucket(stack, "Source"), aws_s3.Bucket(stack, "Destination")
    cipher = EnvelopeCipher(stack, "Files", encryption_key=key, source=source, destination=destination)
    template = synth(stack)
    key_arn = stack.resolve(key.key_arn)
    assert beyond_log_and_dead_letters(role_statements(template, stack, cipher.encrypt_role)) == [
        allow("s3:GetObject", objects_of(stack, source)),
        allow(["s3:AbortMultipartUpload", "s3:PutObject"], objects_of(stack, destination)),
        allow("kms:GenerateDataKey", key_arn),
    ]
    assert beyond_log_and_dead_letters(role_statements(template, stack, cipher.decrypt_role)) == [
        allow("s3:GetObject", objects_of(stack, destination)),
        allow(["s3:AbortMultipartUpload", "s3:PutObject"], objects_of(stack, source)),
        allow("kms:Decrypt", key_arn),
    ]


def test_plain_bucket_under_one_of_our_keys_gets_its_use_through_s3(
    stack: cdk.Stack,
    synth: Synth,
    key: EncryptionKey,
    storage: EncryptionKey,
    role_statements: Callable[..., Statements],
) -> None:
    source = aws_s3.Bucket(stack, "Source", encryption_key=storage)
    destination = aws_s3.Bucket(stack, "Destination", encryption_key=storage)
    cipher = EnvelopeCipher(stack, "Files", encryption_key=key, source=source, destination=destination)
    found = role_statements(synth(stack), stack, cipher.encrypt_role)
    storage_arn = stack.resolve(storage.key_arn)
    assert [statement for statement in found if statement["Resource"] == storage_arn] == [
        allow(["kms:Decrypt", "kms:GenerateDataKey"], storage_arn, {"StringEquals": VIA_S3})
    ]


def test_plain_bucket_under_a_key_of_the_cdk_gets_exact_actions(
    stack: cdk.Stack, synth: Synth, key: EncryptionKey, role_statements: Callable[..., Statements]
) -> None:
    source = aws_s3.Bucket(stack, "Source", encryption=aws_s3.BucketEncryption.KMS)
    destination = aws_s3.Bucket(stack, "Destination")
    assert source.encryption_key is not None
    cipher = EnvelopeCipher(stack, "Files", encryption_key=key, source=source, destination=destination)
    source_key = stack.resolve(source.encryption_key.key_arn)
    template = synth(stack)
    for role, actions in (
        (cipher.encrypt_role, "kms:Decrypt"),
        (cipher.decrypt_role, ["kms:Decrypt", "kms:GenerateDataKey"]),
    ):
        found = role_statements(template, stack, role)
        assert [statement for statement in found if statement["Resource"] == source_key] == [allow(actions, source_key)]


def test_restored_objects_go_to_the_source_if_nothing_else_is_said(
    stack: cdk.Stack, synth: Synth, key: EncryptionKey, buckets: list[EncryptedBucket]
) -> None:
    inbox, vault, _ = buckets
    cipher = EnvelopeCipher(stack, "Files", encryption_key=key, source=inbox, destination=vault)
    logical_id = stack.resolve(cipher.decrypt_function.function_name)["Ref"]
    variables = synth(stack)["Resources"][logical_id]["Properties"]["Environment"]["Variables"]
    assert variables["DESTINATION_BUCKET"] == stack.resolve(inbox.bucket_name)


def test_versions_may_be_read_only_if_asked_for(
    stack: cdk.Stack,
    synth: Synth,
    key: EncryptionKey,
    buckets: list[EncryptedBucket],
    role_statements: Callable[..., Statements],
) -> None:
    inbox, vault, _ = buckets
    cipher = EnvelopeCipher(stack, "Files", encryption_key=key, source=inbox, destination=vault, read_versions=True)
    template = synth(stack)
    for role, bucket in ((cipher.encrypt_role, inbox), (cipher.decrypt_role, vault)):
        found = [s for s in role_statements(template, stack, role) if "s3:GetObjectVersion" in s["Action"]]
        assert found == [allow(["s3:GetObject", "s3:GetObjectVersion"], objects_of(stack, bucket))]


def test_caller_is_granted_one_function_and_nothing_on_key_or_buckets(
    stack: cdk.Stack, synth: Synth, cipher: EnvelopeCipher, role_statements: Callable[..., Statements]
) -> None:
    operator = aws_iam.Role(stack, "Operator", assumed_by=aws_iam.ServicePrincipal("ec2.amazonaws.com"))
    cipher.grant_decrypt(operator)
    assert role_statements(synth(stack), stack, operator) == [
        allow("lambda:InvokeFunction", stack.resolve(cipher.decrypt_function.function_arn))
    ]


def test_envelope_cipher_matches_its_snapshot(
    stack: cdk.Stack, synth: Synth, cipher: EnvelopeCipher, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    snapshot_of(synth(stack))


SHA_256 = {"StringEquals": {"kms:EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}}


@pytest.fixture
def rsa_storage(stack: cdk.Stack) -> EncryptionKey:
    return EncryptionKey(stack, "Storage")


@pytest.fixture
def rsa_buckets(stack: cdk.Stack, rsa_storage: EncryptionKey) -> dict[str, aws_s3.IBucket]:
    return {name: EncryptedBucket(stack, name, encryption_key=rsa_storage) for name in ("source", "destination")}


@pytest.fixture
def rsa_key(stack: cdk.Stack) -> RsaEncryptionKey:
    return RsaEncryptionKey(stack, "Key")


Make = Callable[..., RsaEnvelopeCipher]


@pytest.fixture
def make(stack: cdk.Stack, rsa_key: RsaEncryptionKey, rsa_buckets: dict[str, aws_s3.IBucket]) -> Make:
    return lambda **options: RsaEnvelopeCipher(stack, "Mail", **({"encryption_key": rsa_key, **rsa_buckets} | options))


def functions(template: dict[str, Any]) -> list[dict[str, Any]]:
    return [item["Properties"] for item in template["Resources"].values() if item["Type"] == "AWS::Lambda::Function"]


def allow_rsa(action: Any, resource: Any, condition: dict[str, Any] | None = None) -> dict[str, Any]:
    statement = {"Action": action, "Effect": "Allow", "Resource": resource}
    return {**statement, "Condition": {"StringEquals": condition}} if condition else statement


def test_role_may_decrypt_with_the_pinned_algorithm_read_the_inbox_and_write_what_it_opened(
    *,
    stack: cdk.Stack,
    synth: Synth,
    rsa_key: RsaEncryptionKey,
    rsa_storage: EncryptionKey,
    rsa_buckets: dict[str, aws_s3.IBucket],
    make: Make,
    role_statements: Callable[..., Statements],
    through_s3: Callable[..., dict[str, Any]],
) -> None:
    cipher = make()
    base: Any = cipher.node.find_child("Decrypt")
    source, destination = (stack.resolve(rsa_buckets[name].arn_for_objects("*")) for name in ("source", "destination"))
    expected = [
        allow_rsa(["logs:CreateLogStream", "logs:PutLogEvents"], stack.resolve(base.log_group.log_group_arn)),
        allow_rsa("sqs:SendMessage", stack.resolve(base.dead_letters.queue_arn)),
        allow_rsa("s3:GetObject", source),
        allow_rsa(["s3:AbortMultipartUpload", "s3:PutObject"], destination),
        through_s3("kms:Decrypt", rsa_storage, rsa_buckets["source"]),
        through_s3(
            ["kms:Decrypt", "kms:GenerateDataKey"],
            rsa_storage,
            rsa_buckets["destination"],
        ),
        allow_rsa("kms:Decrypt", stack.resolve(rsa_key.key_arn), SHA_256["StringEquals"]),
    ]
    assert sorted(role_statements(synth(stack), stack, cipher.decrypt_role), key=str) == sorted(expected, key=str)


def test_key_policy_names_the_role_with_decrypt_and_the_algorithm_alone(
    *,
    stack: cdk.Stack,
    synth: Synth,
    rsa_key: RsaEncryptionKey,
    make: Make,
    key_statements: Callable[..., Statements],
    named: Callable[..., dict[str, Any]],
) -> None:
    cipher = make()
    logical_id = stack.resolve(rsa_key.key_arn)["Fn::GetAtt"][0]
    assert key_statements(synth(stack), logical_id)[1:] == [named(cipher.decrypt_role, ["kms:Decrypt"], SHA_256)]


def test_function_knows_key_algorithm_buckets_and_context(
    *,
    stack: cdk.Stack,
    synth: Synth,
    rsa_key: RsaEncryptionKey,
    rsa_buckets: dict[str, aws_s3.IBucket],
    make: Make,
) -> None:
    make(required_context=["sender"], encryption_context={"app": "mail"}, encryption_algorithm="RSAES_OAEP_SHA_1")
    (function,) = functions(synth(stack))
    assert function["Handler"] == "kms_runtime.handlers.rsa_envelope_cipher.decrypt"
    assert function["Environment"]["Variables"] == {
        "KEY_ARN": stack.resolve(rsa_key.key_arn),
        "ENCRYPTION_ALGORITHM": "RSAES_OAEP_SHA_1",
        "SOURCE_BUCKET": stack.resolve(rsa_buckets["source"].bucket_name),
        "DESTINATION_BUCKET": stack.resolve(rsa_buckets["destination"].bucket_name),
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
    stack: cdk.Stack, synth: Synth, rsa_buckets: dict[str, aws_s3.IBucket], make: Make
) -> None:
    cipher = make(decrypt_on_create=True)
    rules = [item["Properties"] for item in synth(stack)["Resources"].values() if item["Type"] == "AWS::Events::Rule"]
    assert [rule["EventPattern"]["detail"] for rule in rules] == [
        {"bucket": {"name": [stack.resolve(rsa_buckets["source"].bucket_name)]}}
    ]
    assert [rule["Targets"][0]["Arn"] for rule in rules] == [stack.resolve(cipher.decrypt_function.function_arn)]


def test_one_bucket_for_both_is_refused(make: Make, rsa_buckets: dict[str, aws_s3.IBucket]) -> None:
    with pytest.raises(ValueError, match="outsiders could replace decrypted objects"):
        make(destination=rsa_buckets["source"])


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
