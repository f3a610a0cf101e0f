"""Signatures by a key that never leaves KMS: two functions, two roles, one algorithm, verified with and without KMS."""

import base64
import hashlib
import os

from demo.groups.public_key import published
from demo.principals import directly, foreign_signing_key, invoke_as, other_role
from demo.scenario import Group, Stage
from kms_runtime.signatures.signing import verify_digest

STACK, ALGORITHM = "Signing", "ECDSA_SHA_256"
MESSAGE = b'{"order": 42, "amount": "12.50"}'

signing = Group("Signatures: signed in KMS, verified there or without any call", order=90)


def _sign(stage: Stage, message: bytes, message_type: str = "RAW") -> str:
    return str(invoke_as(stage, STACK, "Author", "Sign", message=message, messageType=message_type)["signature"])


def _verify(stage: Stage, message: bytes, signature: str | bytes) -> str:
    answer = invoke_as(stage, STACK, "Reader", "Verify", message=message, messageType="RAW", signature=signature)
    return "valid" if answer["signatureValid"] else "invalid"


def _signature(stage: Stage) -> str:
    return str(stage.once("signature of the order", lambda: _sign(stage, MESSAGE)))


@signing.scenario("author", "signs a message", "an ECDSA signature in DER")
def author_signs(stage: Stage) -> str:
    return "an ECDSA signature in DER" if base64.b64decode(_signature(stage))[0] == 0x30 else "something else"  # noqa: PLR2004


@signing.scenario("reader", "verifies it in KMS", "valid")
def reader_verifies(stage: Stage) -> str:
    return _verify(stage, MESSAGE, _signature(stage))


@signing.refused("reader", "verifies a tampered message", "KMSInvalidSignatureException")
def tampered_message(stage: Stage) -> str:
    return _verify(stage, MESSAGE.replace(b"12.50", b"99.50"), _signature(stage))


@signing.scenario(
    "author, outsider",
    "signs the file by its digest; verified with the published key",
    "valid, 1 call of KMS to sign and 0 to verify",
)
def file_by_digest(stage: Stage) -> str:
    key, before = published(stage, STACK), len(stage.aws.kms_calls())
    with stage.file.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    signature = base64.b64decode(_sign(stage, digest, "DIGEST"))
    signed = len(stage.aws.kms_calls())
    verify_digest(key, digest, signature, algorithm=ALGORITHM)
    calls = len(stage.aws.kms_calls())
    return f"valid, {signed - before} call of KMS to sign and {calls - signed} to verify"


@signing.scenario("author", "signs 4096 bytes as they are", "valid")
def largest_message(stage: Stage) -> str:
    message = os.urandom(4096)
    return _verify(stage, message, _sign(stage, message))


@signing.refused("author", "signs 4097 bytes as they are", "MessageTooLarge")
def too_large_a_message(stage: Stage) -> str:
    return _sign(stage, os.urandom(4097))


@signing.refused("reader", "verifies another key's signature", "KMSInvalidSignatureException")
def signature_of_another_key(stage: Stage) -> str:
    kms, arn = stage.aws.session().client("kms"), foreign_signing_key(stage)
    return _verify(stage, MESSAGE, kms.sign(KeyId=arn, Message=MESSAGE, SigningAlgorithm=ALGORITHM)["Signature"])


@signing.refused("sign function's role", "calls Verify", "AccessDeniedException (kms:Verify)")
def signer_may_not_verify(stage: Stage) -> None:
    given = {"Message": MESSAGE, "Signature": base64.b64decode(_signature(stage)), "SigningAlgorithm": ALGORITHM}
    directly(stage, STACK, "Sign", "verify", **given)


@signing.refused("verify function's role", "calls Sign", "AccessDeniedException (kms:Sign)")
def verifier_may_not_sign(stage: Stage) -> None:
    directly(stage, STACK, "Verify", "sign", Message=MESSAGE, SigningAlgorithm=ALGORITHM)


@signing.refused("sign function's role", "signs with another algorithm", "AccessDeniedException (kms:Sign)")
def signer_is_held_to_its_algorithm(stage: Stage) -> None:
    directly(stage, STACK, "Sign", "sign", Message=MESSAGE, SigningAlgorithm="ECDSA_SHA_384")


@signing.refused("any other role", "calls Sign, allowed by its IAM policy", "AccessDeniedException (kms:Sign)")
def other_role_may_not_sign(stage: Stage) -> None:
    key = stage.output(STACK, "KeyArn")
    kms = other_role(stage, "kms", "kms-patterns-demo-would-be-signer", [("kms:Sign", key)])
    kms.sign(KeyId=key, Message=MESSAGE, SigningAlgorithm=ALGORITHM)


@signing.refused("reader", "invokes the sign function", "AccessDeniedException (lambda:InvokeFunction)")
def reader_may_not_sign(stage: Stage) -> None:
    invoke_as(stage, STACK, "Reader", "Sign", message=MESSAGE)
