"""MessageAuthenticator: two functions, two roles, the algorithm of the key pinned on both sides."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda, aws_logs

from kms_patterns import FunctionOptions, MacKey, MessageAuthenticator

Statements = list[dict[str, Any]]
Synth = Callable[[cdk.Stack], dict[str, Any]]


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
