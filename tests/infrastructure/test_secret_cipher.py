"""SecretCipher on symmetric and RSA keys: the context or the algorithm is demanded on both sides."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam, aws_lambda, aws_logs
from aws_cdk import aws_kms as kms

from kms_patterns import EncryptionKey, FunctionOptions, RsaEncryptionKey, SecretCipher

Statements = list[dict[str, Any]]
Synth = Callable[[cdk.Stack], dict[str, Any]]
TENANT = {"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "tenant"}}


@pytest.fixture
def key(stack: cdk.Stack) -> EncryptionKey:
    return EncryptionKey(stack, "Key")


@pytest.fixture
def cipher(stack: cdk.Stack, key: EncryptionKey) -> SecretCipher:
    return SecretCipher(stack, "Secrets", encryption_key=key, required_context=["tenant"])


def kms_statement(action: str, conditions: dict[str, Any], resource: Any) -> dict[str, Any]:
    return {"Action": action, "Condition": conditions, "Effect": "Allow", "Resource": resource}


def own_log_and_dead_letters(stack: cdk.Stack, cipher: SecretCipher, name: str) -> Statements:
    base = cipher.node.find_child(name)
    return [
        {
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Effect": "Allow",
            "Resource": stack.resolve(base.log_group.log_group_arn),
        },
        {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": stack.resolve(base.dead_letters.queue_arn)},
    ]


@pytest.mark.parametrize(("name", "action"), [("Encrypt", "kms:Encrypt"), ("Decrypt", "kms:Decrypt")])
def test_role_may_do_one_kms_action_under_the_required_context_and_nothing_else(
    *,
    stack: cdk.Stack,
    synth: Synth,
    key: EncryptionKey,
    cipher: SecretCipher,
    role_statements: Callable[..., Statements],
    name: str,
    action: str,
) -> None:
    role = cipher.encrypt_role if name == "Encrypt" else cipher.decrypt_role
    assert role_statements(synth(stack), stack, role) == [
        *own_log_and_dead_letters(stack, cipher, name),
        kms_statement(action, TENANT, stack.resolve(key.key_arn)),
    ]


def test_key_policy_names_each_role_with_its_action_and_the_same_condition(
    stack: cdk.Stack, synth: Synth, cipher: SecretCipher, key_statements: Callable[..., Statements]
) -> None:
    uses = key_statements(synth(stack))[1:]
    expected = [(cipher.encrypt_role, "kms:Encrypt"), (cipher.decrypt_role, "kms:Decrypt")]
    assert [(use["Action"], use["Effect"], use["Condition"]) for use in uses] == [
        (action, "Allow", {"ArnEquals": {"aws:PrincipalArn": stack.resolve(role.role_arn)}, **TENANT})
        for role, action in expected
    ]


def test_fixed_context_is_a_condition_on_both_sides_and_reaches_the_functions(
    stack: cdk.Stack, synth: Synth, key: EncryptionKey, key_statements: Callable[..., Statements]
) -> None:
    SecretCipher(stack, "Fixed", encryption_key=key, required_context=[], encryption_context={"app": "orders"})
    template = synth(stack)
    fixed = {"StringEquals": {"kms:EncryptionContext:app": "orders"}}
    assert [use["Condition"].items() >= fixed.items() for use in key_statements(template)[1:]] == [True, True]
    functions = [item for item in template["Resources"].values() if item["Type"] == "AWS::Lambda::Function"]
    assert [item["Properties"]["Environment"]["Variables"] for item in functions] == 2 * [
        {
            "KEY_ARN": stack.resolve(key.key_arn),
            "ENCRYPTION_CONTEXT": '{"app": "orders"}',
            "REQUIRED_CONTEXT_KEYS": "[]",
        }
    ]


def test_cipher_without_any_context_is_refused(stack: cdk.Stack, key: EncryptionKey) -> None:
    with pytest.raises(ValueError, match="SecretCipher needs an encryption context"):
        SecretCipher(stack, "Secrets", encryption_key=key, required_context=[])


def test_caller_is_granted_one_function_and_nothing_on_the_key(
    stack: cdk.Stack, synth: Synth, cipher: SecretCipher, role_statements: Callable[..., Statements]
) -> None:
    writer, reader = (
        aws_iam.Role(stack, name, assumed_by=aws_iam.ServicePrincipal("ec2.amazonaws.com"))
        for name in ("Writer", "Reader")
    )
    cipher.grant_encrypt(writer)
    cipher.grant_decrypt(reader)
    template = synth(stack)
    for role, function in ((writer, cipher.encrypt_function), (reader, cipher.decrypt_function)):
        assert role_statements(template, stack, role) == [
            {
                "Action": "lambda:InvokeFunction",
                "Effect": "Allow",
                "Resource": stack.resolve(function.function_arn),
            }
        ]


def test_size_time_and_retention_are_parameters_of_both_functions(
    stack: cdk.Stack, synth: Synth, key: EncryptionKey
) -> None:
    SecretCipher(
        stack,
        "Secrets",
        encryption_key=key,
        required_context=["tenant"],
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
    retries = [item["Properties"] for item in resources if item["Type"] == "AWS::Lambda::EventInvokeConfig"]
    assert [item["MaximumRetryAttempts"] for item in retries] == [0, 0]


def test_functions_run_their_own_handlers(stack: cdk.Stack, synth: Synth, cipher: SecretCipher) -> None:
    template = synth(stack)
    for function, verb in ((cipher.encrypt_function, "encrypt"), (cipher.decrypt_function, "decrypt")):
        logical_id = stack.resolve(function.function_name)["Ref"]
        handler = template["Resources"][logical_id]["Properties"]["Handler"]
        assert handler == f"kms_runtime.handlers.secret_cipher.{verb}"


def test_secret_cipher_matches_its_snapshot(
    stack: cdk.Stack, synth: Synth, cipher: SecretCipher, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    snapshot_of(synth(stack))


SHA_256 = {"StringEquals": {"kms:EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}}


@pytest.fixture
def rsa_key(stack: cdk.Stack) -> RsaEncryptionKey:
    return RsaEncryptionKey(stack, "Key")


@pytest.fixture
def rsa_cipher(stack: cdk.Stack, rsa_key: RsaEncryptionKey) -> SecretCipher:
    return SecretCipher(stack, "Secrets", encryption_key=rsa_key)


@pytest.mark.parametrize(("side", "action"), [("encrypt", "kms:Encrypt"), ("decrypt", "kms:Decrypt")])
def test_role_may_do_one_kms_action_with_the_pinned_algorithm(
    *,
    stack: cdk.Stack,
    synth: Synth,
    rsa_key: RsaEncryptionKey,
    rsa_cipher: SecretCipher,
    role_statements: Callable[..., Statements],
    side: str,
    action: str,
) -> None:
    base: Any = rsa_cipher.node.find_child(side.capitalize())
    log, queue = (stack.resolve(arn) for arn in (base.log_group.log_group_arn, base.dead_letters.queue_arn))
    assert role_statements(synth(stack), stack, getattr(rsa_cipher, f"{side}_role")) == [
        {"Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Effect": "Allow", "Resource": log},
        {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": queue},
        {
            "Action": action,
            "Effect": "Allow",
            "Condition": SHA_256,
            "Resource": stack.resolve(rsa_key.key_arn),
        },
    ]


def test_key_policy_pins_the_algorithm_for_each_role(
    *,
    stack: cdk.Stack,
    synth: Synth,
    rsa_cipher: SecretCipher,
    key_statements: Callable[..., Statements],
    named: Callable[..., dict[str, Any]],
) -> None:
    assert key_statements(synth(stack))[1:] == [
        named(rsa_cipher.encrypt_role, ["kms:Encrypt"], SHA_256),
        named(rsa_cipher.decrypt_role, ["kms:Decrypt"], SHA_256),
    ]


def test_functions_know_spec_and_algorithm_and_run_the_handlers_of_rsa(
    stack: cdk.Stack, synth: Synth, rsa_key: RsaEncryptionKey, rsa_cipher: SecretCipher
) -> None:
    resources = synth(stack)["Resources"].values()
    functions = [item["Properties"] for item in resources if item["Type"] == "AWS::Lambda::Function"]
    assert [function["Environment"]["Variables"] for function in functions] == 2 * [
        {
            "KEY_ARN": stack.resolve(rsa_key.key_arn),
            "KEY_SPEC": "RSA_3072",
            "ENCRYPTION_ALGORITHM": "RSAES_OAEP_SHA_256",
        }
    ]
    assert sorted(function["Handler"] for function in functions) == [
        "kms_runtime.handlers.rsa_secret_cipher.decrypt",
        "kms_runtime.handlers.rsa_secret_cipher.encrypt",
    ]


@pytest.mark.parametrize(
    ("spec", "algorithm", "limit"),
    [
        (kms.KeySpec.RSA_2048, "RSAES_OAEP_SHA_256", 190),
        (kms.KeySpec.RSA_3072, "RSAES_OAEP_SHA_256", 318),
        (kms.KeySpec.RSA_4096, "RSAES_OAEP_SHA_256", 446),
        (kms.KeySpec.RSA_2048, "RSAES_OAEP_SHA_1", 214),
        (kms.KeySpec.RSA_3072, "RSAES_OAEP_SHA_1", 342),
        (kms.KeySpec.RSA_4096, "RSAES_OAEP_SHA_1", 470),
    ],
)
def test_description_states_the_keys_own_limit(
    *, stack: cdk.Stack, synth: Synth, spec: kms.KeySpec, algorithm: str, limit: int
) -> None:
    SecretCipher(
        stack,
        "Secrets",
        encryption_key=RsaEncryptionKey(stack, "Key", key_spec=spec),
        encryption_algorithm=algorithm,
    )
    resources = synth(stack)["Resources"].values()
    functions = [item["Properties"] for item in resources if item["Type"] == "AWS::Lambda::Function"]
    assert {function["Description"] for function in functions} == {
        f"{verb}s a value of up to {limit} bytes with KMS" for verb in ("Encrypt", "Decrypt")
    }


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"required_context": ["tenant"]}, r"an encryption context \(\['tenant'\]\) with an RSA key: RSA has none"),
        ({"encryption_context": {"app": "orders"}}, r"\(\['app'\]\) with an RSA key"),
        ({"encryption_algorithm": "SYMMETRIC_DEFAULT"}, "give one of RSAES_OAEP_SHA_256, RSAES_OAEP_SHA_1"),
    ],
)
def test_what_rsa_cannot_do_is_refused_at_synth(
    stack: cdk.Stack, rsa_key: RsaEncryptionKey, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        SecretCipher(stack, "Secrets", encryption_key=rsa_key, **options)


def test_symmetric_key_takes_no_algorithm(stack: cdk.Stack) -> None:
    with pytest.raises(ValueError, match="is for RSA"):
        SecretCipher(
            stack,
            "Secrets",
            encryption_key=EncryptionKey(stack, "Key"),
            required_context=["tenant"],
            encryption_algorithm="RSAES_OAEP_SHA_256",
        )


def test_sm2_key_is_refused() -> None:
    china = cdk.Stack(cdk.App(), "China", env=cdk.Environment(account="111122223333", region="cn-north-1"))
    with pytest.raises(ValueError, match="the key spec is SM2"):
        SecretCipher(china, "Secrets", encryption_key=RsaEncryptionKey(china, "Key", key_spec=kms.KeySpec.SM2))
