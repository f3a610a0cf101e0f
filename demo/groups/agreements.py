"""Key agreement: an outsider encrypts orders and decrypts answers with its own private key, and no AWS credentials."""

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from demo.principals import client, function_client, invoke, other_role
from demo.scenario import Group, Stage
from kms_runtime.key_agreement.agreement import LocalParty, decrypt, encrypt

STACK = "KeyAgreement"
ORDER, ANSWER, PURPOSE = b"4711: two bicycles", b"4711: accepted", "orders"

agreements = Group("Key agreement: payloads encrypted between a KMS key and an outsider", order=120)


def _kms_public_key(stage: Stage) -> bytes:
    publisher = client(stage, "kms", STACK, "PublisherRoleArn")
    return bytes(publisher.get_public_key(KeyId=stage.output(STACK, "KeyArn"))["PublicKey"])


def _outsider(stage: Stage) -> LocalParty:
    found: LocalParty = stage.notes.setdefault("agreement outsider", LocalParty(_private_key(ec.SECP256R1())))
    return found


def _private_key(curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve)


def _order(stage: Stage, purpose: str = PURPOSE) -> bytes:
    outsider = _outsider(stage)
    recipient = _kms_public_key(stage)
    return encrypt(ORDER, party=outsider, sender=outsider.public_key, recipient=recipient, purpose=purpose)


def _decrypt(stage: Stage, message: bytes, role: str = "Receiver") -> dict[str, Any]:
    caller = client(stage, "lambda", STACK, f"{role}RoleArn")
    event = {"message": base64.b64encode(message).decode()}
    return invoke(caller, stage.output(STACK, "DecryptFunctionName"), event)


def _encrypt(stage: Stage, recipient: bytes) -> bytes:
    event = {
        "payload": base64.b64encode(ANSWER).decode(),
        "recipientPublicKey": base64.b64encode(recipient).decode(),
        "senderPublicKey": base64.b64encode(_kms_public_key(stage)).decode(),
    }
    sender = client(stage, "lambda", STACK, "SenderRoleArn")
    return base64.b64decode(invoke(sender, stage.output(STACK, "EncryptFunctionName"), event)["message"])


@agreements.scenario(who="outsider, receiver", what="encrypts an order; decrypts it", expected="4711: two bicycles")
def receiver_decrypts_an_order(stage: Stage) -> str:
    answer = _decrypt(stage, _order(stage))
    if base64.b64decode(answer["senderPublicKey"]) != _outsider(stage).public_key:
        return "from someone else"
    return base64.b64decode(answer["payload"]).decode()


@agreements.scenario(who="sender, outsider", what="encrypts an answer; decrypts it", expected="4711: accepted")
def outsider_decrypts_an_answer(stage: Stage) -> str:
    outsider = _outsider(stage)
    message = _encrypt(stage, outsider.public_key)
    return decrypt(message, party=outsider, purpose=PURPOSE, sender=_kms_public_key(stage)).payload.decode()


@agreements.scenario(who="receiver", what="decrypts a tampered order", expected="refused: MessageAuthenticationFailed")
def tampered_order(stage: Stage) -> str:
    message = bytearray(_order(stage))
    message[-1] ^= 1
    return str(_decrypt(stage, bytes(message)))


@agreements.scenario(
    who="receiver", what="decrypts a message of another purpose", expected="refused: MessageAuthenticationFailed"
)
def other_purpose(stage: Stage) -> str:
    return str(_decrypt(stage, _order(stage, purpose="payments")))


@agreements.scenario(who="sender", what="encrypts for a key on P-384", expected="refused: PublicKeyInvalid")
def peer_on_another_curve(stage: Stage) -> str:
    return _encrypt(stage, LocalParty(_private_key(ec.SECP384R1())).public_key).hex()


@agreements.scenario(who="sender", what="encrypts for a point off the curve", expected="refused: PublicKeyInvalid")
def peer_off_the_curve(stage: Stage) -> str:
    altered = bytearray(_outsider(stage).public_key)
    altered[-1] ^= 1
    return _encrypt(stage, bytes(altered)).hex()


@agreements.scenario(
    who="encrypt function's role", what="agrees with a key on P-384 directly", expected="refused: ValidationException"
)
def kms_refuses_another_curve(stage: Stage) -> str:
    peer = _private_key(ec.SECP384R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return _derive(stage, function_client(stage, "kms", STACK, "EncryptRoleArn"), peer)


@agreements.scenario(
    who="decrypt function's role",
    what="downloads the public key",
    expected="refused: AccessDeniedException (kms:GetPublicKey)",
)
def decrypt_role_may_derive_only(stage: Stage) -> str:
    function_client(stage, "kms", STACK, "DecryptRoleArn").get_public_key(KeyId=stage.output(STACK, "KeyArn"))
    return "downloaded"


@agreements.scenario(
    who="another role, with kms:DeriveSharedSecret in IAM",
    what="derives the outsider's secret",
    expected="refused: AccessDeniedException (kms:DeriveSharedSecret)",
)
def other_role_may_not_derive(stage: Stage) -> str:
    allow = [("kms:DeriveSharedSecret", stage.output(STACK, "KeyArn"))]
    thief = other_role(stage, "kms", "kms-patterns-demo-agreement-thief", allow)
    return _derive(stage, thief, _outsider(stage).public_key)


@agreements.scenario(
    who="sender",
    what="invokes the decrypt function",
    expected="refused: AccessDeniedException (lambda:InvokeFunction)",
)
def sender_may_not_decrypt(stage: Stage) -> str:
    return str(_decrypt(stage, _order(stage), role="Sender"))


def _derive(stage: Stage, kms: Any, peer: bytes) -> str:
    key = stage.output(STACK, "KeyArn")
    kms.derive_shared_secret(KeyId=key, KeyAgreementAlgorithm="ECDH", PublicKey=peer)
    return "derived"
