"""Whole files from outsiders: in envelopes for a published RSA key, opened by one function."""

import hashlib
from collections.abc import Mapping
from functools import partial
from tempfile import TemporaryFile

from demo.groups.documents import compare_with_file, download_digest
from demo.groups.envelopes import attempted
from demo.groups.public_key import published
from demo.principals import altered, client, directly, function_client, invoke_as, own_calls
from demo.scenario import Group, Stage
from kms_runtime import KmsHpkeKeyring, KmsRsaKeyring, MultiKeyring, decrypt_bytes, encrypt, encrypt_bytes

SENDER = {"sender": "acme"}
LETTER = b"Meet me at noon. " * 5000
TAG_BYTES = 16

rsa_envelopes = Group(
    "RSA envelopes: outsiders encrypt files with the public key, one function decrypts them", order=80
)


def _keyring(stage: Stage) -> KmsRsaKeyring:
    key = published(stage, "RsaEnvelope")
    return KmsRsaKeyring(key.key_arn, public_key=key.der)


def deliver(stage: Stage, key: str, message: bytes) -> None:
    """Put ``message`` into the inbox."""
    inbox = stage.output("RsaEnvelope", "InboxName")
    client(stage, "s3", "RsaEnvelope", "OperatorRoleArn").put_object(Bucket=inbox, Key=key, Body=message)


def open_delivered(stage: Stage, key: str, context: Mapping[str, str] = SENDER) -> None:
    """Have the function open an object of the inbox; the opened one has no ``.encrypted`` at its end."""
    invoke_as(stage, "RsaEnvelope", "Operator", "Decrypt", sourceKey=key, encryptionContext=context)


def _try_to_open(stage: Stage, name: str, message: bytes, context: Mapping[str, str] = SENDER) -> str:
    deliver(stage, f"{name}.encrypted", message)
    act = partial(open_delivered, stage, f"{name}.encrypted", context)
    return attempted(stage, act, stage.output("RsaEnvelope", "OpenedName"), name)


def opened_digest(stage: Stage, key: str) -> str:
    """Return the SHA-256 of an opened object."""
    operator = client(stage, "s3", "RsaEnvelope", "OperatorRoleArn")
    return download_digest(operator, stage.output("RsaEnvelope", "OpenedName"), key)


def _letter(stage: Stage) -> bytes:
    return encrypt_bytes(LETTER, keyring=_keyring(stage), encryption_context=SENDER)


@rsa_envelopes.scenario(
    "anyone with the public key; operator",
    "encrypts the file, without AWS; has it opened, inbox to opened",
    "0 calls to encrypt; byte-identical, by Decrypt of the decrypt function",
)
def outsider_sends_the_file(stage: Stage) -> str:
    keyring = _keyring(stage)
    before = len(stage.aws.kms_calls())
    with stage.file.open("rb") as source, TemporaryFile() as message:
        encrypt(source, message, keyring=keyring, encryption_context=SENDER)
        calls = len(stage.aws.kms_calls()) - before
        message.seek(0)
        s3 = client(stage, "s3", "RsaEnvelope", "OperatorRoleArn")
        s3.upload_fileobj(message, stage.output("RsaEnvelope", "InboxName"), "report.bin.encrypted")
    open_delivered(stage, "report.bin.encrypted")
    same = compare_with_file(stage, opened_digest(stage, "report.bin"))
    return f"{calls} calls to encrypt; {same}, by {own_calls(stage, before, 'RsaEnvelope')}"


@rsa_envelopes.scenario(
    "anyone with AWS's own Encryption SDK; operator", "encrypts with the public key; has it opened", "byte-identical"
)
def official_sdk_sends_a_letter(stage: Stage) -> str:
    deliver(stage, "official.encrypted", _official(stage, LETTER))
    open_delivered(stage, "official.encrypted")
    same = opened_digest(stage, "official") == hashlib.sha256(LETTER).hexdigest()
    return "byte-identical" if same else "different bytes"


def _official(stage: Stage, plaintext: bytes) -> bytes:
    """Return a message that the official SDK makes with the public key alone."""
    # A development dependency, and slow to import: only this row waits for it.
    import aws_encryption_sdk  # noqa: PLC0415
    from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders  # noqa: PLC0415
    from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig  # noqa: PLC0415
    from aws_cryptographic_material_providers.mpl.models import CreateAwsKmsRsaKeyringInput  # noqa: PLC0415
    from aws_encryption_sdk.identifiers import Algorithm  # noqa: PLC0415

    key = published(stage, "RsaEnvelope")
    named = CreateAwsKmsRsaKeyringInput(
        public_key=key.pem.encode(), kms_key_id=key.key_arn, encryption_algorithm="RSAES_OAEP_SHA_256"
    )
    keyring = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig()).create_aws_kms_rsa_keyring(named)
    suite = Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY
    message, _ = aws_encryption_sdk.EncryptionSDKClient().encrypt(
        source=plaintext, keyring=keyring, encryption_context=SENDER, algorithm=suite
    )
    return bytes(message)


