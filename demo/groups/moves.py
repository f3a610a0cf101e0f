"""ReEncrypt: ciphertexts moved to another key and context by a function that reads none of them."""

import base64
from typing import Any

from demo.principals import altered, client, directly, function_client, invoke_as
from demo.scenario import Group, Stage, summarize
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.secrets.rsa_secrets import encrypt_with_public_key

STACK = "ReEncrypt"
TENANT = {"tenant": "a"}
ARCHIVED, RECEIVED = {**TENANT, "state": "archived"}, {**TENANT, "state": "received"}
VALUE = b"old but gold"

moves = Group("ReEncrypt: to another key or context, unread", order=130)


def _old(stage: Stage, context: dict[str, str] | None = None) -> bytes:
    writer = client(stage, "kms", STACK, "WriterRoleArn")
    key = stage.output(STACK, "OldKeyArn")
    answer = writer.encrypt(KeyId=key, Plaintext=VALUE, EncryptionContext=context or TENANT)
    return bytes(answer["CiphertextBlob"])


def _move(stage: Stage, ciphertext: bytes, *, function: str = "Archive", role: str = "Mover", **contexts: Any) -> bytes:
    event = {"ciphertext": ciphertext, "destinationEncryptionContext": TENANT, **contexts}
    return base64.b64decode(invoke_as(stage, STACK, role, function, **event)["ciphertext"])


def _archive(stage: Stage, ciphertext: bytes, **contexts: Any) -> bytes:
    return _move(stage, ciphertext, **{"sourceEncryptionContext": TENANT, **contexts})


def _read(stage: Stage, ciphertext: bytes, context: dict[str, str]) -> str:
    reader = client(stage, "kms", STACK, "ReaderRoleArn")
    key = stage.output(STACK, "NewKeyArn")
    answer = reader.decrypt(KeyId=key, CiphertextBlob=ciphertext, EncryptionContext=context)
    return bytes(answer["Plaintext"]).decode()


@moves.scenario(
    "mover, reader", "moves a value to the new key; reads it there", "old but gold; moved by ReEncryptFrom, ReEncryptTo"
)
def moved_value_is_read_under_the_new_key(stage: Stage) -> str:
    old, before = _old(stage), len(stage.aws.kms_calls())
    moved = _archive(stage, old)
    calls = summarize(stage.aws.kms_calls()[before:])
    return f"{_read(stage, moved, ARCHIVED)}; moved by {calls}"


@moves.refused("reader", "reads it under its old context", "InvalidCiphertextException")
def moved_value_has_a_new_context(stage: Stage) -> str:
    return _read(stage, _archive(stage, _old(stage)), TENANT)


@moves.scenario("outsider, mover, reader", "encrypts under the RSA key; moves; reads", "from outside")
def outsiders_value_gets_a_context(stage: Stage) -> str:
    publisher = client(stage, "kms", STACK, "PublisherRoleArn")
    public_key = PublicKey.fetch(stage.output(STACK, "IntakeKeyArn"), kms_client=publisher)
    moved = _move(stage, encrypt_with_public_key(b"from outside", public_key=public_key), function="Receive")
    return _read(stage, moved, RECEIVED)


@moves.refused("mover", "moves tenant a's value to tenant b", "EncryptionContextMismatch")
def moving_to_another_tenant(stage: Stage) -> str:
    return _archive(stage, _old(stage), destinationEncryptionContext={"tenant": "b"}).hex()


@moves.refused("mover", "names a wrong source context", "InvalidCiphertextException")
def wrong_source_context(stage: Stage) -> str:
    other = {"tenant": "b"}
    moved = _archive(stage, _old(stage), sourceEncryptionContext=other, destinationEncryptionContext=other)
    return moved.hex()


@moves.refused("mover", "moves a tampered value", "InvalidCiphertextException")
def moving_a_tampered_value(stage: Stage) -> str:
    return _archive(stage, altered(_old(stage))).hex()


@moves.refused(
    "archive function's role", "moves to a context that is not granted", "AccessDeniedException (kms:ReEncryptTo)"
)
def context_not_granted(stage: Stage) -> str:
    return _direct(stage, "Archive", _old(stage), "OldKeyArn", {**TENANT, "state": "received"})


@moves.refused(
    "receive function's role", "moves from a key that is not granted", "AccessDeniedException (kms:ReEncryptFrom)"
)
def source_not_granted(stage: Stage) -> str:
    return _direct(stage, "Receive", _old(stage), "OldKeyArn", RECEIVED)


@moves.refused("archive function's role", "decrypts a value of the old key", "AccessDeniedException (kms:Decrypt)")
def mover_may_not_read(stage: Stage) -> None:
    given = {"CiphertextBlob": _old(stage), "EncryptionContext": TENANT}
    directly(stage, STACK, "Archive", "decrypt", "OldKey", **given)


@moves.refused("reader", "invokes the archive function", "AccessDeniedException (lambda:InvokeFunction)")
def reader_may_not_move(stage: Stage) -> str:
    return _archive(stage, _old(stage), role="Reader").hex()


def _direct(stage: Stage, function: str, ciphertext: bytes, source: str, destination: dict[str, str]) -> str:
    kms = function_client(stage, "kms", STACK, f"{function}RoleArn")
    kms.re_encrypt(
        CiphertextBlob=ciphertext,
        SourceKeyId=stage.output(STACK, source),
        SourceEncryptionContext=TENANT,
        DestinationKeyId=stage.output(STACK, "NewKeyArn"),
        DestinationEncryptionContext=destination,
    )
    return "moved"
