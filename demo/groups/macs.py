"""Authentication codes and session tokens under HMAC keys: only KMS makes and verifies them."""

import base64
import os
from typing import Any

from demo.principals import client, function_client, invoke, other_role, tampered
from demo.scenario import Group, Stage

STACK, ALGORITHM = "Mac", "HMAC_SHA_256"
MESSAGE = b'{"transfer": 7, "to": "account-1"}'

macs = Group("Authentication codes and session tokens: HMAC keys that no one holds", order=150)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _invoke(stage: Stage, role: str, function: str, **event: Any) -> dict[str, Any]:
    return invoke(
        client(stage, "lambda", STACK, f"{role}RoleArn"), stage.output(STACK, f"{function}FunctionName"), event
    )


def _code(stage: Stage, message: bytes = MESSAGE) -> str:
    return str(_invoke(stage, "Sender", "Generate", message=_text(message))["mac"])


def _verify(stage: Stage, message: bytes, code: str) -> str:
    answer = _invoke(stage, "Receiver", "Verify", message=_text(message), mac=code)
    return f"valid, {answer['macAlgorithm']}"


def _session(stage: Stage) -> str:
    if "session" not in stage.notes:
        stage.notes["session"] = _invoke(stage, "Sender", "Issue", subject="operator-1")["token"]
    return str(stage.notes["session"])


def _verify_session(stage: Stage, token: str) -> str:
    answer = _invoke(stage, "Receiver", "VerifyToken", token=token)
    return f"{answer['claims']['sub']}, {answer['algorithm']}"


@macs.scenario(
    who="sender, receiver", what="has a message authenticated; has it verified", expected=f"valid, {ALGORITHM}"
)
def code_is_verified(stage: Stage) -> str:
    return _verify(stage, MESSAGE, _code(stage))


@macs.scenario(who="receiver", what="verifies a tampered message", expected="refused: KMSInvalidMacException")
def code_of_another_message(stage: Stage) -> str:
    return _verify(stage, MESSAGE.replace(b"account-1", b"account-2"), _code(stage))


@macs.scenario(who="sender, receiver", what="authenticates 4096 bytes", expected=f"valid, {ALGORITHM}")
def code_of_the_largest_message(stage: Stage) -> str:
    message = os.urandom(4096)
    return _verify(stage, message, _code(stage, message))


@macs.scenario(who="sender", what="authenticates 4097 bytes", expected="refused: MessageTooLarge")
def code_of_too_large_a_message(stage: Stage) -> str:
    return _code(stage, os.urandom(4097))


@macs.scenario(
    who="receiver",
    what="invokes the generate function",
    expected="refused: AccessDeniedException (lambda:InvokeFunction)",
)
def receiver_may_not_generate(stage: Stage) -> str:
    _invoke(stage, "Receiver", "Generate", message=_text(MESSAGE))
    return "generated"


def _direct(stage: Stage, role: str) -> Any:
    return function_client(stage, "kms", STACK, role)


@macs.scenario(
    who="verify function's role", what="calls GenerateMac", expected="refused: AccessDeniedException (kms:GenerateMac)"
)
def verifier_may_not_generate(stage: Stage) -> str:
    request = {"KeyId": stage.output(STACK, "KeyArn"), "Message": MESSAGE, "MacAlgorithm": ALGORITHM}
    _direct(stage, "VerifyRoleArn").generate_mac(**request)
    return "generated"


@macs.scenario(
    who="generate function's role",
    what="asks for another algorithm",
    expected="refused: AccessDeniedException (kms:GenerateMac)",
)
def generator_is_held_to_its_algorithm(stage: Stage) -> str:
    request = {"KeyId": stage.output(STACK, "KeyArn"), "Message": MESSAGE, "MacAlgorithm": "HMAC_SHA_512"}
    _direct(stage, "GenerateRoleArn").generate_mac(**request)
    return "generated"


@macs.scenario(
    who="any other role",
    what="calls VerifyMac, allowed by its IAM policy",
    expected="refused: AccessDeniedException (kms:VerifyMac)",
)
def other_role_may_not_verify(stage: Stage) -> str:
    key = stage.output(STACK, "KeyArn")
    kms = other_role(stage, "kms", "kms-patterns-demo-would-be-verifier", [("kms:VerifyMac", key)])
    kms.verify_mac(KeyId=key, Message=MESSAGE, MacAlgorithm=ALGORITHM, Mac=base64.b64decode(_code(stage)))
    return "verified"


@macs.scenario(
    who="sender, receiver", what="gets a session token (HS256); has it verified", expected="operator-1, HS256"
)
def session_token_is_verified(stage: Stage) -> str:
    return _verify_session(stage, _session(stage))


@macs.scenario(who="forger", what="changes the subject", expected="refused: TokenSignatureInvalid")
def tampered_session_token(stage: Stage) -> str:
    return _verify_session(stage, tampered(_session(stage), sub="operator-2"))


@macs.scenario(
    who="issuing function's role",
    what="makes a session token's code with the messages' key",
    expected="refused: AccessDeniedException (kms:GenerateMac)",
)
def sessions_and_messages_do_not_mix(stage: Stage) -> str:
    request = {"KeyId": stage.output(STACK, "KeyArn"), "Message": MESSAGE, "MacAlgorithm": ALGORITHM}
    _direct(stage, "IssueRoleArn").generate_mac(**request)
    return "generated"
