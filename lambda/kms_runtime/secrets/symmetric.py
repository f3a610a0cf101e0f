"""Small secrets, encrypted directly by AWS KMS (1 to 4096 bytes), and their move to another key or context.

No data key and no message format; ReEncrypt moves a ciphertext inside AWS KMS, and no plaintext is seen.

See https://docs.aws.amazon.com/kms/latest/developerguide/symmetric-asymmetric.html and
https://docs.aws.amazon.com/kms/latest/APIReference/API_ReEncrypt.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from kms_runtime.aws_errors import IncorrectKeyException, typed_errors
from kms_runtime.errors import EncryptionContextMismatch, InvalidRequest, PlaintextEmpty, PlaintextTooLarge
from kms_runtime.key_arn import call_kms, check_key_arn
from kms_runtime.message.context import check_context

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_kms.literals import EncryptionAlgorithmSpecType


PLAINTEXT_LIMIT = 4096
CIPHERTEXT_LIMIT = 6144


@dataclass(frozen=True, slots=True)
class SecretCiphertext:
    """The response of AWS KMS Encrypt."""

    ciphertext: bytes
    key_arn: str
    encryption_algorithm: str


@dataclass(frozen=True, slots=True)
class SecretPlaintext:
    """The response of AWS KMS Decrypt. The plaintext is kept out of ``repr``."""

    plaintext: bytes = field(repr=False)
    key_arn: str
    encryption_algorithm: str


def encrypt_secret(
    plaintext: bytes, *, key_arn: str, encryption_context: Mapping[str, str], kms_client: "KMSClient"
) -> SecretCiphertext:
    """Encrypt 1 to 4096 bytes under a symmetric KMS key.

    Args:
        plaintext: The secret, 1 to 4096 bytes.
        key_arn: ARN of the key.
        encryption_context: Bound to the ciphertext, and visible in AWS CloudTrail: never put a secret here.
        kms_client: A ``boto3.client("kms")``.

    Raises:
        PlaintextEmpty: There is nothing to encrypt; AWS KMS is not called.
        PlaintextTooLarge: More than 4096 bytes; AWS KMS is not called.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    if not plaintext:
        raise PlaintextEmpty("the plaintext is empty; AWS KMS Encrypt takes 1 to 4096 bytes")
    if len(plaintext) > PLAINTEXT_LIMIT:
        raise PlaintextTooLarge(
            f"the plaintext has {len(plaintext)} bytes and AWS KMS Encrypt takes at most {PLAINTEXT_LIMIT}; "
            "for larger data use envelope encryption (kms_runtime.encrypt, or the EnvelopeCipher construct)"
        )
    check_context(encryption_context)
    given = {"Plaintext": plaintext, "EncryptionContext": encryption_context}
    response = call_kms(kms_client.encrypt, "Encrypt", key_arn, **given)
    return SecretCiphertext(response["CiphertextBlob"], response["KeyId"], response["EncryptionAlgorithm"])


def decrypt_secret(
    ciphertext: bytes, *, key_arn: str, encryption_context: Mapping[str, str], kms_client: "KMSClient"
) -> SecretPlaintext:
    """Decrypt what ``encrypt_secret`` made under the same key and encryption context.

    Args:
        ciphertext: A CiphertextBlob, 1 to 6144 bytes.
        key_arn: ARN of the only key that is accepted.
        encryption_context: Exactly the pairs given to ``encrypt_secret``.
        kms_client: A ``boto3.client("kms")``.

    Raises:
        InvalidRequest: The ciphertext is empty or longer than any that AWS KMS makes; AWS KMS is not called.
        InvalidCiphertextException: The ciphertext was altered, or belongs to another encryption context.
        IncorrectKeyException: The ciphertext belongs to another key.
        AwsError: AWS KMS refused for another reason; the class name is its error code.
    """
    if not 1 <= len(ciphertext) <= CIPHERTEXT_LIMIT:
        raise InvalidRequest(f"the ciphertext has {len(ciphertext)} bytes; AWS KMS Decrypt takes 1 to 6144")
    given = {"CiphertextBlob": ciphertext, "EncryptionContext": encryption_context}
    response = call_kms(kms_client.decrypt, "Decrypt", key_arn, **given)
    return SecretPlaintext(response["Plaintext"], response["KeyId"], response["EncryptionAlgorithm"])


