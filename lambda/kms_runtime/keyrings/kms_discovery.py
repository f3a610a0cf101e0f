"""``KmsDiscoveryKeyring``: decrypts messages under any KMS key of accounts that the caller trusts."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Never

from kms_runtime.errors import InvalidRequest
from kms_runtime.key_arn import KeyArn, parse_key_arn
from kms_runtime.keyrings.keyring import DEFAULT_SUITE, DataKey, not_for_us
from kms_runtime.keyrings.kms import PROVIDER_ID, decrypt_first
from kms_runtime.message import AlgorithmSuite, EncryptedDataKey

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


class KmsDiscoveryKeyring:
    """Decrypts with the key that the message names, if it is in one of ``account_ids``; it cannot encrypt.

    **The message chooses the key.** Any principal that may use a key of these accounts can make messages for it: name
    the key with a ``KmsKeyring`` wherever it is known.

    Args:
        account_ids: Accounts whose keys are accepted, 12 digits each; at least one.
        client_for_region: Returns a ``boto3.client("kms")`` for a Region, or None to leave that Region alone.
        partition: Partition of the accounts.

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
    ) -> None:
        if isinstance(account_ids, str) or not account_ids or not all(map(_is_account_id, account_ids)):
            raise InvalidRequest("discovery needs the ids of the accounts to trust, 12 digits each, as a collection")
        self._accounts = frozenset(account_ids)
        self._client_for_region = client_for_region
        self._partition = partition

    def generate_data_key(
        self, _encryption_context: Mapping[str, str], _suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> Never:
        """Refuse: this keyring names no key to encrypt under.

        Raises:
            InvalidRequest: Always.
        """
        raise InvalidRequest("a discovery keyring names no key, so it cannot encrypt: use a KmsKeyring")

    def decrypt_data_key(
        self,
        encrypted: Sequence[EncryptedDataKey],
        encryption_context: Mapping[str, str],
        suite: AlgorithmSuite = DEFAULT_SUITE,
        /,
    ) -> DataKey:
        """Return the data key, decrypted by AWS KMS with KeyId pinned to the ARN that the message gives.

        Raises:
            IncorrectKeyException: No key of the message is in a trusted account; AWS is not called.
            AwsError: AWS KMS refused; the class name is its error code.
        """
        candidates = []
        for key in encrypted:
            arn = parse_key_arn(key.name) if key.provider_id == PROVIDER_ID else None
            if arn and self._trusts(arn) and (client := self._client_for_region(arn.region)):
                candidates.append((key, str(arn), client))
        if not candidates:
            raise not_for_us(encrypted, f"a key of {', '.join(sorted(self._accounts))} in an accepted Region")
        return decrypt_first(candidates, encryption_context, suite)

    def _trusts(self, arn: KeyArn) -> bool:
        return arn.partition == self._partition and arn.account in self._accounts


def _is_account_id(text: str) -> bool:
    return len(text) == 12 and text.isascii() and text.isdigit()  # noqa: PLR2004
