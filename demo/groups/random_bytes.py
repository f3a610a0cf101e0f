"""Random bytes: one function makes them, one role may ask, and no key is used."""

import base64
from typing import Any

from demo.principals import client, function_client, invoke, other_role
from demo.scenario import Group, Stage

STACK = "RandomBytes"

random_bytes = Group("Random bytes: from KMS without a key", order=155)


def _generate(stage: Stage, event: dict[str, Any], caller: Any = None) -> bytes:
    caller = caller or client(stage, "lambda", STACK, "SeederRoleArn")
    response = invoke(caller, stage.output(STACK, "GenerateFunctionName"), event)
    return base64.b64decode(response["randomBytes"])


@random_bytes.scenario("seeder", "asks twice for 1024 bytes", "1024 and 1024 bytes, not equal")
def seeder_gets_random_bytes(stage: Stage) -> str:
    one, other = (_generate(stage, {"count": 1024}) for _ in range(2))
    return f"{len(one)} and {len(other)} bytes, {'equal' if one == other else 'not equal'}"


@random_bytes.refused("seeder", "asks for 1025 bytes", "InvalidRequest")
def too_many_random_bytes(stage: Stage) -> str:
    return f"{len(_generate(stage, {'count': 1025}))} bytes"


@random_bytes.refused("seeder", "asks KMS itself", "AccessDeniedException (kms:GenerateRandom)")
def seeder_may_not_ask_kms(stage: Stage) -> None:
    client(stage, "kms", STACK, "SeederRoleArn").generate_random(NumberOfBytes=32)


@random_bytes.refused(
    "another role, with kms:GenerateRandom in IAM",
    "invokes the function",
    "AccessDeniedException (lambda:InvokeFunction)",
)
def other_role_may_not_invoke(stage: Stage) -> str:
    caller = other_role(stage, "lambda", "kms-patterns-demo-other-seeder", [("kms:GenerateRandom", "*")])
    return f"{len(_generate(stage, {'count': 32}, caller))} bytes"


@random_bytes.refused("function's role", "makes a key", "AccessDeniedException (kms:CreateKey)")
def function_may_do_nothing_else_in_kms(stage: Stage) -> None:
    function_client(stage, "kms", STACK, "GenerateRoleArn").create_key()
