"""Signatures by a key that never leaves KMS: two functions, two roles, one algorithm, verified with and without KMS."""

import base64
import hashlib
import os
from typing import Any

from demo.groups.public_key import published
from demo.principals import client, function_client, invoke, other_role
from demo.scenario import Group, Stage
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.signatures.signing import verify_digest

STACK, ALGORITHM = "Signing", "ECDSA_SHA_256"
MESSAGE = b'{"order": 42, "amount": "12.50"}'

signing = Group("Signatures: signed in KMS, verified there or without any call", order=90)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _sign(stage: Stage, message: bytes, message_type: str = "RAW") -> str:
    author = client(stage, "lambda", STACK, "AuthorRoleArn")
    event = {"message": _text(message), "messageType": message_type}
    return str(invoke(author, stage.output(STACK, "SignFunctionName"), event)["signature"])


def _verify(stage: Stage, message: bytes, signature: str, message_type: str = "RAW") -> str:
    reader = client(stage, "lambda", STACK, "ReaderRoleArn")
    event = {"message": _text(message), "messageType": message_type, "signature": signature}
    return "valid" if invoke(reader, stage.output(STACK, "VerifyFunctionName"), event)["signatureValid"] else "invalid"


def _signature(stage: Stage) -> str:
    return str(stage.notes.setdefault("signature of the order", _sign(stage, MESSAGE)))


def _public_key(stage: Stage) -> PublicKey:
    """The key as outsiders have it: published, fetched once, and no call follows."""
    if "public key of orders" not in stage.notes:
        stage.notes["public key of orders"] = published(stage, STACK)
    found: PublicKey = stage.notes["public key of orders"]
    return found


@signing.scenario(who="author", what="signs a message", expected="an ECDSA signature in DER")
def author_signs(stage: Stage) -> str:
    return "an ECDSA signature in DER" if base64.b64decode(_signature(stage))[0] == 0x30 else "something else"  # noqa: PLR2004


@signing.scenario(who="reader", what="verifies it in KMS", expected="valid")
def reader_verifies(stage: Stage) -> str:
    return _verify(stage, MESSAGE, _signature(stage))


@signing.scenario(who="reader", what="verifies a tampered message", expected="refused: KMSInvalidSignatureException")
def tampered_message(stage: Stage) -> str:
    return _verify(stage, MESSAGE.replace(b"12.50", b"99.50"), _signature(stage))


@signing.scenario(
    who="author, outsider",
    what="signs the file by its digest; verified with the published key",
    expected="valid, 1 call of KMS to sign and 0 to verify",
)
def file_by_digest(stage: Stage) -> str:
    key, before = _public_key(stage), len(stage.aws.kms_calls())
    with stage.file.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    signature = base64.b64decode(_sign(stage, digest, "DIGEST"))
    signed = len(stage.aws.kms_calls())
    verify_digest(key, digest, signature, algorithm=ALGORITHM)
    calls = len(stage.aws.kms_calls())
    return f"valid, {signed - before} call of KMS to sign and {calls - signed} to verify"


@signing.scenario(who="author", what="signs 4096 bytes as they are", expected="valid")
def largest_message(stage: Stage) -> str:
    message = os.urandom(4096)
    return _verify(stage, message, _sign(stage, message))


@signing.scenario(who="author", what="signs 4097 bytes as they are", expected="refused: MessageTooLarge")
def too_large_a_message(stage: Stage) -> str:
    return _sign(stage, os.urandom(4097))


@signing.scenario(
    who="reader", what="verifies another key's signature", expected="refused: KMSInvalidSignatureException"
)
def signature_of_another_key(stage: Stage) -> str:
    kms = stage.aws.session().client("kms")
    if "another signing key" not in stage.notes:
        made = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        stage.notes["another signing key"] = made["KeyMetadata"]["Arn"]
    arn = stage.notes["another signing key"]
    foreign = kms.sign(KeyId=arn, Message=MESSAGE, SigningAlgorithm=ALGORITHM)["Signature"]
    return _verify(stage, MESSAGE, _text(foreign))


def _direct(stage: Stage, role: str) -> Any:
    return function_client(stage, "kms", STACK, role)


@signing.scenario(
    who="sign function's role", what="calls Verify", expected="refused: AccessDeniedException (kms:Verify)"
)
def signer_may_not_verify(stage: Stage) -> str:
    _direct(stage, "SignRoleArn").verify(
        KeyId=stage.output(STACK, "KeyArn"),
        Message=MESSAGE,
        Signature=base64.b64decode(_signature(stage)),
        SigningAlgorithm=ALGORITHM,
    )
    return "verified"


@signing.scenario(who="verify function's role", what="calls Sign", expected="refused: AccessDeniedException (kms:Sign)")
def verifier_may_not_sign(stage: Stage) -> str:
    key = stage.output(STACK, "KeyArn")
    _direct(stage, "VerifyRoleArn").sign(KeyId=key, Message=MESSAGE, SigningAlgorithm=ALGORITHM)
    return "signed"


@signing.scenario(
    who="sign function's role",
    what="signs with another algorithm",
    expected="refused: AccessDeniedException (kms:Sign)",
)
def signer_is_held_to_its_algorithm(stage: Stage) -> str:
    key = stage.output(STACK, "KeyArn")
    _direct(stage, "SignRoleArn").sign(KeyId=key, Message=MESSAGE, SigningAlgorithm="ECDSA_SHA_384")
    return "signed"


@signing.scenario(
    who="any other role",
    what="calls Sign, allowed by its IAM policy",
    expected="refused: AccessDeniedException (kms:Sign)",
)
def other_role_may_not_sign(stage: Stage) -> str:
    key = stage.output(STACK, "KeyArn")
    kms = other_role(stage, "kms", "kms-patterns-demo-would-be-signer", [("kms:Sign", key)])
    kms.sign(KeyId=key, Message=MESSAGE, SigningAlgorithm=ALGORITHM)
    return "signed"


@signing.scenario(
    who="reader",
    what="invokes the sign function",
    expected="refused: AccessDeniedException (lambda:InvokeFunction)",
)
def reader_may_not_sign(stage: Stage) -> str:
    reader = client(stage, "lambda", STACK, "ReaderRoleArn")
    invoke(reader, stage.output(STACK, "SignFunctionName"), {"message": _text(MESSAGE)})
    return "signed"
