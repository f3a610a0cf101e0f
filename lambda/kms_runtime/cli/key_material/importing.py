"""The import of key material: parameters from AWS KMS, wrapping here, and the wrapped material back.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys.html
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kms_runtime.aws_errors import typed_errors
from kms_runtime.cli.key_material.material import KeyMaterialInvalid, check_spec
from kms_runtime.cli.key_material.wrapping import WRAPPING_KEY_SPEC, choose, wrap

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
    algorithm: str | None = None,
    expires: datetime | None = None,
    new_material: bool = False,
) -> None:
    """Wrap ``material`` and import it into ``key``; calls GetParametersForImport and ImportKeyMaterial.

    Args:
        key: From :func:`destination`.
        material: In the form that KMS takes, from ``material.normalized`` or ``material.generate``.
        kms_client: The KMS client of the key's Region and account.
        algorithm: Wrapping algorithm. Defaults to the preferred one for the key's spec.
        expires: When KMS deletes the material, with a time zone. Defaults to never.
        new_material: For a symmetric key that has material: import further material, which RotateKeyOnDemand rotates
            to. Defaults to the first material, or the same again.

    Raises:
        KeyMaterialInvalid: KMS does not accept the algorithm or the expiry.
        AwsError: KMS refused, for example with IncorrectKeyMaterialException for other material than before.
    """
    chosen = choose(key.key_spec, algorithm)
    check_expiry(expires)
    with typed_errors("AWS KMS"):
        given = kms_client.get_parameters_for_import(
            KeyId=key.key_arn, WrappingAlgorithm=chosen, WrappingKeySpec=WRAPPING_KEY_SPEC
        )
        kms_client.import_key_material(
            KeyId=key.key_arn,
            ImportToken=given["ImportToken"],
            EncryptedKeyMaterial=wrap(material, given["PublicKey"], chosen),
            **_expiration(expires),
            **({"ImportType": "NEW_KEY_MATERIAL"} if new_material else {}),
        )


def _expiration(expires: datetime | None) -> dict[str, Any]:
    if expires is None:
        return {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
    return {"ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": expires}
