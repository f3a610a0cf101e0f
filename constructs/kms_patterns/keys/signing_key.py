"""The key that signs: RSA, elliptic curves, Ed25519, ML-DSA."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns.keys.customer_managed_key import CustomerManagedKey
from kms_patterns.keys.grants.signing_grants import SigningGrants
from kms_patterns.keys.imported.imported_types import ImportedSigningKey
from kms_patterns.keys.imported.look_ups import LookUps
from kms_patterns.keys.key_access import KeyAccess
from kms_patterns.keys.key_lifecycle import KeyLifecycle
from kms_patterns.policy.actions import SIGNING_OPERATIONS


class SigningKey(LookUps[ImportedSigningKey], SigningGrants, CustomerManagedKey):
    """A key pair for signatures, whose private half never leaves KMS.

    It rotates never: a new signing key is a new key, and who verifies must learn of its public key.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        key_spec: RSA_2048 to RSA_4096, ECC_NIST_P256 to P521, ECC_SECG_P256K1, ECC_NIST_EDWARDS25519, ML_DSA_44 to
            ML_DSA_87, or SM2 in the China Regions. Left out, ECC_NIST_P256.
        alias: Such as ``releases/signing``, for ``alias/<stack>/…``; see :meth:`add_alias`. Left out, none.
        aliases: Further aliases.
        description: Shown in the console; at most 8192 characters.
        administrators: Roles or users who may manage the key, by their own policies too, but not use it.
            Left out, those whom IAM of the account allows it.
        pending_window: Waiting period before deletion, 7 to 30 days. Left out, 30 days; 7 for an ephemeral key.
        enabled: False makes every use end in DisabledException.
        multi_region: Whether :class:`ReplicaKey` can replicate it into other Regions; fixed at creation.
        imported_material: True makes a key without key material (origin EXTERNAL), to be imported.
        tags: Tags of the key.
        perimeter: Id of an organization (``o-a1b2c3d4e5``) or of an account (12 digits): whoever is outside of it is
            denied everything, whatever else says. Left out, no such statement.
        lifecycle: What becomes of the key and its aliases with its stack. Left out, they stay.
        access: Whether the key policy names the users. Left out, it does.

    Raises:
        KeyConfigurationError: KMS would refuse the spec, an alias or the waiting period.

    See https://docs.aws.amazon.com/kms/latest/developerguide/symmetric-asymmetric.html
    """

    imported_as = ImportedSigningKey
    operations = SIGNING_OPERATIONS

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        key_spec: kms.KeySpec = kms.KeySpec.ECC_NIST_P256,
        alias: str | None = None,
        aliases: Sequence[str] = (),
        description: str | None = None,
        administrators: Sequence[iam.IGrantable] = (),
        pending_window: Duration | None = None,
        enabled: bool = True,
        multi_region: bool = False,
        imported_material: bool = False,
        tags: Mapping[str, str] | None = None,
        perimeter: str | None = None,
        lifecycle: KeyLifecycle = KeyLifecycle.RETAIN,
        access: KeyAccess = KeyAccess.NAMED,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            key_spec=key_spec,
            key_usage=kms.KeyUsage.SIGN_VERIFY,
            alias=alias,
            aliases=aliases,
            description=description,
            administrators=administrators,
            pending_window=pending_window,
            enabled=enabled,
            multi_region=multi_region,
            imported_material=imported_material,
            tags=tags,
            perimeter=perimeter,
            lifecycle=lifecycle,
            access=access,
        )
