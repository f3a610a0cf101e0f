"""KeyAgreement: two functions that may derive with ECDH, and nothing else."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms

from kms_patterns import KeyAgreement, KeyAgreementKey

Statements = list[dict[str, Any]]
Synth = Callable[[cdk.Stack], dict[str, Any]]
ECDH = {"StringEquals": {"kms:KeyAgreementAlgorithm": "ECDH"}}
PEER = "0f" * 32


@pytest.fixture
def key(stack: cdk.Stack) -> KeyAgreementKey:
    return KeyAgreementKey(stack, "Key")


@pytest.fixture
def agreement(stack: cdk.Stack, key: KeyAgreementKey) -> KeyAgreement:
    return KeyAgreement(stack, "Agreement", agreement_key=key, purpose="orders", allowed_peers=[PEER])


@pytest.mark.parametrize("name", ["Seal", "Open"])
def test_role_may_derive_with_ecdh_and_nothing_else(
    *,
    stack: cdk.Stack,
    synth: Synth,
    key: KeyAgreementKey,
    agreement: KeyAgreement,
    role_statements: Callable[..., Statements],
    name: str,
) -> None:
    base = agreement.node.find_child(name)
    assert role_statements(synth(stack), stack, getattr(agreement, f"{name.lower()}_role")) == [
        {
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Effect": "Allow",
            "Resource": stack.resolve(base.log_group.log_group_arn),
        },
        {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": stack.resolve(base.dead_letters.queue_arn)},
        {
            "Action": "kms:DeriveSharedSecret",
            "Condition": ECDH,
            "Effect": "Allow",
            "Resource": stack.resolve(key.key_arn),
        },
    ]


def test_key_policy_names_both_roles_with_the_algorithm(
    stack: cdk.Stack, synth: Synth, agreement: KeyAgreement, key_statements: Callable[..., Statements], named: Any
) -> None:
    both = named(agreement.open_role, ["kms:DeriveSharedSecret"], ECDH)
    roles = stack.resolve([agreement.open_role.role_arn, agreement.seal_role.role_arn])
    both["Condition"]["ArnEquals"]["aws:PrincipalArn"] = roles
    (found,) = key_statements(synth(stack))[1:]
    assert found == {**both, "Sid": found["Sid"]}


def test_functions_know_purpose_and_peers(
    stack: cdk.Stack, synth: Synth, key: KeyAgreementKey, agreement: KeyAgreement
) -> None:
    template = synth(stack)
    for function, handler in ((agreement.seal_function, "encrypt"), (agreement.open_function, "decrypt")):
        found = template["Resources"][stack.resolve(function.function_name)["Ref"]]["Properties"]
        assert found["Handler"] == f"kms_runtime.handlers.key_agreement.{handler}"
        assert found["Environment"]["Variables"] == {
            "KEY_ARN": stack.resolve(key.key_arn),
            "PURPOSE": "orders",
            "ALLOWED_PEERS": PEER,
        }


def test_caller_is_granted_one_function_and_nothing_on_the_key(
    stack: cdk.Stack, synth: Synth, agreement: KeyAgreement, role: Any, role_statements: Callable[..., Statements]
) -> None:
    sender, receiver = role("Sender"), role("Receiver")
    agreement.grant_seal(sender)
    agreement.grant_open(receiver)
    template = synth(stack)
    for caller, function in ((sender, agreement.seal_function), (receiver, agreement.open_function)):
        arn = stack.resolve(function.function_arn)
        assert role_statements(template, stack, caller) == [
            {"Action": "lambda:InvokeFunction", "Effect": "Allow", "Resource": arn}
        ]


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"purpose": " "}, ValueError, "purpose ' ' is empty"),
        ({"allowed_peers": ["0F" * 32]}, ValueError, "64 lower-case hex digits"),
        ({"allowed_peers": ["abc"]}, ValueError, "'abc' is not the SHA-256 of a public key"),
        ({"allowed_peers": [PEER] * 41}, ValueError, "41 fingerprints; the environment holds 40"),
        ({"allowed_peers": PEER}, TypeError, "allowed_peers is a string"),
    ],
)
def test_what_could_not_work_is_refused(
    stack: cdk.Stack, key: KeyAgreementKey, arguments: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        KeyAgreement(stack, "A", **{"agreement_key": key, "purpose": "orders", **arguments})


def test_curve_that_the_functions_do_not_know_is_refused(app: cdk.App) -> None:
    china = cdk.Stack(app, "China", env=cdk.Environment(account="111122223333", region="cn-north-1"))
    key = KeyAgreementKey(china, "Key", key_spec=kms.KeySpec.SM2)
    with pytest.raises(ValueError, match="SM2, which the functions do not know"):
        KeyAgreement(china, "A", agreement_key=key, purpose="orders")


def test_key_agreement_matches_its_snapshot(
    stack: cdk.Stack, synth: Synth, agreement: KeyAgreement, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    assert agreement.seal_function.function_name
    snapshot_of(synth(stack))
