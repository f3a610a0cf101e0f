"""``KmsRsaKeyring``: data keys under an asymmetric KMS key, encrypted locally and decrypted by AWS KMS."""

import hmac
from collections.abc import Mapping
from hashlib import sha384
from typing import TYPE_CHECKING, Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from kms_runtime.aws_errors import InvalidCiphertextException, typed_errors
from kms_runtime.errors import InvalidRequest
from kms_runtime.key_arn import check_key_arn
from kms_runtime.keyrings.keyring import DEFAULT_SUITE, DataKey, WrappingKeyring
from kms_runtime.keyrings.kms import checked_plaintext
from kms_runtime.message import AlgorithmSuite, EncryptedDataKey, serialize_context
from kms_runtime.message.suite import wipe
from kms_runtime.public_keys.jwk import PADDINGS

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

PROVIDER_ID = "aws-kms-rsa"
EncryptionAlgorithm = Literal["RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"]

_DIGEST_LENGTH = 48
_SMALLEST_KEY = 2048


class KmsRsaKeyring(WrappingKeyring):
    """Wraps data keys under an RSA KMS key: no KMS call to encrypt, one to decrypt.

    Anyone who has the public key can encrypt, also where AWS cannot be reached. AWS KMS has no encryption context for
    RSA: its digest is wrapped together with the data key and compared here, after decryption, so no key policy can
    demand it. Signed algorithm suites are refused, as the official SDK does.

    Args:
        key_arn: ARN of an RSA key with usage ENCRYPT_DECRYPT.
        public_key: What AWS KMS GetPublicKey returns for it, DER or PEM; needed to encrypt.
        kms_client: A ``boto3.client("kms")`` for the key's Region; needed to decrypt.
        encryption_algorithm: ``RSAES_OAEP_SHA_256`` or ``RSAES_OAEP_SHA_1``; the message does not say which.

    Raises:
        InvalidArnException: ``key_arn`` is not a key ARN.
        InvalidRequest: ``public_key`` is not an RSA public key of at least 2048 bits, or the algorithm is unknown.

    See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/use-kms-keyring.html#kms-keyring-rsa
    """

    def __init__(
        self,
        key_arn: str,
        *,
        public_key: bytes | None = None,
        kms_client: "KMSClient | None" = None,
        encryption_algorithm: EncryptionAlgorithm = "RSAES_OAEP_SHA_256",
    ) -> None:
        self._name = self._key_arn = check_key_arn(key_arn)
        self._identity = PROVIDER_ID, key_arn.encode()
        self._public_key = load_rsa_public_key(public_key) if public_key is not None else None
        self._kms: Any = kms_client
        if encryption_algorithm not in PADDINGS:
            raise InvalidRequest(f"encryption_algorithm {encryption_algorithm!r} is not one of {', '.join(PADDINGS)}")
        self._algorithm = encryption_algorithm
        self._padding = PADDINGS[encryption_algorithm]

    @property
    def key_arn(self) -> str:
        """ARN of the KMS key."""
        return self._key_arn

    def wrap_data_key(
        self, data_key: bytearray, encryption_context: Mapping[str, str], suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> tuple[EncryptedDataKey, ...]:
        """Return ``data_key`` encrypted with the public key.

        Raises:
            InvalidRequest: The keyring has no public key, or ``suite`` is signed.
        """
        _refuse_signed(suite)
        if self._public_key is None:
            raise InvalidRequest("this KmsRsaKeyring has no public_key, so it can only decrypt")
        bound = bytearray(_digest(encryption_context) + data_key)
        ciphertext = self._public_key.encrypt(bytes(bound), self._padding)
        wipe(bound)
        return (EncryptedDataKey(*self._identity, ciphertext),)

    def _check_decrypts(self, suite: AlgorithmSuite) -> None:
        _refuse_signed(suite)
        if self._kms is None:
            raise InvalidRequest("this KmsRsaKeyring has no kms_client, so it can only encrypt")

    def _decrypt(self, key: EncryptedDataKey, context: Mapping[str, str], suite: AlgorithmSuite) -> DataKey:
        with typed_errors("AWS KMS"):
            response = self._kms.decrypt(
                KeyId=self._key_arn, CiphertextBlob=key.ciphertext, EncryptionAlgorithm=self._algorithm
            )
        bound = checked_plaintext(response, self._key_arn, "Decrypt", _DIGEST_LENGTH + suite.key_length)
        try:
            if not hmac.compare_digest(bound[:_DIGEST_LENGTH], _digest(context)):
                raise InvalidCiphertextException("the data key is bound to another encryption context")
            return DataKey(bound[_DIGEST_LENGTH:], (key,), self._key_arn)
        finally:
            wipe(bound)


def load_rsa_public_key(encoded: bytes) -> RSAPublicKey:
    """Return the RSA public key in ``encoded``, DER or PEM.

    Raises:
        InvalidRequest: It is not one, or has fewer than 2048 bits.
    """
    try:
        key = load_pem_public_key(encoded) if encoded.startswith(b"-----") else load_der_public_key(encoded)
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidRequest("the public key is neither DER nor PEM") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < _SMALLEST_KEY:
        raise InvalidRequest(f"the public key is not an RSA key of at least {_SMALLEST_KEY} bits")
    return key


def _digest(encryption_context: Mapping[str, str]) -> bytes:
    return sha384(serialize_context(encryption_context)[2:]).digest()


def _refuse_signed(suite: AlgorithmSuite) -> None:
    if suite.signed:
        raise InvalidRequest(f"algorithm suite {suite} is signed; AWS defines no such messages for RSA KMS keys")
