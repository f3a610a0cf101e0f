"""The data key pair specs of AWS KMS, the algorithms of each, and how many pairs a second AWS KMS makes.

See https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKeyPair.html
"""

from collections.abc import Mapping
from typing import Final, cast

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from kms_runtime.aws_errors import InvalidKeyUsageException
from kms_runtime.errors import EncryptionContextMismatch, InvalidRequest
from kms_runtime.message.context import check_context
from kms_runtime.public_key_specs import key_spec_of
from kms_runtime.public_keys.public_key_algorithms import OAEP_OVERHEAD
from kms_runtime.required_context import one_spelling
from kms_runtime.signing_algorithms import ALGORITHMS, ALGORITHMS_OF

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
