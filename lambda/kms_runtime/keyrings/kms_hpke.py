"""``KmsHpkeKeyring``: data keys under an ML-KEM KMS key, encrypted by HPKE without a call, decapsulated by AWS KMS."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from kms_runtime.aws_errors import KMSInternalException
from kms_runtime.errors import InvalidRequest
from kms_runtime.key_agreement import hpke
from kms_runtime.key_arn import check_key_arn
from kms_runtime.keyrings.keyring import DEFAULT_SUITE, DataKey, WrappingKeyring
from kms_runtime.message import AlgorithmSuite, EncryptedDataKey, serialize_context
from kms_runtime.message.suite import wipe

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

PROVIDER_ID: Final = "kms-patterns-hpke"
"""The provider id of such data keys in a message."""
_INFO: Final = b"kms-patterns hpke keyring 1"


class KmsHpkeKeyring(WrappingKeyring):
    """Wraps data keys under an ML-KEM KMS key by HPKE: no KMS call to encrypt, one to decrypt.

    **The official SDKs cannot read such messages**: AWS defines no keyring for ML-KEM keys, so the provider id is ours.
    Files of any size then are as safe from a later quantum computer as ML-KEM is; AES-256 needs no successor.

    The wrapped data key is one message of :mod:`kms_runtime.key_agreement.hpke`. Its associated data is the serialized
    encryption context, so a data key is bound to its context; no key policy can demand that context.

    Args:
        key_arn: ARN of a key with usage ENCAPSULATE_DECAPSULATE.
        key_spec: ``ML_KEM_768`` or ``ML_KEM_1024``.
        public_key: What AWS KMS GetPublicKey returns for it, DER; needed to encrypt.
        kms_client: A client that has Decapsulate (see :mod:`kms_runtime.kms_model`); needed to decrypt.

    Raises:
        InvalidArnException: ``key_arn`` is not a key ARN.
        InvalidRequest: ``key_spec`` does not receive HPKE messages.
    """

    def __init__(
        self,
        key_arn: str,
        *,
        key_spec: str = "ML_KEM_768",
        public_key: bytes | None = None,
        kms_client: "KMSClient | None" = None,
    ) -> None:
        self._name = self._key_arn = check_key_arn(key_arn)
        self._identity = PROVIDER_ID, key_arn.encode()
        if key_spec not in hpke.SUITES:
            raise InvalidRequest(f"key_spec {key_spec!r} does not receive HPKE messages; use {', '.join(hpke.SUITES)}")
        self._recipient = hpke.KmsRecipient(key_arn, key_spec, kms_client) if kms_client is not None else None
        self._public_key = public_key

    @property
    def key_arn(self) -> str:
        """ARN of the KMS key."""
        return self._key_arn

    def wrap_data_key(
        self, data_key: bytearray, encryption_context: Mapping[str, str], _suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> tuple[EncryptedDataKey, ...]:
        """Return ``data_key`` encrypted for the public key.

        Raises:
            InvalidRequest: The keyring has no public key.
            PublicKeyInvalid: The public key is not an ML-KEM-768 or ML-KEM-1024 key.
        """
        if self._public_key is None:
            raise InvalidRequest("this KmsHpkeKeyring has no public_key, so it can only decrypt")
        wrapped = hpke.encrypt(
            bytes(data_key),
            public_key=self._public_key,
            info=_INFO,
            associated_data=serialize_context(encryption_context),
        )
        return (EncryptedDataKey(*self._identity, wrapped),)

    def _check_decrypts(self, suite: AlgorithmSuite) -> None:  # noqa: ARG002
        if self._recipient is None:
            raise InvalidRequest("this KmsHpkeKeyring has no kms_client, so it can only encrypt")

    def _decrypt(self, key: EncryptedDataKey, context: Mapping[str, str], suite: AlgorithmSuite) -> DataKey:
        recipient: Any = self._recipient
        data_key = bytearray(
            hpke.decrypt(key.ciphertext, recipient=recipient, info=_INFO, associated_data=serialize_context(context))
        )
        if len(data_key) != suite.key_length:
            found = len(data_key)
            wipe(data_key)
            raise KMSInternalException(
                f"a data key of {found} bytes, not of {suite.key_length}", operation="Decapsulate"
            )
        return DataKey(data_key, (key,), self._key_arn)
