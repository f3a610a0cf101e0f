"""CodeSigner: reads artifacts, signs digests with one algorithm, writes signatures and nothing else."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam, aws_kms

from kms_patterns import CodeSigner, EncryptedBucket, EncryptionKey, SigningKey

Statements = list[dict[str, Any]]
Synth = Callable[[cdk.Stack], dict[str, Any]]
PINS = {"kms:SigningAlgorithm": "ECDSA_SHA_256", "kms:MessageType": "DIGEST"}
ENDINGS = ("*.dsse.json", "*.sig")


@pytest.fixture
def key(stack: cdk.Stack) -> SigningKey:
    return SigningKey(stack, "Key")


@pytest.fixture
def storage(stack: cdk.Stack) -> EncryptionKey:
    return EncryptionKey(stack, "StorageKey")


@pytest.fixture
def artifacts(stack: cdk.Stack, storage: EncryptionKey) -> EncryptedBucket:
    return EncryptedBucket(stack, "Artifacts", encryption_key=storage)


@pytest.fixture
def signatures(stack: cdk.Stack, storage: EncryptionKey) -> EncryptedBucket:
    return EncryptedBucket(stack, "Signatures", encryption_key=storage)


@pytest.fixture
def signer(stack: cdk.Stack, key: SigningKey, artifacts: EncryptedBucket, signatures: EncryptedBucket) -> CodeSigner:
    return CodeSigner(stack, "Signer", signing_key=key, artifacts=artifacts, signatures=signatures)


def allow(action: Any, resource: Any, condition: dict[str, Any] | None = None) -> dict[str, Any]:
    statement = {"Action": action, "Effect": "Allow", "Resource": resource}
    return {**statement, "Condition": {"StringEquals": condition}} if condition else statement


def beyond_log_and_dead_letters(statements: Statements) -> Statements:
    assert [statement["Action"] for statement in statements[:2]] == [
        ["logs:CreateLogStream", "logs:PutLogEvents"],
        "sqs:SendMessage",
    ]
    return statements[2:]


def of_type(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item["Properties"] for item in template["Resources"].values() if item["Type"] == kind]


def test_role_reads_artifacts_signs_digests_and_writes_two_kinds_of_objects(
    *,
    stack: cdk.Stack,
    synth: Synth,
    key: SigningKey,
    storage: EncryptionKey,
    artifacts: EncryptedBucket,
    signatures: EncryptedBucket,
    signer: CodeSigner,
    role_statements: Callable[..., Statements],
    through_s3: Callable[..., dict[str, Any]],
) -> None:
    found = beyond_log_and_dead_letters(role_statements(synth(stack), stack, signer.role))
    written = [stack.resolve(signatures.arn_for_objects(ending)) for ending in ENDINGS]
    expected = [
        allow("kms:Sign", stack.resolve(key.key_arn), PINS),
        allow("kms:GetPublicKey", stack.resolve(key.key_arn)),
        allow("s3:GetObject", [stack.resolve(artifacts.arn_for_objects("*")), *written]),
        allow("s3:PutObject", written),
        through_s3("kms:Decrypt", storage, artifacts),
        through_s3(["kms:Decrypt", "kms:GenerateDataKey"], storage, signatures, *reversed(ENDINGS)),
    ]
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_key_policy_names_the_role_with_algorithm_and_message_type(
    *,
    stack: cdk.Stack,
    synth: Synth,
    key: SigningKey,
    signer: CodeSigner,
    key_statements: Callable[..., Statements],
    named: Callable[..., dict[str, Any]],
) -> None:
    logical_id = stack.resolve(key.key_arn)["Fn::GetAtt"][0]
    expected = [
        named(signer.role, ["kms:Sign"], {"StringEquals": PINS}),
        named(signer.role, ["kms:GetPublicKey"], ordinal=2),
    ]
    assert key_statements(synth(stack), logical_id)[1:] == expected


def test_every_created_object_starts_the_function(
    stack: cdk.Stack, synth: Synth, artifacts: EncryptedBucket, signer: CodeSigner
) -> None:
    (rule,) = of_type(synth(stack), "AWS::Events::Rule")
    assert rule["EventPattern"]["detail"] == {"bucket": {"name": [stack.resolve(artifacts.bucket_name)]}}
    assert rule["Targets"][0]["Arn"] == stack.resolve(signer.function.function_arn)


def test_beside_the_artifacts_its_own_signatures_start_nothing(
    stack: cdk.Stack,
    synth: Synth,
    key: SigningKey,
    artifacts: EncryptedBucket,
    role_statements: Callable[..., Statements],
) -> None:
    signer = CodeSigner(stack, "Signer", signing_key=key, artifacts=artifacts)
    template = synth(stack)
    (rule,) = of_type(template, "AWS::Events::Rule")
    assert rule["EventPattern"]["detail"] == {
        "bucket": {"name": [stack.resolve(artifacts.bucket_name)]},
        "object": {"key": [{"anything-but": {"suffix": [".sig", ".dsse.json"]}}]},
    }
    objects = [
        (statement["Action"], statement["Resource"])
        for statement in role_statements(template, stack, signer.role)
        if "s3:" in str(statement["Action"])
    ]
    written = [stack.resolve(artifacts.arn_for_objects(ending)) for ending in ENDINGS]
    assert objects == [("s3:GetObject", stack.resolve(artifacts.arn_for_objects("*"))), ("s3:PutObject", written)]


def test_on_demand_there_is_no_rule_and_the_bucket_is_as_it_was(
    stack: cdk.Stack, synth: Synth, key: SigningKey, artifacts: EncryptedBucket
) -> None:
    CodeSigner(stack, "Signer", signing_key=key, artifacts=artifacts, sign_on_create=False)
    template = synth(stack)
    assert of_type(template, "AWS::Events::Rule") == []
    assert not any("NotificationConfiguration" in bucket for bucket in of_type(template, "AWS::S3::Bucket"))


def test_ml_dsa_signs_by_mu(
    stack: cdk.Stack, synth: Synth, artifacts: EncryptedBucket, role_statements: Callable[..., Statements]
) -> None:
    key = SigningKey(stack, "MlDsa", key_spec=aws_kms.KeySpec.ML_DSA_65)
    signer = CodeSigner(stack, "Signer", signing_key=key, artifacts=artifacts)
    on_key = [
        (statement["Action"], statement.get("Condition"))
        for statement in role_statements(synth(stack), stack, signer.role)
        if statement["Resource"] == stack.resolve(key.key_arn)
    ]
    pins = {"kms:SigningAlgorithm": "ML_DSA_SHAKE_256", "kms:MessageType": "EXTERNAL_MU"}
    assert on_key == [("kms:Sign", {"StringEquals": pins}), ("kms:GetPublicKey", None)]


def test_ed25519_signs_artifacts_prehashed_only(stack: cdk.Stack, artifacts: EncryptedBucket) -> None:
    key = SigningKey(stack, "Edwards", key_spec=aws_kms.KeySpec.ECC_NIST_EDWARDS25519)
    assert CodeSigner(stack, "Signer", signing_key=key, artifacts=artifacts).algorithm == "ED25519_PH_SHA_512"
    with pytest.raises(ValueError, match=r"ED25519_SHA_512 cannot be used .* give one of ED25519_PH_SHA_512"):
        CodeSigner(stack, "Pure", signing_key=key, artifacts=artifacts, algorithm="ED25519_SHA_512")


def test_publisher_may_invoke_the_function_and_nothing_else(
    stack: cdk.Stack,
    synth: Synth,
    signer: CodeSigner,
    role: Callable[..., aws_iam.Role],
    role_statements: Callable[..., Statements],
) -> None:
    publisher = role("Publisher")
    signer.grant_sign(publisher)
    arn = stack.resolve(signer.function.function_arn)
    assert role_statements(synth(stack), stack, publisher) == [allow("lambda:InvokeFunction", arn)]


def test_code_signer_matches_its_snapshot(
    stack: cdk.Stack, synth: Synth, signer: CodeSigner, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    snapshot_of(synth(stack))