SYMMETRIC = "SYMMETRIC_DEFAULT"


@dataclass(frozen=True, slots=True)
class Side:
    """A key and how it encrypts: one end of a move.

    Args:
        key_arn: ARN of the key.
        encryption_context: Pairs bound to the ciphertext; none for an RSA key.
        algorithm: ``SYMMETRIC_DEFAULT``, or an RSA key's ``RSAES_OAEP_SHA_256`` or ``RSAES_OAEP_SHA_1``.

    Raises:
        InvalidArnException: ``key_arn`` is not a key ARN.
        EncryptionContextInvalid: A name or value that AWS KMS would refuse.
        InvalidRequest: A context with an RSA key.
    """

    key_arn: str
    encryption_context: Mapping[str, str] = field(default_factory=dict)
    algorithm: str = SYMMETRIC

    def __post_init__(self) -> None:
        check_key_arn(self.key_arn)
        check_context(self.encryption_context)
        if self.encryption_context and self.algorithm != SYMMETRIC:
            raise InvalidRequest(f"an encryption context with {self.algorithm}: only symmetric keys have one")


@dataclass(frozen=True, slots=True)
class ReEncrypted:
    """The response of AWS KMS ReEncrypt."""

    ciphertext: bytes
    source_key_arn: str
    key_arn: str


def re_encrypt(ciphertext: bytes, *, source: Side, destination: Side, kms_client: "KMSClient") -> ReEncrypted:
    """Decrypt under ``source`` and encrypt under ``destination``, inside AWS KMS.

    Works for whatever AWS KMS encrypted itself: values, data keys, the private keys of data key pairs. An AWS
    Encryption SDK message cannot be moved so: its header, which is authenticated under the data key, covers the
    encrypted data keys, and the data key is never seen here.

    Args:
        ciphertext: A CiphertextBlob, 1 to 6144 bytes.
        source: What the ciphertext was encrypted under; AWS KMS refuses any other key or context.
        destination: What it is encrypted under afterwards.
        kms_client: A ``boto3.client("kms")`` for the Region of both keys.

    Raises:
        InvalidRequest: The ciphertext is empty or too long; AWS KMS is not called.
        InvalidCiphertextException: It was altered, or belongs to another context.
        IncorrectKeyException: It belongs to another key, or the response is for other keys.
        AwsError: AWS KMS refused for another reason; the class name is its error code.
    """
    if not 1 <= len(ciphertext) <= CIPHERTEXT_LIMIT:
        raise InvalidRequest(f"the ciphertext has {len(ciphertext)} bytes; AWS KMS ReEncrypt takes 1 to 6144")
    sides = {"SourceEncryptionContext": source, "DestinationEncryptionContext": destination}
    contexts: Any = {member: side.encryption_context for member, side in sides.items() if side.encryption_context}
    with typed_errors("AWS KMS"):
        response: Mapping[str, Any] = kms_client.re_encrypt(
            CiphertextBlob=ciphertext,
            SourceKeyId=source.key_arn,
            SourceEncryptionAlgorithm=cast("EncryptionAlgorithmSpecType", source.algorithm),
            DestinationKeyId=destination.key_arn,
            DestinationEncryptionAlgorithm=cast("EncryptionAlgorithmSpecType", destination.algorithm),
            **contexts,
        )
    for member, side in (("SourceKeyId", source), ("KeyId", destination)):
        if response[member] != side.key_arn:
            message = f"the response of ReEncrypt has {member} {response[member]}, not {side.key_arn}"
            raise IncorrectKeyException(message, operation="ReEncrypt")
    return ReEncrypted(bytes(response["CiphertextBlob"]), response["SourceKeyId"], response["KeyId"])


def check_kept(names: Iterable[str], source: Side, destination: Side) -> None:
    """Refuse a move that changes what is to stay as it is.

    Args:
        names: Names of the encryption context, such as ``tenant``.
        source: Where the ciphertext comes from.
        destination: Where it goes.

    Raises:
        EncryptionContextMismatch: A name has another value, or none, on one side.
    """
    for name in names:
        before, after = source.encryption_context.get(name), destination.encryption_context.get(name)
        if before is None or before != after:
            raise EncryptionContextMismatch(f"{name} is {before!r} before and {after!r} after; this function keeps it")
