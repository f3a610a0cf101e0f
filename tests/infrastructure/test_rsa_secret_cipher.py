"""SecretCipher on an RSA key: the algorithm pinned on both sides, no encryption context, the limit of the key."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms

from kms_patterns import EncryptionKey, RsaEncryptionKey, SecretCipher

Statements = list[dict[str, Any]]
Synth = Callable[[cdk.Stack], dict[str, Any]]
SHA_256 = {"StringEquals": {"kms:EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}}


@pytest.fixture
def key(stack: cdk.Stack) -> RsaEncryptionKey:
    return RsaEncryptionKey(stack, "Key")


@pytest.fixture
def cipher(stack: cdk.Stack, key: RsaEncryptionKey) -> SecretCipher:
    return SecretCipher(stack, "Secrets", encryption_key=key)


@pytest.mark.parametrize(("side", "action"), [("encrypt", "kms:Encrypt"), ("decrypt", "kms:Decrypt")])
def test_role_may_do_one_kms_action_with_the_pinned_algorithm(
    *,
    stack: cdk.Stack,
    synth: Synth,
    key: RsaEncryptionKey,
    cipher: SecretCipher,
    role_statements: Callable[..., Statements],
    side: str,
    action: str,
) -> None:
    base: Any = cipher.node.find_child(side.capitalize())
    log, queue = (stack.resolve(arn) for arn in (base.log_group.log_group_arn, base.dead_letters.queue_arn))
    assert role_statements(synth(stack), stack, getattr(cipher, f"{side}_role")) == [
        {"Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Effect": "Allow", "Resource": log},
        {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": queue},
        {"Action": action, "Effect": "Allow", "Condition": SHA_256, "Resource": stack.resolve(key.key_arn)},
    ]


def test_key_policy_pins_the_algorithm_for_each_role(
    *,
    stack: cdk.Stack,
    synth: Synth,
    cipher: SecretCipher,
    key_statements: Callable[..., Statements],
    named: Callable[..., dict[str, Any]],
) -> None:
    assert key_statements(synth(stack))[1:] == [
        named(cipher.encrypt_role, ["kms:Encrypt"], SHA_256),
        named(cipher.decrypt_role, ["kms:Decrypt"], SHA_256),
    ]


def test_functions_know_spec_and_algorithm_and_run_the_handlers_of_rsa(
    stack: cdk.Stack, synth: Synth, key: RsaEncryptionKey, cipher: SecretCipher
) -> None:
    resources = synth(stack)["Resources"].values()
    functions = [item["Properties"] for item in resources if item["Type"] == "AWS::Lambda::Function"]
    assert [function["Environment"]["Variables"] for function in functions] == 2 * [
        {
            "KEY_ARN": stack.resolve(key.key_arn),
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
    stack: cdk.Stack, key: RsaEncryptionKey, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        SecretCipher(stack, "Secrets", encryption_key=key, **options)


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
