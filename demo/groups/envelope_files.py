"""Envelope encryption of whole objects: S3 to S3, in frames, one KMS call each way."""

from collections.abc import Callable

from botocore.exceptions import ClientError

from demo.groups.documents import compare_with_file, download_digest
from demo.principals import client, function_client, invoke, own_calls
from demo.scenario import Group, Stage, describe_refusal

PLAIN, CIPHER = "report.bin", "report.bin.encrypted"
TENANT = {"tenant": "a"}
TAG_BYTES = 16

envelope = Group("Envelope encryption: S3 object in, S3 object out", order=40)


def _invoke(stage: Stage, function: str, source: str, destination: str, context: dict[str, str]) -> int:
    operator = client(stage, "lambda", "Envelope", "OperatorRoleArn")
    event = {"sourceKey": source, "destinationKey": destination, "encryptionContext": context}
    return int(invoke(operator, stage.output("Envelope", function), event)["plaintextBytes"])


def _decrypt(stage: Stage, source: str, destination: str, context: dict[str, str]) -> str:
    """Decrypt, and say whether an object is at the destination afterwards."""
    try:
        _invoke(stage, "DecryptFunctionName", source, destination, context)
        outcome = "decrypted"
    except ClientError as error:
        outcome = describe_refusal(error)
    return f"{outcome}, {_destination(stage, destination)}"


def _destination(stage: Stage, key: str) -> str:
    restored = stage.output("Envelope", "RestoredName")
    s3 = stage.aws.session().client("s3")
    versions = s3.list_object_versions(Bucket=restored, Prefix=key)
    if versions.get("Versions") or versions.get("DeleteMarkers"):
        return "an object is or was there"
    uploads = s3.list_multipart_uploads(Bucket=restored).get("Uploads", [])
    return "an unfinished upload is left" if uploads else "no object"


def _spoil(stage: Stage, key: str, spoil: Callable[[bytearray], None]) -> None:
    """Store a spoilt copy of the ciphertext, as someone with write access to the vault could."""
    s3, vault = stage.aws.session().client("s3"), stage.output("Envelope", "VaultName")
    message = bytearray(s3.get_object(Bucket=vault, Key=CIPHER)["Body"].read())
    spoil(message)
    s3.put_object(Bucket=vault, Key=key, Body=bytes(message))


@envelope.scenario(
    who="operator",
    what="encrypts the file, inbox to vault",
    expected="whole file encrypted, by GenerateDataKey of the encrypt function",
)
def operator_encrypts(stage: Stage) -> str:
    before = len(stage.aws.kms_calls())
    s3 = client(stage, "s3", "Envelope", "OperatorRoleArn")
    s3.upload_file(str(stage.file), stage.output("Envelope", "InboxName"), PLAIN)
    size = _invoke(stage, "EncryptFunctionName", PLAIN, CIPHER, TENANT)
    head = s3.get_object(Bucket=stage.output("Envelope", "VaultName"), Key=CIPHER, Range="bytes=0-2")["Body"].read()
    if head != b"\x02\x04\x78":
        return "not a message of version 2, suite 0x0478"
    amount = "whole file" if size == stage.file.stat().st_size else f"{size} bytes"
    return f"{amount} encrypted, by {own_calls(stage, before, 'Envelope')}"


@envelope.scenario(
    who="operator",
    what="decrypts it, vault to restored",
    expected="byte-identical, by Decrypt of the decrypt function",
)
def operator_decrypts(stage: Stage) -> str:
    before = len(stage.aws.kms_calls())
    _invoke(stage, "DecryptFunctionName", CIPHER, PLAIN, TENANT)
    s3 = client(stage, "s3", "Envelope", "OperatorRoleArn")
    same = compare_with_file(stage, download_digest(s3, stage.output("Envelope", "RestoredName"), PLAIN))
    return f"{same}, by {own_calls(stage, before, 'Envelope')}"


@envelope.scenario(
    who="operator",
    what="decrypts after one byte flipped in the last frame",
    expected="refused: MessageAuthenticationFailed, no object",
)
def flipped_byte(stage: Stage) -> str:
    def flip(message: bytearray) -> None:
        message[-TAG_BYTES - 1] ^= 1

    _spoil(stage, "flipped.encrypted", flip)
    return _decrypt(stage, "flipped.encrypted", "flipped", TENANT)


@envelope.scenario(
    who="operator",
    what="decrypts an object cut short by one byte",
    expected="refused: MessageTruncated, no object",
)
def truncated_object(stage: Stage) -> str:
    _spoil(stage, "truncated.encrypted", lambda message: message.__delitem__(-1))
    return _decrypt(stage, "truncated.encrypted", "truncated", TENANT)


@envelope.scenario(
    who="operator",
    what="decrypts under another tenant's context",
    expected="refused: EncryptionContextMismatch, no object",
)
def wrong_context(stage: Stage) -> str:
    return _decrypt(stage, CIPHER, "wrong-context", {"tenant": "b"})


@envelope.scenario(
    who="encrypt function's role",
    what="decrypts a data key that it got",
    expected="refused: AccessDeniedException (kms:Decrypt)",
)
def encrypt_role_may_not_decrypt(stage: Stage) -> str:
    kms, key = function_client(stage, "kms", "Envelope", "EncryptRoleArn"), stage.output("Envelope", "KeyArn")
    data_key = kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=TENANT)
    kms.decrypt(KeyId=key, CiphertextBlob=data_key["CiphertextBlob"], EncryptionContext=TENANT)
    return "decrypted"


@envelope.scenario(
    who="encrypt function's role", what="reads the vault", expected="refused: AccessDenied (s3:GetObject)"
)
def encrypt_role_may_not_read_the_vault(stage: Stage) -> str:
    s3 = function_client(stage, "s3", "Envelope", "EncryptRoleArn")
    s3.get_object(Bucket=stage.output("Envelope", "VaultName"), Key=CIPHER)
    return "read"


@envelope.scenario(
    who="decrypt function's role",
    what="calls GenerateDataKey",
    expected="refused: AccessDeniedException (kms:GenerateDataKey)",
)
def decrypt_role_may_not_encrypt(stage: Stage) -> str:
    kms = function_client(stage, "kms", "Envelope", "DecryptRoleArn")
    kms.generate_data_key(KeyId=stage.output("Envelope", "KeyArn"), KeySpec="AES_256", EncryptionContext=TENANT)
    return "got a data key"
