"""Key material of each key spec: read, checked, generated, and wiped after use.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-conceptual.html#importing-keys-material-requirements
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from kms_runtime.errors import KmsRuntimeError
from kms_runtime.public_keys.jwk import key_spec_of

RAW_BYTES: Final[Mapping[str, int]] = {
    "SYMMETRIC_DEFAULT": 32,
    "HMAC_224": 28,
    "HMAC_256": 32,
    "HMAC_384": 48,
    "HMAC_512": 64,
}
"""Key spec -> bytes of key material, for keys without a public half."""

RSA_BITS: Final[Mapping[str, int]] = {"RSA_2048": 2048, "RSA_3072": 3072, "RSA_4096": 4096}
_CURVES: Final[Mapping[str, type[ec.EllipticCurve]]] = {
    "ECC_NIST_P256": ec.SECP256R1,
    "ECC_NIST_P384": ec.SECP384R1,
    "ECC_NIST_P521": ec.SECP521R1,
    "ECC_SECG_P256K1": ec.SECP256K1,
}
_ED25519: Final = "ECC_NIST_EDWARDS25519"
KEY_SPECS: Final = (*RAW_BYTES, *RSA_BITS, *_CURVES, _ED25519)
"""Specs whose material this package can import."""

_PEM: Final = b"-----BEGIN "

Passphrase = Callable[[], str]


class KeyMaterialInvalid(KmsRuntimeError):
    """The bytes are not key material of the key's spec, or cannot be wrapped or kept as asked for."""


@contextmanager
def wiped(material: bytearray) -> Iterator[bytearray]:
    """Give ``material`` to the block and overwrite it with zeros afterwards, whatever happens.

    That bounds how long the one buffer that this package fills lies in memory. Copies made on the way, by the wrapping
    of symmetric keys and by OpenSSL, are freed, not overwritten: nothing in Python can reach them.
    """
    try:
        yield material
    finally:
        material[:] = bytes(len(material))


def check_spec(key_spec: str) -> None:
    """Check that this package knows what the material of a key looks like.

    Raises:
        KeyMaterialInvalid: It does not.
    """
    if key_spec not in KEY_SPECS:
        raise KeyMaterialInvalid(
            f"key spec {key_spec}: material for {', '.join(KEY_SPECS)} can be imported with this command; "
            "for others follow the developer guide"
        )


def normalized(given: bytearray, key_spec: str, passphrase: Passphrase | None = None) -> bytearray:
    """Return ``given`` in the form that KMS takes: raw bytes, or a private key as PKCS #8 in DER.

    Args:
        given: Raw bytes, or a private key in PEM or DER.
        key_spec: Spec of the key that is to hold it.
        passphrase: Asked for a private key that is encrypted.

    Raises:
        KeyMaterialInvalid: It is not material of that spec; the message holds nothing of it.
    """
    check_spec(key_spec)
    if key_spec in RAW_BYTES:
        if len(given) != RAW_BYTES[key_spec]:
            raise KeyMaterialInvalid(
                f"{len(given)} bytes of key material: {key_spec} takes exactly {RAW_BYTES[key_spec]} raw bytes, "
                "without a line end, and not as hexadecimal or base64 text"
            )
        return bytearray(given)
    key = _private_key(given, key_spec, passphrase)
    found = key_spec_of(key.public_key()).replace("Public", "Private")
    if found != key_spec:
        raise KeyMaterialInvalid(
            f"the private key is {found}, the KMS key takes {key_spec}: give the one it was made for"
        )
    return _der(key)


def generate(key_spec: str) -> bytearray:
    """Return new key material from the operating system's random source.

    Raises:
        KeyMaterialInvalid: The spec is not one of ``KEY_SPECS``.
    """
    check_spec(key_spec)
    if key_spec in RAW_BYTES:
        return bytearray(secrets.token_bytes(RAW_BYTES[key_spec]))
    if key_spec in RSA_BITS:
        return _der(rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS[key_spec]))
    if key_spec == _ED25519:
        return _der(ed25519.Ed25519PrivateKey.generate())
    return _der(ec.generate_private_key(_CURVES[key_spec]()))


def _private_key(given: bytearray, key_spec: str, passphrase: Passphrase | None) -> Any:
    load: Any = load_pem_private_key if given.lstrip().startswith(_PEM) else load_der_private_key
    try:
        try:
            return load(given, password=None)
        except TypeError:  # what cryptography raises for an encrypted key without a password
            if passphrase is None:
                raise KeyMaterialInvalid("the private key is encrypted, and no passphrase can be asked for") from None
            return load(given, password=passphrase().encode())
    except ValueError as error:
        raise KeyMaterialInvalid(
            f"not a private key in PEM or DER, or another passphrase: {key_spec} takes an RSA or elliptic curve "
            "private key, such as `openssl genpkey` writes"
        ) from error


def _der(key: Any) -> bytearray:
    return bytearray(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
