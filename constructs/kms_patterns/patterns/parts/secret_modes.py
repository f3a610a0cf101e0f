"""How a SecretCipher works: under an encryption context with a symmetric key, with one pinned algorithm under RSA."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kms_patterns.functions.context_requirement import needed_context
from kms_patterns.keys.asymmetric_keys import RsaEncryptionKey
from kms_patterns.keys.symmetric_keys import EncryptionKey
from kms_patterns.patterns.parts.key_uses import check_key_of_app
from kms_patterns.policy.key_specs import RSA_ENCRYPTION_ALGORITHMS

RSA_ALGORITHM = "RSAES_OAEP_SHA_256"


@dataclass(frozen=True)
class SecretMode:
    """What both functions of a SecretCipher have in common.

    Attributes:
        handlers: Module of ``kms_runtime.handlers``.
        limit: How many bytes a value has at most, in words.
        environment: Settings of the functions.
        terms: Arguments of the key's ``grant_encrypt`` and ``grant_decrypt`` to the functions' roles.
    """

    handlers: str
    limit: str
    environment: Mapping[str, str]
    terms: Mapping[str, Any]


def symmetric_mode(
    key: EncryptionKey, fixed: Mapping[str, str] | None, names: Sequence[str], algorithm: str | None
) -> SecretMode:
    """Return the mode of a symmetric key, whose every ciphertext is bound to a context.

    Raises:
        ValueError: No context is required, a name cannot be one, or an algorithm is given.
    """
    context = needed_context("SecretCipher", fixed, names, "any ciphertext of the key decrypts")
    if algorithm is not None:
        raise ValueError(f"encryption_algorithm {algorithm!r} is for RSA: a symmetric key knows SYMMETRIC_DEFAULT only")
    environment = {"KEY_ARN": key.key_arn, **context.environment}
    terms = {"encryption_context": context.fixed, "required_context": context.names}
    return SecretMode("secret_cipher", "4096 bytes", environment, terms)


def rsa_mode(
    key: RsaEncryptionKey, fixed: Mapping[str, str] | None, names: Sequence[str], algorithm: str | None
) -> SecretMode:
    """Return the mode of an RSA key, whose role policies and key policy pin the algorithm.

    Raises:
        ValueError: A context is required, which RSA does not have, or the algorithm is none of RSA encryption.
    """
    if fixed or names:
        raise ValueError(
            f"an encryption context ({[*(fixed or {}), *names]}) with an RSA key: RSA has none, so nothing would be "
            "bound to it; leave it out, or use an EncryptionKey, or the RsaEnvelopeCipher, which binds one to each file"
        )
    algorithm = check_rsa(key, algorithm or RSA_ALGORITHM)
    environment = {"KEY_ARN": key.key_arn, "KEY_SPEC": key.key_spec.value, "ENCRYPTION_ALGORITHM": algorithm}
    bits = int(key.key_spec.value.removeprefix("RSA_"))
    limit = f"{bits // 8 - RSA_ENCRYPTION_ALGORITHMS[algorithm]} bytes"
    return SecretMode("rsa_secret_cipher", limit, environment, {"algorithms": [algorithm]})


def check_rsa(key: RsaEncryptionKey, algorithm: str) -> str:
    """Return ``algorithm``.

    Raises:
        ValueError: The key is SM2, which the functions cannot use, or the algorithm is none of RSA encryption.
    """
    check_key_of_app(key.node.path, "encryption_key", key, RsaEncryptionKey)
    if not key.key_spec.value.startswith("RSA_"):
        raise ValueError(f"the key spec is {key.key_spec.value}: the functions encrypt with RSA keys only")
    if algorithm not in RSA_ENCRYPTION_ALGORITHMS:
        raise ValueError(f"encryption_algorithm {algorithm!r}: give one of {', '.join(RSA_ENCRYPTION_ALGORITHMS)}")
    return algorithm
