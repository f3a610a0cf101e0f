"""Asymmetric key pairs made by AWS KMS, the private key encrypted under a symmetric key; their specs and quotas.

The pair's usage is part of its encryption context (``key-usage``), so that a policy on ``kms:Decrypt`` can let one role
sign and another decrypt, though both decrypt private keys: see :mod:`kms_runtime.key_pairs.data_key_pair_use`.

See https://docs.aws.amazon.com/kms/latest/developerguide/data-key-pairs.html and
https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKeyPair.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from kms_runtime.aws_errors import InvalidKeyUsageException
from kms_runtime.backoff import Backoff
from kms_runtime.errors import EncryptionContextMismatch, InvalidRequest
from kms_runtime.key_arn import call_kms
from kms_runtime.message.context import check_context, one_spelling
from kms_runtime.public_keys.jwk import OAEP_OVERHEAD, key_spec_of
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.signing_algorithms import ALGORITHMS, ALGORITHMS_OF

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


SIGN_VERIFY: Final = "SIGN_VERIFY"
ENCRYPT_DECRYPT: Final = "ENCRYPT_DECRYPT"
OAEP_ALGORITHMS: Final = tuple(OAEP_OVERHEAD)

USAGE_NAME: Final = "key-usage"
"""Name of the pair of the encryption context that says what a data key pair is for."""

PairKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
"""A private key of a data key pair."""

# A second, of both operations together, by default; RSA pairs take AWS KMS seconds to find.
# https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html
QUOTAS: Final[Mapping[str, int]] = {
    "RSA_2048": 20,
    "RSA_3072": 4,
    "RSA_4096": 1,
    "ECC_NIST_P256": 100,
    "ECC_NIST_P384": 100,
    "ECC_NIST_P521": 100,
    "ECC_SECG_P256K1": 100,
    "ECC_NIST_EDWARDS25519": 100,
}
"""Pairs a second that AWS KMS makes for an account in a Region, unless it was asked for more, by spec."""


def algorithms_of(key_pair_spec: str, key_usage: str) -> tuple[str, ...]:
    """Return the algorithms that a pair of this spec serves.

    Raises:
        InvalidRequest: The spec (SM2 exists in the China Regions only) or the usage is unknown.
        InvalidKeyUsageException: Pairs of this spec do not encrypt.
    """
    if key_pair_spec not in QUOTAS:
        raise InvalidRequest(f"{key_pair_spec!r} is not a data key pair spec; AWS KMS has {', '.join(QUOTAS)}")
    if key_usage == SIGN_VERIFY:
        # ``cryptography``, which signs here, does not offer Ed25519ph.
        return tuple(name for name in ALGORITHMS_OF[key_pair_spec] if ALGORITHMS[name].scheme != "ED25519_PH")
    if key_usage != ENCRYPT_DECRYPT:
        raise InvalidRequest(f"{key_usage!r} is not a usage of a data key pair: {SIGN_VERIFY} or {ENCRYPT_DECRYPT}")
    if not key_pair_spec.startswith("RSA_"):
        raise InvalidKeyUsageException(f"a pair of spec {key_pair_spec} signs; pairs that encrypt are RSA")
    return OAEP_ALGORITHMS


def spec_of(key: object) -> str:
    """Return the spec of a private key.

    Raises:
        InvalidKeyUsageException: It is not the key of a data key pair.
    """
    spec = key_spec_of(key.public_key()) if isinstance(key, PairKey) else ""
    if spec in QUOTAS:
        return spec
    raise InvalidKeyUsageException(f"{type(key).__name__} is not the private key of a data key pair")


def check_serves(key: object, algorithm: str, key_usage: str) -> PairKey:
    """Return ``key`` if ``algorithm`` is one of its spec.

    Raises:
        InvalidKeyUsageException: It is not.
    """
    spec = spec_of(key)
    served = algorithms_of(spec, key_usage)
    if algorithm not in served:
        raise InvalidKeyUsageException(f"a pair of spec {spec} does not serve {algorithm}; it has {', '.join(served)}")
    return cast("PairKey", key)


def usage_context(encryption_context: Mapping[str, str], key_usage: str) -> dict[str, str]:
    """Return the context with the pair's usage in it.

    Raises:
        EncryptionContextMismatch: It names another usage.
        EncryptionContextInvalid: A name or value that AWS KMS would refuse, or two names that differ in case only.
    """
    check_context(encryption_context)
    if encryption_context.get(USAGE_NAME, key_usage) != key_usage:
        named = encryption_context[USAGE_NAME]
        raise EncryptionContextMismatch(f"the context gives {USAGE_NAME} the value {named!r}; it is {key_usage!r} here")
    return one_spelling({**encryption_context, USAGE_NAME: key_usage})


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
    given: dict[str, Any] = {"key_arn": key_arn, "encryption_context": encryption_context, "backoff": backoff}
    return _make(kms_client.generate_data_key_pair_without_plaintext, key_pair_spec, key_usage, **given)[0]


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
    given: dict[str, Any] = {"key_arn": key_arn, "encryption_context": encryption_context, "backoff": backoff}
    pair, response = _make(kms_client.generate_data_key_pair, key_pair_spec, key_usage, **given)
    return pair, bytearray(response["PrivateKeyPlaintext"])


def _make(
    operation: Any,
    key_pair_spec: str,
    key_usage: str,
    *,
    key_arn: str,
    encryption_context: Mapping[str, str],
    backoff: Backoff | None,
) -> tuple[DataKeyPair, Mapping[str, Any]]:
    algorithms = algorithms_of(key_pair_spec, key_usage)
    context = usage_context(encryption_context, key_usage)
    given = {"KeyPairSpec": key_pair_spec, "EncryptionContext": context}
    call = partial(call_kms, operation, "GenerateDataKeyPair", key_arn, **given)
    hint = (
        f"AWS KMS makes {QUOTAS[key_pair_spec]} pairs of {key_pair_spec} a second by default, for all callers of the "
        "account in the Region; make fewer at a time, take an ECC spec, or ask Service Quotas for more"
    )
    response = (backoff or Backoff()).run(call, hint=hint)
    public_key = PublicKey(key_arn, key_pair_spec, key_usage, algorithms, bytes(response["PublicKey"]))
    return DataKeyPair(public_key, bytes(response["PrivateKeyCiphertextBlob"])), response
