"""The same messages elsewhere: one range of them, AWS's own SDK, and a public key without AWS."""

import base64
import hashlib
from tempfile import TemporaryFile
from typing import Any

import kms_runtime
from demo.groups.documents import compare_with_file
from demo.groups.envelope_files import CIPHER, TENANT
from demo.principals import client, function_client, invoke
from demo.scenario import Group, Stage

MEBIBYTE = 1 << 20

formats = Group("Envelope encryption: the message is AWS's format, and so are its keys", order=50)


@formats.scenario(
    who="operator",
    what="decrypts 1 MiB from the middle of the object, without reading the rest",
    expected="exactly these bytes",
)
def operator_decrypts_a_range(stage: Stage) -> str:
    start = 5 * MEBIBYTE - 77
    event = {
        "sourceKey": CIPHER,
        "encryptionContext": TENANT,
        "range": {"start": start, "length": MEBIBYTE},
    }
    operator = client(stage, "lambda", "Envelope", "OperatorRoleArn")
    answer = invoke(operator, stage.output("Envelope", "DecryptFunctionName"), event)
    with stage.file.open("rb") as file:
        file.seek(start)
        same = file.read(MEBIBYTE) == base64.b64decode(answer["plaintext"])
    return f"{'exactly these' if same else 'other'} bytes"


@formats.scenario(
    who="decrypt function's role",
    what="reads the object with AWS's own Encryption SDK",
    expected="byte-identical",
)
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
    who="anyone with the public key",
    what="encrypts the file for an RSA key of KMS; its owner decrypts it",
    expected="byte-identical, encrypted without a call to AWS",
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
