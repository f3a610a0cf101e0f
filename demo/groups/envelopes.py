"""Envelope encryption: whole objects from S3 to S3 in frames; the same messages elsewhere: AWS's SDK, a public key."""

import base64
import hashlib
from collections.abc import Callable
from functools import partial
from tempfile import TemporaryFile
from typing import Any

from botocore.exceptions import ClientError

import kms_runtime
from demo.groups.documents import compare_with_file, download_digest
from demo.principals import altered, client, directly, function_client, invoke_as, own_calls
from demo.scenario import Group, Stage, describe_refusal

PLAIN, CIPHER = "report.bin", "report.bin.encrypted"
TENANT = {"tenant": "a"}
TAG_BYTES = 16

envelope = Group("Envelope encryption: S3 object in, S3 object out", order=40)


def _invoke(stage: Stage, function: str, source: str, destination: str, context: dict[str, str]) -> int:
    event = {"sourceKey": source, "destinationKey": destination, "encryptionContext": context}
    return int(invoke_as(stage, "Envelope", "Operator", function, **event)["plaintextBytes"])


def _decrypt(stage: Stage, source: str, destination: str, context: dict[str, str]) -> str:
    act = partial(_invoke, stage, "Decrypt", source, destination, context)
    return attempted(stage, act, stage.output("Envelope", "RestoredName"), destination)


def attempted(stage: Stage, act: Callable[[], object], bucket: str, key: str) -> str:
    """Act, and say whether an object is at the destination afterwards."""
    try:
        act()
        outcome = "decrypted"
    except ClientError as error:
        outcome = describe_refusal(error)
    s3 = stage.aws.session().client("s3")
    versions = s3.list_object_versions(Bucket=bucket, Prefix=key)
    if versions.get("Versions") or versions.get("DeleteMarkers"):
        return f"{outcome}, an object is or was there"
    uploads = s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return f"{outcome}, {'an unfinished upload is left' if uploads else 'no object'}"


def _spoil(stage: Stage, key: str, spoil: Callable[[bytes], bytes]) -> None:
    """Store a spoilt copy of the ciphertext, as someone with write access to the vault could."""
    s3, vault = stage.aws.session().client("s3"), stage.output("Envelope", "VaultName")
    s3.put_object(Bucket=vault, Key=key, Body=spoil(s3.get_object(Bucket=vault, Key=CIPHER)["Body"].read()))


@envelope.scenario(
    "operator", "encrypts the file, inbox to vault", "whole file encrypted, by GenerateDataKey of the encrypt function"
)
def operator_encrypts(stage: Stage) -> str:
    before = len(stage.aws.kms_calls())
    s3 = client(stage, "s3", "Envelope", "OperatorRoleArn")
    s3.upload_file(str(stage.file), stage.output("Envelope", "InboxName"), PLAIN)
    size = _invoke(stage, "Encrypt", PLAIN, CIPHER, TENANT)
    head = s3.get_object(Bucket=stage.output("Envelope", "VaultName"), Key=CIPHER, Range="bytes=0-2")["Body"].read()
    if head != b"\x02\x04\x78":
        return "not a message of version 2, suite 0x0478"
    amount = "whole file" if size == stage.file.stat().st_size else f"{size} bytes"
    return f"{amount} encrypted, by {own_calls(stage, before, 'Envelope')}"


@envelope.scenario("operator", "decrypts it, vault to restored", "byte-identical, by Decrypt of the decrypt function")
def operator_decrypts(stage: Stage) -> str:
    before = len(stage.aws.kms_calls())
    _invoke(stage, "Decrypt", CIPHER, PLAIN, TENANT)
    s3 = client(stage, "s3", "Envelope", "OperatorRoleArn")
    same = compare_with_file(stage, download_digest(s3, stage.output("Envelope", "RestoredName"), PLAIN))
    return f"{same}, by {own_calls(stage, before, 'Envelope')}"


@envelope.refused(
    "operator", "decrypts after one byte flipped in the last frame", "MessageAuthenticationFailed, no object"
)
def flipped_byte(stage: Stage) -> str:
    _spoil(stage, "flipped.encrypted", lambda message: altered(message, -TAG_BYTES - 1))
    return _decrypt(stage, "flipped.encrypted", "flipped", TENANT)


@envelope.refused("operator", "decrypts an object cut short by one byte", "MessageTruncated, no object")
def truncated_object(stage: Stage) -> str:
    _spoil(stage, "truncated.encrypted", lambda message: message[:-1])
    return _decrypt(stage, "truncated.encrypted", "truncated", TENANT)


@envelope.refused("operator", "decrypts under another tenant's context", "EncryptionContextMismatch, no object")
def wrong_context(stage: Stage) -> str:
    return _decrypt(stage, CIPHER, "wrong-context", {"tenant": "b"})


