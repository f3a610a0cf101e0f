"""MacTokenIssuer: one role makes tokens, another verifies them, with one algorithm, and nothing is published."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms

from kms_patterns import MacKey, MacTokenIssuer
from kms_patterns.policy.token_algorithms import TOKEN_ALGORITHMS
from kms_runtime.tokens import ALGORITHMS

Statements = list[dict[str, Any]]
Synth = Callable[[cdk.Stack], dict[str, Any]]
GIVEN: dict[str, Any] = {"issuer": "https://sessions.example", "audiences": ["console"]}


def key_of(stack: cdk.Stack, name: str, spec: str = "HMAC_256") -> MacKey:
    return MacKey(stack, name, key_spec=getattr(kms.KeySpec, spec))


def pin(bits: int) -> dict[str, Any]:
    return {"StringEquals": {"kms:MacAlgorithm": f"HMAC_SHA_{bits}"}}


def kms_statements(statements: Statements) -> Statements:
    return [statement for statement in statements if "kms:" in str(statement["Action"])]


@pytest.mark.parametrize("bits", [256, 384, 512])
def test_each_role_may_do_one_action_with_one_algorithm(
    bits: int,
    stack: cdk.Stack,
    synth: Synth,
    role_statements: Callable[..., Statements],
    key_statements: Callable[..., Statements],
    named: Callable[..., Any],
) -> None:
    key = key_of(stack, "Key", f"HMAC_{bits}")
    issuer = MacTokenIssuer(stack, "Issuer", mac_key=key, **GIVEN)
    template, arn = synth(stack), stack.resolve(key.key_arn)
    assert issuer.algorithm == f"HS{bits}"
    for role, action in ((issuer.issue_role, "kms:GenerateMac"), (issuer.verify_role, "kms:VerifyMac")):
        base = issuer.node.find_child("Issue" if role is issuer.issue_role else "Verify")
        assert role_statements(template, stack, role) == [
            {
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Effect": "Allow",
                "Resource": stack.resolve(base.log_group.log_group_arn),
            },
            {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": stack.resolve(base.dead_letters.queue_arn)},
            {"Action": action, "Condition": pin(bits), "Effect": "Allow", "Resource": arn},
        ]
    assert key_statements(template)[1:] == [
        named(issuer.issue_role, ["kms:GenerateMac"], pin(bits)),
        named(issuer.verify_role, ["kms:VerifyMac"], pin(bits)),
    ]


def test_previous_key_is_verified_with_its_own_algorithm_and_makes_nothing_new(
    stack: cdk.Stack, synth: Synth, role_statements: Callable[..., Statements]
) -> None:
    current, previous = key_of(stack, "Current"), key_of(stack, "Previous", "HMAC_512")
    issuer = MacTokenIssuer(stack, "Issuer", mac_key=current, previous_keys=[previous], **GIVEN)
    template = synth(stack)
    arns = [stack.resolve(key.key_arn) for key in (current, previous)]
    assert [s["Resource"] for s in kms_statements(role_statements(template, stack, issuer.issue_role))] == arns[:1]
    assert [
        (s["Resource"], s["Condition"]) for s in kms_statements(role_statements(template, stack, issuer.verify_role))
    ] == [(arns[0], pin(256)), (arns[1], pin(512))]


def test_nothing_is_published(stack: cdk.Stack, synth: Synth) -> None:
    MacTokenIssuer(stack, "Issuer", mac_key=key_of(stack, "Key"), **GIVEN)
    kinds = {item["Type"] for item in synth(stack)["Resources"].values()}
    assert not kinds & {"AWS::Lambda::Url", "AWS::Lambda::Permission"}


def test_verify_function_knows_what_to_expect(stack: cdk.Stack, synth: Synth) -> None:
    key = key_of(stack, "Key")
    skew = cdk.Duration.seconds(0)
    issuer = MacTokenIssuer(stack, "Issuer", mac_key=key, required_claims=["role"], clock_skew=skew, **GIVEN)
    function = synth(stack)["Resources"][stack.resolve(issuer.verify_function.function_name)["Ref"]]["Properties"]
    assert function["Handler"] == "kms_runtime.handlers.token_issuer.verify"
    assert function["Environment"]["Variables"] == {
        "ISSUER": "https://sessions.example",
        "AUDIENCES": '["console"]',
        "REQUIRED_CLAIMS": '["role"]',
        "TOKEN_TYPE": "JWT",
        "CLOCK_SKEW": "0",
        "TOKEN_KEYS": {"Fn::Join": ["", ['{"', stack.resolve(key.key_arn), '":"HS256"}']]},
    }


def test_callers_are_granted_one_function_each(
    stack: cdk.Stack, synth: Synth, role: Any, role_statements: Callable[..., Statements]
) -> None:
    issuer = MacTokenIssuer(stack, "Issuer", mac_key=key_of(stack, "Key"), **GIVEN)
    login, console = role("Login"), role("Console")
    issuer.grant_issue(login)
    issuer.grant_verify(console)
    template = synth(stack)
    for who, function in ((login, issuer.issue_function), (console, issuer.verify_function)):
        assert role_statements(template, stack, who) == [
            {
                "Action": "lambda:InvokeFunction",
                "Effect": "Allow",
                "Resource": stack.resolve(function.function_arn),
            }
        ]


def test_hmac_224_has_no_algorithm_of_tokens(stack: cdk.Stack) -> None:
    with pytest.raises(ValueError, match="tokens have no algorithm for key spec HMAC_224"):
        MacTokenIssuer(stack, "Issuer", mac_key=key_of(stack, "Key", "HMAC_224"), **GIVEN)


def test_clock_skew_has_a_limit(stack: cdk.Stack) -> None:
    with pytest.raises(ValueError, match="clock_skew is 301 s: give 0 s to 300 s"):
        MacTokenIssuer(stack, "Issuer", mac_key=key_of(stack, "Key"), clock_skew=cdk.Duration.seconds(301), **GIVEN)


def test_constructs_and_functions_agree_on_the_algorithms() -> None:
    assert {name: (known.kms_name, known.key_specs) for name, known in TOKEN_ALGORITHMS.items()} == {
        name: (known.kms_name, known.key_specs) for name, known in ALGORITHMS.items()
    }


def test_mac_token_issuer_matches_its_snapshot(
    stack: cdk.Stack, synth: Synth, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    MacTokenIssuer(stack, "Issuer", mac_key=key_of(stack, "Key"), **GIVEN)
    snapshot_of(synth(stack))
