"""DataKeyPairs and KeyAgreement: a role for each function; specs, usage and context in both policies."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms

from kms_patterns import DataKeyPairs, EncryptionKey, KeyAgreement, KeyAgreementKey
from kms_patterns.keys.errors import GrantRefused

Statements = list[dict[str, Any]]
Synth = Callable[[cdk.Stack], dict[str, Any]]

USAGE = "kms:EncryptionContext:key-usage"
SPELT = {
    "ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "key-usage"},
    "ForAnyValue:StringLike": {"kms:EncryptionContextKeys": "tenant"},
}
SPECS = ["ECC_NIST_P256", "RSA_2048"]
CONDITIONS = {
    "Generate": {
        **SPELT,
        "StringEquals": {USAGE: ["SIGN_VERIFY", "ENCRYPT_DECRYPT"], "kms:DataKeyPairSpec": SPECS},
    },
    "Sign": {"StringEquals": {USAGE: "SIGN_VERIFY"}, **SPELT},
    "Decrypt": {"StringEquals": {USAGE: "ENCRYPT_DECRYPT"}, **SPELT},
}
ACTIONS = {
    "Generate": "kms:GenerateDataKeyPairWithoutPlaintext",
    "Sign": "kms:Decrypt",
    "Decrypt": "kms:Decrypt",
}


@pytest.fixture
def key(stack: cdk.Stack) -> EncryptionKey:
    return EncryptionKey(stack, "Key")


@pytest.fixture
def pairs(stack: cdk.Stack, key: EncryptionKey) -> DataKeyPairs:
    return DataKeyPairs(stack, "Pairs", encryption_key=key, required_context=["tenant"], pair_specs=SPECS)


def own_log_and_dead_letters(stack: cdk.Stack, pairs: DataKeyPairs, name: str) -> Statements:
    base = pairs.node.find_child(name)
    return [
        {
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Effect": "Allow",
            "Resource": stack.resolve(base.log_group.log_group_arn),
        },
        {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": stack.resolve(base.dead_letters.queue_arn)},
    ]


@pytest.mark.parametrize("name", ACTIONS)
def test_role_may_do_one_kms_action_under_its_conditions_and_nothing_else(
    *,
    stack: cdk.Stack,
    synth: Synth,
    key: EncryptionKey,
    pairs: DataKeyPairs,
    role_statements: Callable[..., Statements],
    name: str,
) -> None:
    role = getattr(pairs, f"{name.lower()}_role")
    assert role_statements(synth(stack), stack, role) == [
        *own_log_and_dead_letters(stack, pairs, name),
        {
            "Action": ACTIONS[name],
            "Condition": CONDITIONS[name],
            "Effect": "Allow",
            "Resource": stack.resolve(key.key_arn),
        },
    ]


def test_key_policy_names_each_role_with_its_action_and_the_same_conditions(
    stack: cdk.Stack, synth: Synth, pairs: DataKeyPairs, key_statements: Callable[..., Statements], named: Any
) -> None:
    assert key_statements(synth(stack))[1:] == [
        named(getattr(pairs, f"{name.lower()}_role"), [ACTIONS[name]], CONDITIONS[name]) for name in ACTIONS
    ]


def test_private_key_is_returned_by_another_action_that_is_asked_for(
    stack: cdk.Stack, synth: Synth, key: EncryptionKey, key_statements: Callable[..., Statements]
) -> None:
    pairs = DataKeyPairs(stack, "P", encryption_key=key, required_context=["tenant"], private_key_returned=True)
    template = synth(stack)
    assert [statement["Action"] for statement in key_statements(template)[1:]] == [
        "kms:GenerateDataKeyPair",
        "kms:Decrypt",
    ]
    assert variables(template, stack, pairs.generate_function)["PRIVATE_KEY_RETURNED"] == "true"


def test_curves_alone_make_no_function_that_decrypts(
    stack: cdk.Stack, synth: Synth, key: EncryptionKey, key_statements: Callable[..., Statements]
) -> None:
    pairs = DataKeyPairs(stack, "P", encryption_key=key, required_context=["tenant"], pair_specs=["ECC_NIST_P384"])
    generate, sign = key_statements(synth(stack))[1:]
    assert generate["Condition"]["StringEquals"] == {USAGE: "SIGN_VERIFY", "kms:DataKeyPairSpec": "ECC_NIST_P384"}
    assert sign["Condition"]["StringEquals"] == {USAGE: "SIGN_VERIFY"}
    for missing in ("decrypt_function", "decrypt_role"):
        with pytest.raises(ValueError, match="Stack/P makes no pairs that decrypt: add RSA_2048"):
            getattr(pairs, missing)


def test_functions_know_what_the_policies_demand(stack: cdk.Stack, synth: Synth, key: EncryptionKey) -> None:
    pairs = DataKeyPairs(
        stack,
        "P",
        encryption_key=key,
        required_context=["tenant"],
        encryption_context={"app": "orders"},
        pair_specs=SPECS,
        retry_time=cdk.Duration.seconds(20),
    )
    template = synth(stack)
    common = {
        "KEY_ARN": stack.resolve(key.key_arn),
        "ENCRYPTION_CONTEXT": '{"app": "orders"}',
        "REQUIRED_CONTEXT_KEYS": '["tenant"]',
    }
    assert variables(template, stack, pairs.generate_function) == {
        **common,
        "KEY_PAIR_SPECS": "ECC_NIST_P256 RSA_2048",
        "RETRY_SECONDS": "20",
        "PRIVATE_KEY_RETURNED": "false",
    }
    assert variables(template, stack, pairs.sign_function) == common
    assert variables(template, stack, pairs.decrypt_function) == common


@pytest.mark.parametrize(("retry", "timeout"), [(None, 25), (0, 15), (60, 75)])
def test_generate_function_has_time_for_its_retries_and_one_request(
    stack: cdk.Stack, synth: Synth, key: EncryptionKey, retry: int | None, timeout: int
) -> None:
    time = None if retry is None else cdk.Duration.seconds(retry)
    pairs = DataKeyPairs(stack, "P", encryption_key=key, required_context=["tenant"], retry_time=time)
    assert properties(synth(stack), stack, pairs.generate_function)["Timeout"] == timeout


def test_caller_is_granted_one_function_and_nothing_on_the_key(
    stack: cdk.Stack, synth: Synth, pairs: DataKeyPairs, role: Any, role_statements: Callable[..., Statements]
) -> None:
    callers = {name: role(f"{name}Caller") for name in ("generate", "sign", "decrypt")}
    for name, caller in callers.items():
        getattr(pairs, f"grant_{name}")(caller)
    template = synth(stack)
    for name, caller in callers.items():
        arn = stack.resolve(getattr(pairs, f"{name}_function").function_arn)
        assert role_statements(template, stack, caller) == [
            {"Action": "lambda:InvokeFunction", "Effect": "Allow", "Resource": arn}
        ]


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"required_context": []}, ValueError, "DataKeyPairs needs an encryption context"),
        ({"required_context": ["Key-Usage"]}, ValueError, "'Key-Usage' is set by DataKeyPairs itself"),
        ({"encryption_context": {"key-usage": "x"}}, ValueError, "'key-usage' is set by DataKeyPairs itself"),
        ({"pair_specs": ["RSA_1024"]}, GrantRefused, "RSA_1024"),
        ({"pair_specs": []}, GrantRefused, "RSA_2048"),
        ({"pair_specs": ["SM2"]}, ValueError, "cannot sign or decrypt with SM2"),
        ({"pair_specs": "RSA_2048"}, TypeError, "is the string 'RSA_2048'"),
        ({"retry_time": cdk.Duration.minutes(15)}, ValueError, "900 seconds: a Lambda function has time for 885"),
    ],
)
def test_what_could_not_work_is_refused(
    stack: cdk.Stack, key: EncryptionKey, arguments: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        DataKeyPairs(stack, "P", **{"encryption_key": key, "required_context": ["tenant"], **arguments})


def test_data_key_pairs_match_their_snapshot(
    stack: cdk.Stack, synth: Synth, pairs: DataKeyPairs, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    assert pairs.generate_function.function_name
    snapshot_of(synth(stack))


def properties(template: dict[str, Any], stack: cdk.Stack, function: Any) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"][stack.resolve(function.function_name)["Ref"]]["Properties"]
    return found


def variables(template: dict[str, Any], stack: cdk.Stack, function: Any) -> dict[str, Any]:
    found: dict[str, Any] = properties(template, stack, function)["Environment"]["Variables"]
    return found


ECDH = {"StringEquals": {"kms:KeyAgreementAlgorithm": "ECDH"}}
PEER = "0f" * 32


@pytest.fixture
def agreement_key(stack: cdk.Stack) -> KeyAgreementKey:
    return KeyAgreementKey(stack, "Key")


@pytest.fixture
def agreement(stack: cdk.Stack, agreement_key: KeyAgreementKey) -> KeyAgreement:
    return KeyAgreement(stack, "Agreement", agreement_key=agreement_key, purpose="orders", allowed_peers=[PEER])


@pytest.mark.parametrize("name", ["Encrypt", "Decrypt"])
def test_role_may_derive_with_ecdh_and_nothing_else(
    *,
    stack: cdk.Stack,
    synth: Synth,
    agreement_key: KeyAgreementKey,
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
            "Resource": stack.resolve(agreement_key.key_arn),
        },
    ]


def test_key_policy_names_both_roles_with_the_algorithm(
    stack: cdk.Stack, synth: Synth, agreement: KeyAgreement, key_statements: Callable[..., Statements], named: Any
) -> None:
    both = named(agreement.decrypt_role, ["kms:DeriveSharedSecret"], ECDH)
    roles = stack.resolve([agreement.decrypt_role.role_arn, agreement.encrypt_role.role_arn])
    both["Condition"]["ArnEquals"]["aws:PrincipalArn"] = roles
    (found,) = key_statements(synth(stack))[1:]
    assert found == {**both, "Sid": found["Sid"]}


def test_functions_know_purpose_and_peers(
    stack: cdk.Stack, synth: Synth, agreement_key: KeyAgreementKey, agreement: KeyAgreement
) -> None:
    template = synth(stack)
    for function, handler in ((agreement.encrypt_function, "encrypt"), (agreement.decrypt_function, "decrypt")):
        found = template["Resources"][stack.resolve(function.function_name)["Ref"]]["Properties"]
        assert found["Handler"] == f"kms_runtime.handlers.key_agreement.{handler}"
        assert found["Environment"]["Variables"] == {
            "KEY_ARN": stack.resolve(agreement_key.key_arn),
            "PURPOSE": "orders",
            "ALLOWED_PEERS": PEER,
        }


def test_caller_of_the_agreement_is_granted_one_function_and_nothing_on_the_key(
    stack: cdk.Stack, synth: Synth, agreement: KeyAgreement, role: Any, role_statements: Callable[..., Statements]
) -> None:
    sender, receiver = role("Sender"), role("Receiver")
    agreement.grant_encrypt(sender)
    agreement.grant_decrypt(receiver)
    template = synth(stack)
    for caller, function in ((sender, agreement.encrypt_function), (receiver, agreement.decrypt_function)):
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
def test_agreement_that_could_not_work_is_refused(
    stack: cdk.Stack, agreement_key: KeyAgreementKey, arguments: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        KeyAgreement(stack, "A", **{"agreement_key": agreement_key, "purpose": "orders", **arguments})


def test_curve_that_the_functions_do_not_know_is_refused(app: cdk.App) -> None:
    china = cdk.Stack(app, "China", env=cdk.Environment(account="111122223333", region="cn-north-1"))
    agreement_key = KeyAgreementKey(china, "Key", key_spec=kms.KeySpec.SM2)
    with pytest.raises(ValueError, match="SM2, which the functions do not know"):
        KeyAgreement(china, "A", agreement_key=agreement_key, purpose="orders")


def test_key_agreement_matches_its_snapshot(
    stack: cdk.Stack, synth: Synth, agreement: KeyAgreement, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    assert agreement.encrypt_function.function_name
    snapshot_of(synth(stack))
