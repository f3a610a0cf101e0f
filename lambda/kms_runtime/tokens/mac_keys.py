"""Verification of HS256, HS384 and HS512 tokens by AWS KMS, which alone has the key."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kms_runtime.aws_errors import KMSInvalidMacException
from kms_runtime.errors import TokenAlgorithmRefused, TokenKeyUnknown, TokenSignatureInvalid
from kms_runtime.macs import verify_mac
from kms_runtime.tokens.algorithms import token_algorithm
from kms_runtime.tokens.key_set import TokenKey, key_id

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


class MacKeys:
    """HMAC keys of AWS KMS as a key set: each verification is a call of VerifyMac.

    Args:
        keys: ARN of each key -> JOSE's name of its algorithm, such as ``HS256``.
        kms_client: A ``boto3.client("kms")``.

    Raises:
        TokenAlgorithmRefused: Tokens may not have the algorithm, or it is one of signing keys.
        InvalidArnException: Not a key ARN.
    """

    def __init__(self, keys: Mapping[str, str], *, kms_client: "KMSClient") -> None:
        self._client = kms_client
        self._keys = {key_id(arn): self._token_key(arn, algorithm) for arn, algorithm in keys.items()}

    def find(self, key_id: str) -> TokenKey:
        """Return the key with this id.

        Raises:
            TokenKeyUnknown: No key has this id; AWS KMS is not called.
        """
        found = self._keys.get(key_id)
        if found is None:
            raise TokenKeyUnknown(f"no key of this issuer has the id {key_id!r}")
        return found

    def _token_key(self, arn: str, algorithm: str) -> TokenKey:
        known = token_algorithm(algorithm)
        if not known.is_mac:
            raise TokenAlgorithmRefused(f"{arn}: {algorithm} is of signing keys; take Jwks, which verifies offline")

        def check(signature: bytes, message: bytes) -> None:
            try:
                verify_mac(message, signature, key_arn=arn, algorithm=known.kms_name, kms_client=self._client)
            except KMSInvalidMacException:
                raise TokenSignatureInvalid("the authentication code is not that of the token under its key") from None

        return TokenKey(key_id(arn), algorithm, check)
