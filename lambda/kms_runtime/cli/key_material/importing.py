"""The import of key material: parameters from AWS KMS, wrapping here, and the wrapped material back.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys.html and
https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-get-public-key-and-token.html#select-wrapping-algorithm
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_der_public_key

from kms_runtime.aws_errors import typed_errors
from kms_runtime.cli.key_material.material import RAW_BYTES, RSA_BITS, KeyMaterialInvalid, check_spec, wiped

_DIRECT: Final = ("RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1")
_BY_AES: Final = ("RSA_AES_KEY_WRAP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1")
ALGORITHMS: Final = (*_DIRECT, *_BY_AES)
"""Every wrapping algorithm of KMS outside of China; RSAES_PKCS1_V1_5 is no longer accepted."""

WRAPPING_KEY_SPEC: Final = "RSA_4096"
"""The longest one, as AWS recommends; every material fits it."""

_AES_BYTES: Final = 32


def algorithms_for(key_spec: str) -> tuple[str, ...]:
    """Return the wrapping algorithms for material of a spec, the one to prefer first."""
    if key_spec in RSA_BITS:
        return _BY_AES
    return _DIRECT if key_spec in RAW_BYTES else (*_DIRECT, *_BY_AES)


def choose(key_spec: str, algorithm: str | None) -> str:
    """Return ``algorithm``, or the one to prefer for material of ``key_spec``.

    Raises:
        KeyMaterialInvalid: KMS does not take material of this spec wrapped by it.
    """
    allowed = algorithms_for(key_spec)
    if algorithm is not None and algorithm not in allowed:
        raise KeyMaterialInvalid(f"algorithm {algorithm}: {key_spec} material is wrapped by {' or '.join(allowed)}")
    return algorithm or allowed[0]


def wrap(material: bytearray, wrapping_key: bytes, algorithm: str) -> bytes:
    """Return ``material`` wrapped, as ImportKeyMaterial takes it.

    Args:
        material: Raw bytes, or a private key as PKCS #8 in DER.
        wrapping_key: ``PublicKey`` of GetParametersForImport.
        algorithm: The wrapping algorithm that was asked for there.
    """
    public: Any = load_der_public_key(wrapping_key)
    digest = hashes.SHA1() if algorithm.endswith("SHA_1") else hashes.SHA256()  # noqa: S303 -- OAEP of KMS, no signature
    oaep = padding.OAEP(padding.MGF1(digest), digest, None)
    if algorithm in _DIRECT:
        wrapped: bytes = public.encrypt(bytes(material), oaep)
        return wrapped
    with wiped(bytearray(secrets.token_bytes(_AES_BYTES))) as key:
        return bytes(public.encrypt(bytes(key), oaep)) + keywrap.aes_key_wrap_with_padding(key, material)


LONGEST_DAYS: Final = 365
_IMPORTING_STATES: Final = ("PendingImport", "Enabled", "Disabled")


@dataclass(frozen=True)
class Destination:
    """A key for which material can be imported.

    Attributes:
        key_arn: ARN of the key.
        key_spec: Its key spec, which decides the form of the material.
    """

    key_arn: str
    key_spec: str


def destination(key_arn: str, *, kms_client: Any) -> Destination:
    """Return the key ``key_arn`` with its spec; calls DescribeKey.

    Raises:
        KeyMaterialInvalid: Its origin is not EXTERNAL, or its state does not allow an import.
        AwsError: KMS refused.
    """
    with typed_errors("AWS KMS"):
        found = kms_client.describe_key(KeyId=key_arn)["KeyMetadata"]
    if found["Origin"] != "EXTERNAL":
        raise KeyMaterialInvalid(
            f"{key_arn} has origin {found['Origin']}: only keys that were made without material (origin EXTERNAL, "
            "imported_material=True) take some, and the origin is fixed at creation"
        )
    if found["KeyState"] not in _IMPORTING_STATES:
        raise KeyMaterialInvalid(
            f"{key_arn} is {found['KeyState']}: material cannot be imported in this state; cancel the deletion first"
        )
    check_spec(found["KeySpec"])
    return Destination(key_arn, found["KeySpec"])


def check_expiry(expires: datetime | None, now: datetime | None = None) -> None:
    """Check when imported material is to expire.

    Raises:
        KeyMaterialInvalid: KMS would return ValidationException: in the past, or more than 365 days ahead.
    """
    now = now or datetime.now(UTC)
    if expires is not None and not now < expires <= now + timedelta(days=LONGEST_DAYS):
        raise KeyMaterialInvalid(
            f"expiry {expires.isoformat()}: KMS accepts a time from now to {LONGEST_DAYS} days from now "
            "(ValidationException otherwise); omit it for material that does not expire"
        )


def import_key_material(
    key: Destination,
    material: bytearray,
    *,
    kms_client: Any,
    algorithm: str,
    expires: datetime | None = None,
    new_material: bool = False,
) -> None:
    """Wrap ``material`` and import it into ``key``; calls GetParametersForImport and ImportKeyMaterial.

    Args:
        key: From :func:`destination`.
        material: In the form that KMS takes, from ``material.normalized`` or ``material.generate``.
        kms_client: The KMS client of the key's Region and account.
        algorithm: Wrapping algorithm, from :func:`choose`.
        expires: When KMS deletes the material, with a time zone, after :func:`check_expiry`. Defaults to never.
        new_material: For a symmetric key that has material: import further material, which RotateKeyOnDemand rotates
            to. Defaults to the first material, or the same again.

    Raises:
        AwsError: KMS refused, for example with IncorrectKeyMaterialException for other material than before.
    """
    never = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
    with typed_errors("AWS KMS"):
        given = kms_client.get_parameters_for_import(
            KeyId=key.key_arn, WrappingAlgorithm=algorithm, WrappingKeySpec=WRAPPING_KEY_SPEC
        )
        kms_client.import_key_material(
            KeyId=key.key_arn,
            ImportToken=given["ImportToken"],
            EncryptedKeyMaterial=wrap(material, given["PublicKey"], algorithm),
            **({"ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": expires} if expires else never),
            **({"ImportType": "NEW_KEY_MATERIAL"} if new_material else {}),
        )
