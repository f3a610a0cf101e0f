"""ReEncrypt: ciphertexts moved to another key and context by a function that reads none of them."""

import base64
from typing import Any

from demo.principals import client, function_client, invoke
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
    mover = client(stage, "lambda", STACK, f"{role}RoleArn")
    event = {"ciphertext": base64.b64encode(ciphertext).decode(), "destinationEncryptionContext": TENANT, **contexts}
    return base64.b64decode(invoke(mover, stage.output(STACK, f"{function}FunctionName"), event)["ciphertext"])


def _archive(stage: Stage, ciphertext: bytes, **contexts: Any) -> bytes:
    return _move(stage, ciphertext, **{"sourceEncryptionContext": TENANT, **contexts})


def _read(stage: Stage, ciphertext: bytes, context: dict[str, str]) -> str:
    reader = client(stage, "kms", STACK, "ReaderRoleArn")
    key = stage.output(STACK, "NewKeyArn")
    answer = reader.decrypt(KeyId=key, CiphertextBlob=ciphertext, EncryptionContext=context)
    return bytes(answer["Plaintext"]).decode()


@moves.scenario(
    who="mover, reader",
    what="moves a value to the new key; reads it there",
    expected="old but gold; moved by ReEncryptFrom, ReEncryptTo",
)
def moved_value_is_read_under_the_new_key(stage: Stage) -> str:
    old, before = _old(stage), len(stage.aws.kms_calls())
    moved = _archive(stage, old)
    calls = summarize(stage.aws.kms_calls()[before:])
    return f"{_read(stage, moved, ARCHIVED)}; moved by {calls}"


@moves.scenario(who="reader", what="reads it under its old context", expected="refused: InvalidCiphertextException")
def moved_value_has_a_new_context(stage: Stage) -> str:
    return _read(stage, _archive(stage, _old(stage)), TENANT)


@moves.scenario(
    who="outsider, mover, reader",
    what="encrypts under the RSA key; moves; reads",
    expected="from outside",
)
def outsiders_value_gets_a_context(stage: Stage) -> str:
    publisher = client(stage, "kms", STACK, "PublisherRoleArn")
    public_key = PublicKey.fetch(stage.output(STACK, "IntakeKeyArn"), kms_client=publisher)
    moved = _move(stage, encrypt_with_public_key(b"from outside", public_key=public_key), function="Receive")
    return _read(stage, moved, RECEIVED)


@moves.scenario(who="mover", what="moves tenant a's value to tenant b", expected="refused: EncryptionContextMismatch")
def moving_to_another_tenant(stage: Stage) -> str:
    return _archive(stage, _old(stage), destinationEncryptionContext={"tenant": "b"}).hex()


@moves.scenario(who="mover", what="names a wrong source context", expected="refused: InvalidCiphertextException")
def wrong_source_context(stage: Stage) -> str:
    other = {"tenant": "b"}
    moved = _archive(stage, _old(stage), sourceEncryptionContext=other, destinationEncryptionContext=other)
    return moved.hex()


@moves.scenario(who="mover", what="moves a tampered value", expected="refused: InvalidCiphertextException")
def moving_a_tampered_value(stage: Stage) -> str:
    blob = bytearray(_old(stage))
    blob[-1] ^= 1
    return _archive(stage, bytes(blob)).hex()


@moves.scenario(
    who="archive function's role",
    what="moves to a context that is not granted",
    expected="refused: AccessDeniedException (kms:ReEncryptTo)",
)
def context_not_granted(stage: Stage) -> str:
    return _direct(stage, "Archive", _old(stage), "OldKeyArn", {**TENANT, "state": "received"})


@moves.scenario(
    who="receive function's role",
    what="moves from a key that is not granted",
    expected="refused: AccessDeniedException (kms:ReEncryptFrom)",
)
def source_not_granted(stage: Stage) -> str:
    return _direct(stage, "Receive", _old(stage), "OldKeyArn", RECEIVED)


@moves.scenario(
    who="archive function's role",
    what="decrypts a value of the old key",
    expected="refused: AccessDeniedException (kms:Decrypt)",
)
def mover_may_not_read(stage: Stage) -> str:
    kms = function_client(stage, "kms", STACK, "ArchiveRoleArn")
    kms.decrypt(KeyId=stage.output(STACK, "OldKeyArn"), CiphertextBlob=_old(stage), EncryptionContext=TENANT)
    return "decrypted"


@moves.scenario(
    who="reader",
    what="invokes the archive function",
    expected="refused: AccessDeniedException (lambda:InvokeFunction)",
)
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
