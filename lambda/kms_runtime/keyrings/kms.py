"""Keyrings of AWS KMS: keys that are named in advance, or any key of accounts that the caller trusts, to decrypt.

Every response of AWS KMS is checked against the key that was asked for, for the RSA keyring also.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Never

from kms_runtime.aws_errors import KMSInternalException, typed_errors
from kms_runtime.errors import InvalidRequest
from kms_runtime.key_arn import check_key_arn, check_response_key, parse_key_arn, same_multi_region_key
from kms_runtime.keyrings.keyring import (
    DEFAULT_SUITE,
    DataKey,
    EncryptedKeys,
    check_count,
    first_that_decrypts,
    not_for_us,
)
from kms_runtime.message import AlgorithmSuite, EncryptedDataKey
from kms_runtime.message.header import MAX_ENCRYPTED_DATA_KEYS
from kms_runtime.message.suite import wipe

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

PROVIDER_ID = "aws-kms"


def generate(client: "KMSClient", key_arn: str, context: Mapping[str, str]) -> tuple[bytearray, bytes]:
    """Return a new 256-bit data key in plaintext and encrypted."""
    with typed_errors("AWS KMS"):
        response = client.generate_data_key(KeyId=key_arn, KeySpec="AES_256", EncryptionContext=context)
    return checked_plaintext(response, key_arn, "GenerateDataKey", 32), bytes(response["CiphertextBlob"])


def wrap(client: "KMSClient", key_arn: str, data_key: bytearray, context: Mapping[str, str]) -> bytes:
    """Return ``data_key`` encrypted under another key."""
    with typed_errors("AWS KMS"):
        response = client.encrypt(KeyId=key_arn, Plaintext=bytes(data_key), EncryptionContext=context)
    check_response_key(response, key_arn, "Encrypt")
    return bytes(response["CiphertextBlob"])


def unwrap(client: "KMSClient", key_arn: str, ciphertext: bytes, context: Mapping[str, str], length: int) -> bytearray:
    """Return the data key of ``length`` bytes, decrypted with KeyId pinned to ``key_arn``."""
    with typed_errors("AWS KMS"):
        response = client.decrypt(KeyId=key_arn, CiphertextBlob=ciphertext, EncryptionContext=context)
    return checked_plaintext(response, key_arn, "Decrypt", length)


def checked_plaintext(response: Mapping[str, Any], key_arn: str, operation: str, length: int) -> bytearray:
    """Return the plaintext of a ``response`` that must be about ``key_arn`` and have ``length`` bytes.

    Raises:
        IncorrectKeyException: The response is about another key.
        KMSInternalException: The plaintext has another length.
    """
    check_response_key(response, key_arn, operation)
    plaintext = bytearray(response["Plaintext"])
    if len(plaintext) != length:
        message = f"{operation} returned a data key of {len(plaintext)} bytes, not of {length}"
        raise KMSInternalException(message, operation=operation)
    return plaintext


class KmsKeyring:
    """Wraps each message's data key under a symmetric KMS key: one KMS call to encrypt, one to decrypt.

    A data key of a multi-Region key (``key/mrk-…``) is decrypted by the related key that this keyring names, whichever
    Region it was encrypted in: the call stays in the Region of the named key.

    Args:
        key_arn: ARN of a symmetric encryption key. Not an alias: an alias can be pointed at another key.
        kms_client: A ``boto3.client("kms")`` for the key's Region.
        additional_keys: ARNs of further keys, each with the client of its Region. Every message is encrypted under each
            of them also (one ``kms:Encrypt`` call per key), and any one of them decrypts it.
        max_encrypted_data_keys: Most keys to encrypt under. Defaults to 20, the most that ``decrypt`` accepts unless
            its parameter of this name says otherwise.

    Raises:
        InvalidArnException: Something that should be one is not a key ARN.

    See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/use-kms-keyring.html
    """

    def __init__(
        self,
        key_arn: str,
        *,
        kms_client: "KMSClient",
        additional_keys: Mapping[str, "KMSClient"] | None = None,
        max_encrypted_data_keys: int = MAX_ENCRYPTED_DATA_KEYS,
    ) -> None:
        self._clients = {check_key_arn(arn): client for arn, client in (additional_keys or {}).items()}
        self._key_arn = check_key_arn(key_arn)
        self._clients = {key_arn: kms_client} | self._clients
        self._most = max_encrypted_data_keys

    @property
    def key_arn(self) -> str:
        """ARN of the KMS key that generates data keys."""
        return self._key_arn

    def generate_data_key(
        self, encryption_context: Mapping[str, str], _suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> DataKey:
        """Return a new AES-256 data key from AWS KMS GenerateDataKey, bound to ``encryption_context``.

        Raises:
            InvalidRequest: The keyring has more keys than ``max_encrypted_data_keys``; AWS is not called.
            AwsError: AWS KMS refused; the class name is its error code.
            IncorrectKeyException: The response is for another key than the request.
        """
        check_count(len(self._clients), self._most)
        plaintext, ciphertext = generate(self._clients[self._key_arn], self._key_arn, encryption_context)
        others = [arn for arn in self._clients if arn != self._key_arn]
        try:
            wrapped = self._wrapped(plaintext, encryption_context, others)
        except BaseException:
            wipe(plaintext)
            raise
        return DataKey(plaintext, (_encrypted(self._key_arn, ciphertext), *wrapped), self._key_arn)

    def wrap_data_key(
        self, data_key: bytearray, encryption_context: Mapping[str, str], _suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> tuple[EncryptedDataKey, ...]:
        """Return ``data_key`` encrypted under each key by AWS KMS Encrypt; errors as for ``generate_data_key``."""
        return self._wrapped(data_key, encryption_context, list(self._clients))

    def _wrapped(
        self, data_key: bytearray, context: Mapping[str, str], arns: Sequence[str]
    ) -> tuple[EncryptedDataKey, ...]:
        return tuple(_encrypted(arn, wrap(self._clients[arn], arn, data_key, context)) for arn in arns)

    def decrypt_data_key(
        self, encrypted: EncryptedKeys, encryption_context: Mapping[str, str], suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> DataKey:
        """Return the data key, decrypted by AWS KMS with KeyId pinned to one of this keyring's keys.

        Raises:
            IncorrectKeyException: No data key of the message is encrypted under a key of this keyring; AWS is not
                called.
            AwsError: AWS KMS refused; the class name is its error code.
        """
        mine = [(key, arn, client) for key in encrypted for arn, client in self._clients.items() if _decrypts(arn, key)]
        if not mine:
            raise not_for_us(encrypted, ", ".join(self._clients))
        return decrypt_first(mine, encryption_context, suite)


def decrypt_first(
    candidates: Sequence[tuple[EncryptedDataKey, str, "KMSClient"]],
    encryption_context: Mapping[str, str],
    suite: AlgorithmSuite,
) -> DataKey:
    """Try each encrypted data key under its key ARN; errors as for ``first_that_decrypts``."""
    return first_that_decrypts(
        [(arn, partial(_decrypt, key, arn, client, encryption_context, suite)) for key, arn, client in candidates]
    )


def _decrypt(
    key: EncryptedDataKey, arn: str, client: "KMSClient", context: Mapping[str, str], suite: AlgorithmSuite
) -> DataKey:
    plaintext = unwrap(client, arn, key.ciphertext, context, suite.key_length)
    return DataKey(plaintext, (key,), arn)


def _decrypts(arn: str, key: EncryptedDataKey) -> bool:
    if key.provider_id != PROVIDER_ID:
        return False
    return key.provider_info == arn.encode() or same_multi_region_key(arn, key.name)


def _encrypted(arn: str, ciphertext: bytes) -> EncryptedDataKey:
    return EncryptedDataKey(PROVIDER_ID, arn.encode(), ciphertext)


class KmsDiscoveryKeyring:
    """Decrypts with the key that the message names, if it is in one of ``account_ids``; it cannot encrypt.

    **The message chooses the key.** Any principal that may use a key of these accounts can make messages for it: name
    the key with a ``KmsKeyring`` wherever it is known.

    Args:
        account_ids: Accounts whose keys are accepted, 12 digits each; at least one.
        client_for_region: Returns a ``boto3.client("kms")`` for a Region, or None to leave that Region alone.
        partition: Partition of the accounts.
        mrk_region: Region in which multi-Region keys decrypt, whichever Region the message names: it must have a
            related key. Other keys decrypt in their own Region. Defaults to that also for multi-Region keys. It is
            AWS's MRK-aware discovery keyring if ``client_for_region`` has a client for this Region only.

    Raises:
        InvalidRequest: ``account_ids`` is empty or has something that is not an account id.

    See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/use-kms-keyring.html#kms-keyring-discovery
    """

    def __init__(
        self,
        *,
        account_ids: Collection[str],
        client_for_region: Callable[[str], "KMSClient | None"],
        partition: str = "aws",
        mrk_region: str | None = None,
    ) -> None:
        if (
            isinstance(account_ids, str)
            or not account_ids
            or not all(re.fullmatch("[0-9]{12}", one) for one in account_ids)
        ):
            raise InvalidRequest("discovery needs the ids of the accounts to trust, 12 digits each, as a collection")
        self._accounts = frozenset(account_ids)
        self._client_for_region = client_for_region
        self._partition = partition
        self._mrk_region = mrk_region

    def generate_data_key(
        self, _encryption_context: Mapping[str, str], _suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> Never:
        """Refuse: this keyring names no key to encrypt under.

        Raises:
            InvalidRequest: Always.
        """
        raise InvalidRequest("a discovery keyring names no key, so it cannot encrypt: use a KmsKeyring")

    def decrypt_data_key(
        self, encrypted: EncryptedKeys, encryption_context: Mapping[str, str], suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> DataKey:
        """Return the data key, decrypted by AWS KMS with KeyId pinned to the ARN that the message gives.

        Raises:
            IncorrectKeyException: No key of the message is in a trusted account; AWS is not called.
            AwsError: AWS KMS refused; the class name is its error code.
        """
        candidates = []
        for key in encrypted:
            arn = parse_key_arn(key.name) if key.provider_id == PROVIDER_ID else None
            if arn is None or arn.partition != self._partition or arn.account not in self._accounts:
                continue
            if self._mrk_region and arn.is_multi_region:
                arn = arn._replace(region=self._mrk_region)
            if client := self._client_for_region(arn.region):
                candidates.append((key, str(arn), client))
        if not candidates:
            raise not_for_us(encrypted, f"a key of {', '.join(sorted(self._accounts))} in an accepted Region")
        return decrypt_first(candidates, encryption_context, suite)
