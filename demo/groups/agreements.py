"""Key agreement: an outsider encrypts orders and decrypts answers with its own private key, and no AWS credentials."""

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from demo.principals import altered, client, directly, function_client, invoke_as, other_role
from demo.scenario import Group, Stage
from kms_runtime.key_agreement.agreement import LocalParty, decrypt, encrypt

STACK = "KeyAgreement"
ORDER, ANSWER, PURPOSE = b"4711: two bicycles", b"4711: accepted", "orders"

agreements = Group("Key agreement: payloads encrypted between a KMS key and an outsider", order=120)


def _kms_public_key(stage: Stage) -> bytes:
    publisher = client(stage, "kms", STACK, "PublisherRoleArn")
    return bytes(publisher.get_public_key(KeyId=stage.output(STACK, "KeyArn"))["PublicKey"])


def _outsider(stage: Stage) -> LocalParty:
    found: LocalParty = stage.once("agreement outsider", lambda: LocalParty(ec.generate_private_key(ec.SECP256R1())))
    return found


def _order(stage: Stage, purpose: str = PURPOSE) -> bytes:
    outsider = _outsider(stage)
    recipient = _kms_public_key(stage)
    return encrypt(ORDER, party=outsider, sender=outsider.public_key, recipient=recipient, purpose=purpose)


def _decrypt(stage: Stage, message: bytes, role: str = "Receiver") -> dict[str, Any]:
    return invoke_as(stage, STACK, role, "Decrypt", message=message)


def _encrypt(stage: Stage, recipient: bytes) -> bytes:
    event = {"payload": ANSWER, "recipientPublicKey": recipient, "senderPublicKey": _kms_public_key(stage)}
    return base64.b64decode(invoke_as(stage, STACK, "Sender", "Encrypt", **event)["message"])


@agreements.scenario("outsider, receiver", "encrypts an order; decrypts it", "4711: two bicycles")
def receiver_decrypts_an_order(stage: Stage) -> str:
    answer = _decrypt(stage, _order(stage))
    if base64.b64decode(answer["senderPublicKey"]) != _outsider(stage).public_key:
        return "from someone else"
    return base64.b64decode(answer["payload"]).decode()


@agreements.scenario("sender, outsider", "encrypts an answer; decrypts it", "4711: accepted")
def outsider_decrypts_an_answer(stage: Stage) -> str:
    outsider = _outsider(stage)
    message = _encrypt(stage, outsider.public_key)
    return decrypt(message, party=outsider, purpose=PURPOSE, sender=_kms_public_key(stage)).payload.decode()


@agreements.refused("receiver", "decrypts a tampered order", "MessageAuthenticationFailed")
def tampered_order(stage: Stage) -> str:
    return str(_decrypt(stage, altered(_order(stage))))


@agreements.refused("receiver", "decrypts a message of another purpose", "MessageAuthenticationFailed")
def other_purpose(stage: Stage) -> str:
    return str(_decrypt(stage, _order(stage, purpose="payments")))


@agreements.refused("sender", "encrypts for a key on P-384", "PublicKeyInvalid")
def peer_on_another_curve(stage: Stage) -> str:
    return _encrypt(stage, LocalParty(ec.generate_private_key(ec.SECP384R1())).public_key).hex()


@agreements.refused("sender", "encrypts for a point off the curve", "PublicKeyInvalid")
def peer_off_the_curve(stage: Stage) -> str:
    return _encrypt(stage, altered(_outsider(stage).public_key)).hex()


@agreements.refused("encrypt function's role", "agrees with a key on P-384 directly", "ValidationException")
def kms_refuses_another_curve(stage: Stage) -> str:
    peer = (
        ec.generate_private_key(ec.SECP384R1())
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    return _derive(stage, function_client(stage, "kms", STACK, "EncryptRoleArn"), peer)


@agreements.refused("decrypt function's role", "downloads the public key", "AccessDeniedException (kms:GetPublicKey)")
def decrypt_role_may_derive_only(stage: Stage) -> None:
    directly(stage, STACK, "Decrypt", "get_public_key")


@agreements.refused(
    "another role, with kms:DeriveSharedSecret in IAM",
    "derives the outsider's secret",
    "AccessDeniedException (kms:DeriveSharedSecret)",
)
def other_role_may_not_derive(stage: Stage) -> str:
    allow = [("kms:DeriveSharedSecret", stage.output(STACK, "KeyArn"))]
    thief = other_role(stage, "kms", "kms-patterns-demo-agreement-thief", allow)
    return _derive(stage, thief, _outsider(stage).public_key)


@agreements.refused("sender", "invokes the decrypt function", "AccessDeniedException (lambda:InvokeFunction)")
def sender_may_not_decrypt(stage: Stage) -> str:
    return str(_decrypt(stage, _order(stage), role="Sender"))


def _derive(stage: Stage, kms: Any, peer: bytes) -> str:
    key = stage.output(STACK, "KeyArn")
    kms.derive_shared_secret(KeyId=key, KeyAgreementAlgorithm="ECDH", PublicKey=peer)
    return "derived"
