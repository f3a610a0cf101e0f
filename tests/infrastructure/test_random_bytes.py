"""RandomBytes: one function, one role, one action that has no resource."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam

from kms_patterns import RandomBytes

Statements = list[dict[str, Any]]
Synth = Callable[[cdk.Stack], dict[str, Any]]


@pytest.fixture
def seeds(stack: cdk.Stack) -> RandomBytes:
    return RandomBytes(stack, "Seeds")


def test_role_may_generate_random_and_do_nothing_else_in_kms(
    stack: cdk.Stack, synth: Synth, seeds: RandomBytes, role_statements: Callable[..., Statements]
) -> None:
    base: Any = seeds.node.find_child("Generate")
    assert role_statements(synth(stack), stack, seeds.role) == [
        {
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Effect": "Allow",
            "Resource": stack.resolve(base.log_group.log_group_arn),
        },
        {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": stack.resolve(base.dead_letters.queue_arn)},
        {"Action": "kms:GenerateRandom", "Effect": "Allow", "Resource": "*"},
    ]


def test_caller_is_granted_the_function_and_nothing_in_kms(
    stack: cdk.Stack,
    synth: Synth,
    seeds: RandomBytes,
    role: Callable[..., aws_iam.Role],
    role_statements: Callable[..., Statements],
) -> None:
    seeder, stranger = role("Seeder"), role("Stranger")
    assert seeds.grant_generate(seeder).success
    template = synth(stack)
    arn = stack.resolve(seeds.function.function_arn)
    assert role_statements(template, stack, seeder) == [
        {"Action": "lambda:InvokeFunction", "Effect": "Allow", "Resource": arn}
    ]
    assert role_statements(template, stack, stranger) == []


def test_template_matches_its_snapshot(
    stack: cdk.Stack, synth: Synth, seeds: RandomBytes, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    assert seeds.function.function_name
    snapshot_of(synth(stack))
