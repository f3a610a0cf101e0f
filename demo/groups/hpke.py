"""HPKE: an outsider encrypts for a published ML-KEM key, and only that key, purpose and message decrypt."""

import base64
from typing import Any

from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from demo.groups.public_key import published
from demo.principals import altered, directly, invoke_as, other_role
from demo.scenario import Group, Stage
from kms_runtime.key_agreement.hpke import encrypt

STACK = "Hpke"
ORDER, PURPOSE = b"4711: two bicycles", b"orders"

messages = Group("HPKE: an ML-KEM key of KMS that outsiders encrypt for, safe from a later quantum computer", order=125)


def _decrypt(stage: Stage, message: bytes, function: str = "Decrypt") -> str:
    return base64.b64decode(invoke_as(stage, STACK, "Reader", function, message=message)["payload"]).decode()


@messages.scenario(
    "outsider, reader", "encrypts with cryptography's HPKE for the published key; decrypts", "4711: two bicycles"
)
def reader_decrypts_what_a_standard_library_encrypted(stage: Stage) -> str:
    suite = hpke.Suite(hpke.KEM.MLKEM768, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    key: Any = published(stage, STACK).key
    return _decrypt(stage, suite.encrypt(ORDER, key, info=PURPOSE))


@messages.refused("outsider, reader", "encrypts for another ML-KEM key", "MessageAuthenticationFailed")
def message_for_another_key(stage: Stage) -> str:
    other = MLKEM768PrivateKey.generate().public_key()
    der = other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return _decrypt(stage, encrypt(ORDER, public_key=der, info=PURPOSE))


@messages.refused("reader", "decrypts an altered encapsulated key", "MessageAuthenticationFailed")
def altered_encapsulated_key(stage: Stage) -> str:
    return _decrypt(stage, altered(encrypt(ORDER, public_key=published(stage, STACK).der, info=PURPOSE), 0))


@messages.refused("reader", "decrypts an altered ciphertext", "MessageAuthenticationFailed")
def altered_ciphertext(stage: Stage) -> str:
    return _decrypt(stage, altered(encrypt(ORDER, public_key=published(stage, STACK).der, info=PURPOSE)))


@messages.refused("reader", "decrypts a message of another suite", "MessageAuthenticationFailed")
def message_of_another_suite(stage: Stage) -> str:
    suite = hpke.Suite(hpke.KEM.MLKEM768, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
    key: Any = published(stage, STACK).key
    return _decrypt(stage, suite.encrypt(ORDER, key, info=PURPOSE))


@messages.refused("reader", "decrypts a message of another purpose", "MessageAuthenticationFailed")
def message_of_another_purpose(stage: Stage) -> str:
    return _decrypt(stage, encrypt(ORDER, public_key=published(stage, STACK).der, info=b"payments"))


@messages.refused("reader", "decrypts half a message", "MessageTruncated")
def truncated_message(stage: Stage) -> str:
    return _decrypt(stage, encrypt(ORDER, public_key=published(stage, STACK).der, info=PURPOSE)[:1000])


def _hybrid(stage: Stage, curve: Any) -> str:
    suite = hpke.Suite(hpke.KEM.MLKEM1024_P384, hpke.KDF.HKDF_SHA384, hpke.AEAD.AES_256_GCM)
    lattice: Any = published(stage, STACK, "LatticeKeyUrl").key
    message = suite.encrypt(ORDER, hpke.MLKEM1024P384PublicKey(lattice, curve), info=PURPOSE)
    return _decrypt(stage, message, "Hybrid")


@messages.scenario(
    "outsider, reader",
    "encrypts with cryptography's hybrid HPKE for both published keys; decrypts",
    "4711: two bicycles",
)
def reader_decrypts_a_hybrid_message(stage: Stage) -> str:
    return _hybrid(stage, published(stage, STACK, "CurveKeyUrl").key)


@messages.refused(
    "outsider, reader", "encrypts for the published ML-KEM key and another ECC key", "MessageAuthenticationFailed"
)
def hybrid_message_for_half_of_the_keys(stage: Stage) -> str:
    return _hybrid(stage, ec.generate_private_key(ec.SECP384R1()).public_key())


@messages.refused(
    "decrypt function's role",
    "derives the ECDH half of the other function",
    "AccessDeniedException (kms:DeriveSharedSecret)",
)
def decrypt_role_may_not_derive(stage: Stage) -> None:
    peer = ec.generate_private_key(ec.SECP384R1()).public_key()
    der = peer.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    given = {"KeyAgreementAlgorithm": "ECDH", "PublicKey": der}
    directly(stage, STACK, "Decrypt", "derive_shared_secret", "CurveKey", **given)


@messages.refused("decrypt function's role", "encapsulates", "AccessDeniedException (kms:Encapsulate)")
def decrypt_role_may_decapsulate_only(stage: Stage) -> None:
    directly(stage, STACK, "Decrypt", "encapsulate", EncapsulationAlgorithm="ML_KEM")


@messages.refused(
    "another role, with kms:Decapsulate in IAM",
    "decapsulates an outsider's message",
    "AccessDeniedException (kms:Decapsulate)",
)
def other_role_may_not_decapsulate(stage: Stage) -> None:
    key = stage.output(STACK, "KeyArn")
    thief = other_role(stage, "kms", "kms-patterns-demo-hpke-thief", [("kms:Decapsulate", key)])
    encapsulated = encrypt(ORDER, public_key=published(stage, STACK).der, info=PURPOSE)[:1088]
    thief.decapsulate(KeyId=key, EncapsulationAlgorithm="ML_KEM", SharedSecretCiphertextBlob=encapsulated)
