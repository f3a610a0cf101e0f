"""Authentication codes and session tokens under HMAC keys: only KMS makes and verifies them."""

import base64
import os

from demo.principals import directly, invoke_as, other_role, tampered
from demo.scenario import Group, Stage

STACK, ALGORITHM = "Mac", "HMAC_SHA_256"
MESSAGE = b'{"transfer": 7, "to": "account-1"}'

macs = Group("Authentication codes and session tokens: HMAC keys that no one holds", order=150)


def _code(stage: Stage, message: bytes = MESSAGE) -> str:
    return str(invoke_as(stage, STACK, "Sender", "Generate", message=message)["mac"])


def _verify(stage: Stage, message: bytes, code: str) -> str:
    answer = invoke_as(stage, STACK, "Receiver", "Verify", message=message, mac=code)
    return f"valid, {answer['macAlgorithm']}"


def _session(stage: Stage) -> str:
    return str(stage.once("session", lambda: invoke_as(stage, STACK, "Sender", "Issue", subject="operator-1")["token"]))


def _verify_session(stage: Stage, token: str) -> str:
    answer = invoke_as(stage, STACK, "Receiver", "VerifyToken", token=token)
    return f"{answer['claims']['sub']}, {answer['algorithm']}"


@macs.scenario("sender, receiver", "has a message authenticated; has it verified", f"valid, {ALGORITHM}")
def code_is_verified(stage: Stage) -> str:
    return _verify(stage, MESSAGE, _code(stage))


@macs.refused("receiver", "verifies a tampered message", "KMSInvalidMacException")
def code_of_another_message(stage: Stage) -> str:
    return _verify(stage, MESSAGE.replace(b"account-1", b"account-2"), _code(stage))


@macs.scenario("sender, receiver", "authenticates 4096 bytes", f"valid, {ALGORITHM}")
def code_of_the_largest_message(stage: Stage) -> str:
    message = os.urandom(4096)
    return _verify(stage, message, _code(stage, message))


@macs.refused("sender", "authenticates 4097 bytes", "MessageTooLarge")
def code_of_too_large_a_message(stage: Stage) -> str:
    return _code(stage, os.urandom(4097))


@macs.refused("receiver", "invokes the generate function", "AccessDeniedException (lambda:InvokeFunction)")
def receiver_may_not_generate(stage: Stage) -> None:
    invoke_as(stage, STACK, "Receiver", "Generate", message=MESSAGE)


@macs.refused("verify function's role", "calls GenerateMac", "AccessDeniedException (kms:GenerateMac)")
def verifier_may_not_generate(stage: Stage) -> None:
    directly(stage, STACK, "Verify", "generate_mac", Message=MESSAGE, MacAlgorithm=ALGORITHM)


@macs.refused("generate function's role", "asks for another algorithm", "AccessDeniedException (kms:GenerateMac)")
def generator_is_held_to_its_algorithm(stage: Stage) -> None:
    directly(stage, STACK, "Generate", "generate_mac", Message=MESSAGE, MacAlgorithm="HMAC_SHA_512")


@macs.refused("any other role", "calls VerifyMac, allowed by its IAM policy", "AccessDeniedException (kms:VerifyMac)")
def other_role_may_not_verify(stage: Stage) -> None:
    key = stage.output(STACK, "KeyArn")
    kms = other_role(stage, "kms", "kms-patterns-demo-would-be-verifier", [("kms:VerifyMac", key)])
    kms.verify_mac(KeyId=key, Message=MESSAGE, MacAlgorithm=ALGORITHM, Mac=base64.b64decode(_code(stage)))


@macs.scenario("sender, receiver", "gets a session token (HS256); has it verified", "operator-1, HS256")
def session_token_is_verified(stage: Stage) -> str:
    return _verify_session(stage, _session(stage))


@macs.refused("forger", "changes the subject", "TokenSignatureInvalid")
def tampered_session_token(stage: Stage) -> str:
    return _verify_session(stage, tampered(_session(stage), sub="operator-2"))


@macs.refused(
    "issuing function's role",
    "makes a session token's code with the messages' key",
    "AccessDeniedException (kms:GenerateMac)",
)
def sessions_and_messages_do_not_mix(stage: Stage) -> None:
    directly(stage, STACK, "Issue", "generate_mac", Message=MESSAGE, MacAlgorithm=ALGORITHM)
