"""Signer: two functions, two roles, one algorithm demanded on both sides."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam, aws_kms

from kms_patterns import Signer, SigningKey
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