@envelope.refused("encrypt function's role", "decrypts a data key that it got", "AccessDeniedException (kms:Decrypt)")
def encrypt_role_may_not_decrypt(stage: Stage) -> None:
    wanted = {"KeySpec": "AES_256", "EncryptionContext": TENANT}
    blob = directly(stage, "Envelope", "Encrypt", "generate_data_key", **wanted)["CiphertextBlob"]
    directly(stage, "Envelope", "Encrypt", "decrypt", CiphertextBlob=blob, EncryptionContext=TENANT)


@envelope.refused("encrypt function's role", "reads the vault", "AccessDenied (s3:GetObject)")
def encrypt_role_may_not_read_the_vault(stage: Stage) -> None:
    s3 = function_client(stage, "s3", "Envelope", "EncryptRoleArn")
    s3.get_object(Bucket=stage.output("Envelope", "VaultName"), Key=CIPHER)


@envelope.refused("decrypt function's role", "calls GenerateDataKey", "AccessDeniedException (kms:GenerateDataKey)")
def decrypt_role_may_not_encrypt(stage: Stage) -> None:
    directly(stage, "Envelope", "Decrypt", "generate_data_key", KeySpec="AES_256", EncryptionContext=TENANT)


MEBIBYTE = 1 << 20

formats = Group("Envelope encryption: the message is AWS's format, and so are its keys", order=50)


@formats.scenario(
    "operator", "decrypts 1 MiB from the middle of the object, without reading the rest", "exactly these bytes"
)
def operator_decrypts_a_range(stage: Stage) -> str:
    start = 5 * MEBIBYTE - 77
    event = {"sourceKey": CIPHER, "encryptionContext": TENANT, "range": {"start": start, "length": MEBIBYTE}}
    answer = invoke_as(stage, "Envelope", "Operator", "Decrypt", **event)
    with stage.file.open("rb") as file:
        file.seek(start)
        same = file.read(MEBIBYTE) == base64.b64decode(answer["plaintext"])
    return f"{'exactly these' if same else 'other'} bytes"


@formats.scenario("decrypt function's role", "reads the object with AWS's own Encryption SDK", "byte-identical")
def official_sdk_reads_our_object(stage: Stage) -> str:
    vault, key = stage.output("Envelope", "VaultName"), stage.output("Envelope", "KeyArn")
    body = client(stage, "s3", "Envelope", "OperatorRoleArn").get_object(Bucket=vault, Key=CIPHER)["Body"]
    kms = function_client(stage, "kms", "Envelope", "DecryptRoleArn")
    return compare_with_file(stage, _official_digest(body, key, kms))


def _official_digest(body: Any, key_arn: str, kms_client: Any) -> str:
    """Return the SHA-256 of what the official SDK makes of a message."""
    # A development dependency, and slow to import: only this row waits for it.
    import aws_encryption_sdk  # noqa: PLC0415
    from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders  # noqa: PLC0415
    from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig  # noqa: PLC0415
    from aws_cryptographic_material_providers.mpl.models import CreateAwsKmsKeyringInput  # noqa: PLC0415

    providers = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
    named = CreateAwsKmsKeyringInput(kms_key_id=key_arn, kms_client=kms_client)
    digest = hashlib.sha256()
    with aws_encryption_sdk.EncryptionSDKClient().stream(
        mode="decrypt-unsigned", source=body, keyring=providers.create_aws_kms_keyring(named)
    ) as plaintext:
        while piece := plaintext.read(MEBIBYTE):
            digest.update(piece)
    return digest.hexdigest()


@formats.scenario(
    "anyone with the public key",
    "encrypts the file for an RSA key of KMS; its owner decrypts it",
    "byte-identical, encrypted without a call to AWS",
)
def rsa_envelope(stage: Stage) -> str:
    kms = stage.aws.session().client("kms")
    key = kms.create_key(KeySpec="RSA_3072", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"]
    public_key = kms.get_public_key(KeyId=key)["PublicKey"]
    to_encrypt = kms_runtime.KmsRsaKeyring(key, public_key=public_key)
    to_decrypt = kms_runtime.KmsRsaKeyring(key, kms_client=kms)
    before = len(stage.aws.kms_calls())
    with stage.file.open("rb") as source, TemporaryFile() as message, TemporaryFile() as copy:
        kms_runtime.encrypt(source, message, keyring=to_encrypt, encryption_context=TENANT)
        calls = "without a call to AWS" if len(stage.aws.kms_calls()) == before else "with calls to AWS"
        message.seek(0)
        kms_runtime.decrypt(message, copy, keyring=to_decrypt, encryption_context=TENANT)
        copy.seek(0)
        outcome = compare_with_file(stage, hashlib.file_digest(copy, "sha256").hexdigest())
    return f"{outcome}, encrypted {calls}"