@rsa_envelopes.refused("operator", "has one with a flipped byte opened", "MessageAuthenticationFailed, no object")
def flipped_byte(stage: Stage) -> str:
    return _try_to_open(stage, "flipped", altered(_letter(stage), -TAG_BYTES - 1))


@rsa_envelopes.refused("operator", "has one cut short by one byte opened", "MessageTruncated, no object")
def truncated(stage: Stage) -> str:
    return _try_to_open(stage, "truncated", _letter(stage)[:-1])


@rsa_envelopes.refused("operator", "expects another sender", "EncryptionContextMismatch, no object")
def another_sender(stage: Stage) -> str:
    return _try_to_open(stage, "sender", _letter(stage), {"sender": "someone-else"})


@rsa_envelopes.refused("operator", "names no sender", "EncryptionContextRequired, no object")
def no_sender(stage: Stage) -> str:
    return _try_to_open(stage, "no-sender", _letter(stage), {})


@rsa_envelopes.refused("operator", "has one for another RSA key opened", "IncorrectKeyException, no object")
def another_key(stage: Stage) -> str:
    key = published(stage, "PublicKey")
    keyring = KmsRsaKeyring(key.key_arn, public_key=key.der)
    return _try_to_open(stage, "key", encrypt_bytes(LETTER, keyring=keyring, encryption_context=SENDER))


@rsa_envelopes.refused(
    "operator", "has one whose data key is wrapped with SHA-1 opened", "InvalidCiphertextException, no object"
)
def another_algorithm(stage: Stage) -> str:
    key = published(stage, "RsaEnvelope")
    keyring = KmsRsaKeyring(key.key_arn, public_key=key.der, encryption_algorithm="RSAES_OAEP_SHA_1")
    return _try_to_open(stage, "sha-1", encrypt_bytes(LETTER, keyring=keyring, encryption_context=SENDER))


def _for_both(stage: Stage, rsa: KmsRsaKeyring) -> bytes:
    """Return a letter with two data keys: one for ``rsa``, one for the published ML-KEM key."""
    lattice = KmsHpkeKeyring(stage.output("Hpke", "KeyArn"), public_key=published(stage, "Hpke").der)
    return encrypt_bytes(LETTER, keyring=MultiKeyring(rsa, lattice), encryption_context=SENDER)


def _by_lattice(stage: Stage, message: bytes) -> bytes:
    kms = function_client(stage, "kms", "Hpke", "DecryptRoleArn")
    keyring = KmsHpkeKeyring(stage.output("Hpke", "KeyArn"), kms_client=kms)
    return decrypt_bytes(message, keyring=keyring, encryption_context=SENDER)


@rsa_envelopes.scenario(
    "anyone with an RSA and an ML-KEM public key; operator; HPKE function's role",
    "encrypts under both; has it opened; decrypts it with the ML-KEM key alone",
    "0 calls to encrypt; byte-identical, byte-identical",
)
def either_of_two_keys_opens(stage: Stage) -> str:
    keyring = _keyring(stage)
    published(stage, "Hpke")
    before = len(stage.aws.kms_calls())
    message = _for_both(stage, keyring)
    calls = len(stage.aws.kms_calls()) - before
    deliver(stage, "both.encrypted", message)
    open_delivered(stage, "both.encrypted")
    found = (opened_digest(stage, "both") == hashlib.sha256(LETTER).hexdigest(), _by_lattice(stage, message) == LETTER)
    return f"{calls} calls to encrypt; {', '.join('byte-identical' if same else 'different bytes' for same in found)}"


@rsa_envelopes.refused(
    "operator", "has one for the ML-KEM key and another RSA key opened", "IncorrectKeyException, no object"
)
def neither_of_two_keys_is_the_functions(stage: Stage) -> str:
    key = published(stage, "PublicKey")
    return _try_to_open(stage, "both-other", _for_both(stage, KmsRsaKeyring(key.key_arn, public_key=key.der)))


@rsa_envelopes.refused(
    "operator",
    "has one for both keys opened whose ML-KEM data key was altered",
    "MessageAuthenticationFailed, no object",
)
def the_other_data_key_is_altered(stage: Stage) -> str:
    message, arn = _for_both(stage, _keyring(stage)), stage.output("Hpke", "KeyArn").encode()
    return _try_to_open(stage, "both-altered", altered(message, message.index(arn) + len(arn) + 2))


@rsa_envelopes.refused("decrypt function's role", "calls Encrypt", "AccessDeniedException (kms:Encrypt)")
def decrypt_role_may_not_encrypt(stage: Stage) -> None:
    directly(stage, "RsaEnvelope", "Decrypt", "encrypt", Plaintext=b"x", EncryptionAlgorithm="RSAES_OAEP_SHA_256")


@rsa_envelopes.refused("operator", "calls Decrypt itself", "AccessDeniedException (kms:Decrypt)")
def operator_may_not_decrypt(stage: Stage) -> None:
    kms, key = client(stage, "kms", "RsaEnvelope", "OperatorRoleArn"), stage.output("RsaEnvelope", "KeyArn")
    kms.decrypt(KeyId=key, CiphertextBlob=bytes(384), EncryptionAlgorithm="RSAES_OAEP_SHA_256")
