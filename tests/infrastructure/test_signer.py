"""Signer, CodeSigner and MessageAuthenticator: one role per operation, one algorithm demanded on both sides."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam, aws_kms, aws_lambda, aws_logs
from aws_cdk import aws_kms as kms

from kms_patterns import (
    CodeSigner,
    EncryptedBucket,
    EncryptionKey,
    FunctionOptions,
    MacKey,
    MessageAuthenticator,
    Signer,
    SigningKey,
)
from kms_patterns.keys.errors import GrantRefused

Statements = list[dict[str, Any]]
Synth = Callable[[cdk.Stack], dict[str, Any]]
PINNED = {"StringEquals": {"kms:SigningAlgorithm": "RSASSA_PSS_SHA_256"}}


@pytest.fixture
def key(stack: cdk.Stack) -> SigningKey:
    return SigningKey(stack, "Key", key_spec=aws_kms.KeySpec.RSA_3072)


@pytest.fixture
def signer(stack: cdk.Stack, key: SigningKey) -> Signer:
    return Signer(stack, "Signer", signing_key=key, algorithm="RSASSA_PSS_SHA_256")


@pytest.mark.parametrize("name", ["Sign", "Verify"])
def test_role_may_do_one_kms_action_with_one_algorithm_and_nothing_else(
    stack: cdk.Stack,
    synth: Synth,
    key: SigningKey,
    signer: Signer,
    role_statements: Callable[..., Statements],
    name: str,
) -> None:
    role = signer.sign_role if name == "Sign" else signer.verify_role
    base: Any = signer.node.find_child(name)
    assert role_statements(synth(stack), stack, role) == [
        {
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Effect": "Allow",
            "Resource": stack.resolve(base.log_group.log_group_arn),
        },
        {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": stack.resolve(base.dead_letters.queue_arn)},
        {
            "Action": f"kms:{name}",
            "Condition": PINNED,
            "Effect": "Allow",
            "Resource": stack.resolve(key.key_arn),
        },
    ]


def test_key_policy_names_each_role_with_its_action_and_the_algorithm(
    stack: cdk.Stack,
    synth: Synth,
    signer: Signer,
    key_statements: Callable[..., Statements],
    named: Callable[..., dict[str, Any]],
) -> None:
    assert key_statements(synth(stack))[1:] == [
        named(signer.sign_role, ["kms:Sign"], PINNED),
        named(signer.verify_role, ["kms:Verify"], PINNED),
    ]


def test_message_types_are_demanded_on_both_sides(
    stack: cdk.Stack, synth: Synth, key: SigningKey, key_statements: Callable[..., Statements]
) -> None:
    Signer(stack, "Signer", signing_key=key, algorithm="RSASSA_PSS_SHA_256", message_types=["DIGEST"])
    pins = {"kms:SigningAlgorithm": "RSASSA_PSS_SHA_256", "kms:MessageType": "DIGEST"}
    assert [use["Condition"]["StringEquals"] for use in key_statements(synth(stack))[1:]] == [pins, pins]


def test_caller_is_granted_one_function_and_nothing_on_the_key(
    stack: cdk.Stack,
    synth: Synth,
    signer: Signer,
    role: Callable[..., aws_iam.Role],
    role_statements: Callable[..., Statements],
) -> None:
    author, reader = role("Author"), role("Reader")
    signer.grant_sign(author)
    signer.grant_verify(reader)
    template = synth(stack)
    for caller, function in ((author, signer.sign_function), (reader, signer.verify_function)):
        arn = stack.resolve(function.function_arn)
        expected = {"Action": "lambda:InvokeFunction", "Effect": "Allow", "Resource": arn}
        assert role_statements(template, stack, caller) == [expected]


def test_functions_run_their_own_handlers_with_the_pinned_algorithm(
    stack: cdk.Stack, synth: Synth, key: SigningKey, signer: Signer
) -> None:
    functions = [
        item["Properties"] for item in synth(stack)["Resources"].values() if item["Type"] == "AWS::Lambda::Function"
    ]
    assert {item["Handler"] for item in functions} == {
        f"kms_runtime.handlers.signer.{verb}" for verb in ("sign", "verify")
    }
    assert [item["Environment"]["Variables"] for item in functions] == 2 * [
        {"KEY_ARN": stack.resolve(key.key_arn), "SIGNING_ALGORITHM": "RSASSA_PSS_SHA_256"}
    ]


def test_only_algorithm_of_a_key_need_not_be_named(stack: cdk.Stack) -> None:
    for spec, algorithm in (("ECC_NIST_P384", "ECDSA_SHA_384"), ("ML_DSA_65", "ML_DSA_SHAKE_256")):
        key = SigningKey(stack, spec, key_spec=getattr(aws_kms.KeySpec, spec))
        assert Signer(stack, f"{spec}Signer", signing_key=key).algorithm == algorithm


@pytest.mark.parametrize(
    ("spec", "algorithm", "reason"),
    [
        ("RSA_3072", None, "algorithm is missing .* give one of RSASSA_PSS_SHA_256, "),
        ("RSA_3072", "ECDSA_SHA_256", "algorithm ECDSA_SHA_256 cannot be used .*InvalidKeyUsageException"),
        ("ECC_NIST_EDWARDS25519", None, "give one of ED25519_SHA_512, ED25519_PH_SHA_512"),
    ],
)
def test_algorithm_that_the_key_does_not_have_is_refused(
    stack: cdk.Stack, spec: str, algorithm: str | None, reason: str
) -> None:
    key = SigningKey(stack, "Key", key_spec=getattr(aws_kms.KeySpec, spec))
    with pytest.raises(ValueError, match=reason):
        Signer(stack, "Signer", signing_key=key, algorithm=algorithm)


@pytest.mark.parametrize(
    ("spec", "algorithm", "given", "reason"),
    [
        ("RSA_3072", "RSASSA_PSS_SHA_256", "HASH", "HASH.*supports RAW, DIGEST only"),
        ("RSA_3072", "RSASSA_PSS_SHA_256", "EXTERNAL_MU", "EXTERNAL_MU.*supports RAW, DIGEST only"),
        ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", "DIGEST", "DIGEST.*supports RAW only"),
        ("ECC_NIST_EDWARDS25519", "ED25519_PH_SHA_512", "RAW", "RAW.*supports DIGEST only"),
        ("ML_DSA_44", "ML_DSA_SHAKE_256", "DIGEST", "DIGEST.*supports RAW, EXTERNAL_MU only"),
    ],
)
def test_message_type_that_the_algorithm_does_not_take_is_refused(
    *, stack: cdk.Stack, spec: str, algorithm: str, given: str, reason: str
) -> None:
    key = SigningKey(stack, "OtherKey", key_spec=getattr(aws_kms.KeySpec, spec))
    with pytest.raises(GrantRefused, match=reason):
        Signer(stack, "Signer", signing_key=key, algorithm=algorithm, message_types=[given])


def test_signer_matches_its_snapshot(
    stack: cdk.Stack, synth: Synth, signer: Signer, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    snapshot_of(synth(stack))


PINS = {"kms:SigningAlgorithm": "ECDSA_SHA_256", "kms:MessageType": "DIGEST"}
ENDINGS = ("*.dsse.json", "*.sig")


@pytest.fixture
def code_key(stack: cdk.Stack) -> SigningKey:
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
def code_signer(
    stack: cdk.Stack, code_key: SigningKey, artifacts: EncryptedBucket, signatures: EncryptedBucket
) -> CodeSigner:
    return CodeSigner(stack, "Signer", signing_key=code_key, artifacts=artifacts, signatures=signatures)


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
    code_key: SigningKey,
    storage: EncryptionKey,
    artifacts: EncryptedBucket,
    signatures: EncryptedBucket,
    code_signer: CodeSigner,
    role_statements: Callable[..., Statements],
    through_s3: Callable[..., dict[str, Any]],
) -> None:
    found = beyond_log_and_dead_letters(role_statements(synth(stack), stack, code_signer.role))
    written = [stack.resolve(signatures.arn_for_objects(ending)) for ending in ENDINGS]
    expected = [
        allow("kms:Sign", stack.resolve(code_key.key_arn), PINS),
        allow("kms:GetPublicKey", stack.resolve(code_key.key_arn)),
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
    code_key: SigningKey,
    code_signer: CodeSigner,
    key_statements: Callable[..., Statements],
    named: Callable[..., dict[str, Any]],
) -> None:
    logical_id = stack.resolve(code_key.key_arn)["Fn::GetAtt"][0]
    expected = [
        named(code_signer.role, ["kms:Sign"], {"StringEquals": PINS}),
        named(code_signer.role, ["kms:GetPublicKey"], ordinal=2),
    ]
    assert key_statements(synth(stack), logical_id)[1:] == expected


def test_every_created_object_starts_the_function(
    stack: cdk.Stack, synth: Synth, artifacts: EncryptedBucket, code_signer: CodeSigner
) -> None:
    (rule,) = of_type(synth(stack), "AWS::Events::Rule")
    assert rule["EventPattern"]["detail"] == {"bucket": {"name": [stack.resolve(artifacts.bucket_name)]}}
    assert rule["Targets"][0]["Arn"] == stack.resolve(code_signer.function.function_arn)


def test_beside_the_artifacts_its_own_signatures_start_nothing(
    stack: cdk.Stack,
    synth: Synth,
    code_key: SigningKey,
    artifacts: EncryptedBucket,
    role_statements: Callable[..., Statements],
) -> None:
    code_signer = CodeSigner(stack, "Signer", signing_key=code_key, artifacts=artifacts)
    template = synth(stack)
    (rule,) = of_type(template, "AWS::Events::Rule")
    assert rule["EventPattern"]["detail"] == {
        "bucket": {"name": [stack.resolve(artifacts.bucket_name)]},
        "object": {"key": [{"anything-but": {"suffix": [".sig", ".dsse.json"]}}]},
    }
    objects = [
        (statement["Action"], statement["Resource"])
        for statement in role_statements(template, stack, code_signer.role)
        if "s3:" in str(statement["Action"])
    ]
    written = [stack.resolve(artifacts.arn_for_objects(ending)) for ending in ENDINGS]
    assert objects == [("s3:GetObject", stack.resolve(artifacts.arn_for_objects("*"))), ("s3:PutObject", written)]


def test_on_demand_there_is_no_rule_and_the_bucket_is_as_it_was(
    stack: cdk.Stack, synth: Synth, code_key: SigningKey, artifacts: EncryptedBucket
) -> None:
    CodeSigner(stack, "Signer", signing_key=code_key, artifacts=artifacts, sign_on_create=False)
    template = synth(stack)
    assert of_type(template, "AWS::Events::Rule") == []
    assert not any("NotificationConfiguration" in bucket for bucket in of_type(template, "AWS::S3::Bucket"))


def test_ml_dsa_signs_by_mu(
    stack: cdk.Stack, synth: Synth, artifacts: EncryptedBucket, role_statements: Callable[..., Statements]
) -> None:
    code_key = SigningKey(stack, "MlDsa", key_spec=aws_kms.KeySpec.ML_DSA_65)
    code_signer = CodeSigner(stack, "Signer", signing_key=code_key, artifacts=artifacts)
    on_key = [
        (statement["Action"], statement.get("Condition"))
        for statement in role_statements(synth(stack), stack, code_signer.role)
        if statement["Resource"] == stack.resolve(code_key.key_arn)
    ]
    pins = {"kms:SigningAlgorithm": "ML_DSA_SHAKE_256", "kms:MessageType": "EXTERNAL_MU"}
    assert on_key == [("kms:Sign", {"StringEquals": pins}), ("kms:GetPublicKey", None)]


def test_ed25519_signs_artifacts_prehashed_only(stack: cdk.Stack, artifacts: EncryptedBucket) -> None:
    code_key = SigningKey(stack, "Edwards", key_spec=aws_kms.KeySpec.ECC_NIST_EDWARDS25519)
    assert CodeSigner(stack, "Signer", signing_key=code_key, artifacts=artifacts).algorithm == "ED25519_PH_SHA_512"
    with pytest.raises(ValueError, match=r"ED25519_SHA_512 cannot be used .* give one of ED25519_PH_SHA_512"):
        CodeSigner(stack, "Pure", signing_key=code_key, artifacts=artifacts, algorithm="ED25519_SHA_512")


def test_publisher_may_invoke_the_function_and_nothing_else(
    stack: cdk.Stack,
    synth: Synth,
    code_signer: CodeSigner,
    role: Callable[..., aws_iam.Role],
    role_statements: Callable[..., Statements],
) -> None:
    publisher = role("Publisher")
    code_signer.grant_sign(publisher)
    arn = stack.resolve(code_signer.function.function_arn)
    assert role_statements(synth(stack), stack, publisher) == [allow("lambda:InvokeFunction", arn)]


def test_code_signer_matches_its_snapshot(
    stack: cdk.Stack, synth: Synth, code_signer: CodeSigner, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    snapshot_of(synth(stack))


def key_of(stack: cdk.Stack, bits: int = 256) -> MacKey:
    return MacKey(stack, "Key", key_spec=getattr(kms.KeySpec, f"HMAC_{bits}"))


@pytest.mark.parametrize("bits", [224, 256, 384, 512])
def test_each_role_may_do_one_action_with_one_algorithm_and_nothing_else(
    bits: int,
    stack: cdk.Stack,
    synth: Synth,
    role_statements: Callable[..., Statements],
    key_statements: Callable[..., Statements],
    named: Callable[..., Any],
) -> None:
    key = key_of(stack, bits)
    made = MessageAuthenticator(stack, "Messages", mac_key=key)
    template = synth(stack)
    pin = {"StringEquals": {"kms:MacAlgorithm": f"HMAC_SHA_{bits}"}}
    sides = {"Generate": (made.generate_role, "kms:GenerateMac"), "Verify": (made.verify_role, "kms:VerifyMac")}
    for name, (role, action) in sides.items():
        base = made.node.find_child(name)
        assert role_statements(template, stack, role) == [
            {
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Effect": "Allow",
                "Resource": stack.resolve(base.log_group.log_group_arn),
            },
            {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": stack.resolve(base.dead_letters.queue_arn)},
            {"Action": action, "Condition": pin, "Effect": "Allow", "Resource": stack.resolve(key.key_arn)},
        ]
    assert key_statements(template)[1:] == [named(role, [action], pin) for role, action in sides.values()]


def test_functions_run_their_own_handlers_with_the_keys_algorithm(stack: cdk.Stack, synth: Synth) -> None:
    key = key_of(stack, 384)
    made = MessageAuthenticator(stack, "Messages", mac_key=key)
    template = synth(stack)
    for function, verb in ((made.generate_function, "generate"), (made.verify_function, "verify")):
        properties = template["Resources"][stack.resolve(function.function_name)["Ref"]]["Properties"]
        assert properties["Handler"] == f"kms_runtime.handlers.message_authenticator.{verb}"
        assert properties["Environment"]["Variables"] == {
            "KEY_ARN": stack.resolve(key.key_arn),
            "MAC_ALGORITHM": "HMAC_SHA_384",
        }


def test_callers_are_granted_one_function_each(
    stack: cdk.Stack, synth: Synth, role: Any, role_statements: Callable[..., Statements]
) -> None:
    made = MessageAuthenticator(stack, "Messages", mac_key=key_of(stack))
    sender, receiver = role("Sender"), role("Receiver")
    made.grant_generate(sender)
    made.grant_verify(receiver)
    template = synth(stack)
    for who, function in ((sender, made.generate_function), (receiver, made.verify_function)):
        assert role_statements(template, stack, who) == [
            {
                "Action": "lambda:InvokeFunction",
                "Effect": "Allow",
                "Resource": stack.resolve(function.function_arn),
            }
        ]


def test_size_time_and_retention_are_parameters_of_both_functions(stack: cdk.Stack, synth: Synth) -> None:
    MessageAuthenticator(
        stack,
        "Messages",
        mac_key=key_of(stack),
        options=FunctionOptions(
            memory_size=512,
            timeout=cdk.Duration.seconds(3),
            log_retention=aws_logs.RetentionDays.ONE_WEEK,
            retry_attempts=0,
            tracing=aws_lambda.Tracing.ACTIVE,
        ),
    )
    resources = synth(stack)["Resources"].values()
    functions = [item["Properties"] for item in resources if item["Type"] == "AWS::Lambda::Function"]
    assert [(f["MemorySize"], f["Timeout"], f["TracingConfig"]) for f in functions] == 2 * [
        (512, 3, {"Mode": "Active"})
    ]
    logs = [item["Properties"] for item in resources if item["Type"] == "AWS::Logs::LogGroup"]
    assert logs == 2 * [{"RetentionInDays": 7}]


def test_message_authenticator_matches_its_snapshot(
    stack: cdk.Stack, synth: Synth, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    MessageAuthenticator(stack, "Messages", mac_key=key_of(stack))
    snapshot_of(synth(stack))
