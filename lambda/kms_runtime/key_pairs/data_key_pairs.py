"""Asymmetric key pairs made by AWS KMS, the private key encrypted under a symmetric key.

The pair's usage is part of its encryption context (``key-usage``), so that a policy on ``kms:Decrypt`` can let one role
sign and another decrypt, though both decrypt private keys: see :mod:`kms_runtime.key_pairs.data_key_pair_use`.

See https://docs.aws.amazon.com/kms/latest/developerguide/data-key-pairs.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kms_runtime.aws_errors import typed_errors
from kms_runtime.backoff import Backoff
from kms_runtime.key_arn import check_key_arn, check_response_key
from kms_runtime.key_pairs.pair_specs import QUOTAS, algorithms_of, usage_context
from kms_runtime.public_keys.public_key import PublicKey

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


@dataclass(frozen=True, slots=True)
class DataKeyPair:
    """A pair as it may be stored anywhere: the public key, and the private key encrypted.

    Args:
        public_key: Its ``key_arn`` is that of the symmetric key which encrypts the private key.
        encrypted_private_key: CiphertextBlob of the PKCS #8 private key.
    """

    public_key: PublicKey
    encrypted_private_key: bytes


def make_data_key_pair(
    key_pair_spec: str,
    key_usage: str,
    *,
    key_arn: str,
    encryption_context: Mapping[str, str],
    kms_client: "KMSClient",
    backoff: Backoff | None = None,
) -> DataKeyPair:
    """Return a new pair, whose private key leaves AWS KMS only encrypted.

    Args:
        key_pair_spec: Such as ``ECC_NIST_P256`` (100 a second by default) or ``RSA_4096`` (1 a second, for all callers
            of the account together).
        key_usage: ``SIGN_VERIFY`` or ``ENCRYPT_DECRYPT``; becomes part of the encryption context.
        key_arn: ARN of the symmetric key that encrypts the private key.
        encryption_context: Bound to the private key, and visible in AWS CloudTrail: never put a secret here.
        kms_client: A ``boto3.client("kms")`` that does not retry by itself: ``backoff`` does.
        backoff: How long to try. Defaults to 10 seconds.

    Raises:
        InvalidRequest: The spec or the usage is unknown; AWS KMS is not called.
        InvalidKeyUsageException: The spec does not serve the usage, or the key is not symmetric.
        EncryptionContextMismatch: The context gives ``key-usage`` another value; AWS KMS is not called.
        ThrottlingException: The quota was exceeded for as long as ``backoff`` tries.
        AwsError: AWS KMS refused for another reason; the class name is its error code.
    """
    response = _generate(
        kms_client.generate_data_key_pair_without_plaintext,
        key_pair_spec,
        _request(key_pair_spec, key_usage, key_arn, encryption_context),
        backoff,
    )
    return _pair(response, key_pair_spec, key_usage, key_arn)


def make_data_key_pair_with_private_key(
    key_pair_spec: str,
    key_usage: str,
    *,
    key_arn: str,
    encryption_context: Mapping[str, str],
    kms_client: "KMSClient",
    backoff: Backoff | None = None,
) -> tuple[DataKeyPair, bytearray]:
    """Return a new pair and its private key (DER, PKCS #8), for a device that is to have it; wipe it after use.

    Arguments and errors are those of :func:`make_data_key_pair`.
    """
    response = _generate(
        kms_client.generate_data_key_pair,
        key_pair_spec,
        _request(key_pair_spec, key_usage, key_arn, encryption_context),
        backoff,
    )
    return _pair(response, key_pair_spec, key_usage, key_arn), bytearray(response["PrivateKeyPlaintext"])


def _request(key_pair_spec: str, key_usage: str, key_arn: str, context: Mapping[str, str]) -> dict[str, Any]:
    algorithms_of(key_pair_spec, key_usage)
    return {
        "KeyId": check_key_arn(key_arn),
        "KeyPairSpec": key_pair_spec,
        "EncryptionContext": usage_context(context, key_usage),
    }


def _generate(operation: Any, key_pair_spec: str, request: Mapping[str, Any], backoff: Backoff | None) -> Any:
    def call() -> Any:
        with typed_errors("AWS KMS"):
            return operation(**request)

    hint = (
        f"AWS KMS makes {QUOTAS[key_pair_spec]} pairs of {key_pair_spec} a second by default, for all callers of the "
        "account in the Region; make fewer at a time, take an ECC spec, or ask Service Quotas for more"
    )
    return (backoff or Backoff()).run(call, hint=hint)


def _pair(response: Mapping[str, Any], key_pair_spec: str, key_usage: str, key_arn: str) -> DataKeyPair:
    check_response_key(response, key_arn, "GenerateDataKeyPair")
    algorithms = algorithms_of(key_pair_spec, key_usage)
    public_key = PublicKey(key_arn, key_pair_spec, key_usage, algorithms, bytes(response["PublicKey"]))
    return DataKeyPair(public_key, bytes(response["PrivateKeyCiphertextBlob"]))
