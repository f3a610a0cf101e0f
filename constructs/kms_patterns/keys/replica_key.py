"""A replica of a multi-Region key in another Region: the same key material, an own policy."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Unpack

from aws_cdk import Stack, Token
from constructs import Construct

from kms_patterns.keys.arguments import checked
from kms_patterns.keys.asymmetric_keys import KeyAgreementKey, KeyEncapsulationKey, RsaEncryptionKey, SigningKey
from kms_patterns.keys.customer_managed_key import CustomerManagedKey
from kms_patterns.keys.errors import KeyConfigurationError
from kms_patterns.keys.imported.imported_types import ImportedKey, LookUps
from kms_patterns.keys.key_options import KeyOptions
from kms_patterns.keys.symmetric_keys import EncryptionKey, MacKey

_OF_THE_PRIMARY = ("EnableKeyRotation", "KeySpec", "KeyUsage", "MultiRegion", "Origin", "RotationPeriodInDays")


class ReplicaKey(LookUps[ImportedKey], CustomerManagedKey):
    """A replica key, which is used like its primary key and is an instance of its primary's type also.

    Ciphertexts, signatures and tags of one are those of the other. Policy, grants and aliases are its own: a
    user of the primary must be granted the replica also. Spec, usage, origin and rotation are the primary's.

    The primary's policy lets the role that deploys this stack replicate the key to this Region: no other principal,
    and to no other Region. A replica cannot be replicated before its policy is changed, also when it was promoted.

    Args:
        scope: Parent construct, in a stack of another Region and of the same account.
        construct_id: Id within the parent.
        primary_key: A key of this package with ``multi_region=True``. If its stack is of the same app, both stacks need
            ``cross_region_references=True``.
        options: See :class:`~kms_patterns.keys.key_options.KeyOptions`.

    Raises:
        KeyConfigurationError: The primary is not a multi-Region key, or is in the same Region or in another account.

    See https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-overview.html
    """

    imported_as: ClassVar[type[Any]] = ImportedKey

    def __new__(cls, *_: Any, primary_key: CustomerManagedKey, **__: Any) -> "ReplicaKey":
        """Make the replica of the primary's type, as ``pathlib.Path`` makes the path of the platform."""
        kind = next((replica for primary, replica in _REPLICAS.items() if isinstance(primary_key, primary)), cls)
        return object.__new__(kind)

    @checked
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        primary_key: CustomerManagedKey,
        **options: Unpack[KeyOptions],
    ) -> None:
        _check_primary(primary_key, Stack.of(scope))
        CustomerManagedKey.__init__(
            self,
            scope,
            construct_id,
            key_spec=primary_key.key_spec,
            key_usage=primary_key.key_usage,
            multi_region=True,
            imported_material=primary_key.imported_material,
            **options,
        )
        # The AWS CDK has no L2 for replicas; theirs is the same resource but for its type and these properties.
        self.resource.add_override("Type", "AWS::KMS::ReplicaKey")
        for name in _OF_THE_PRIMARY:
            self.resource.add_property_deletion_override(name)
        self.resource.add_property_override("PrimaryKeyArn", primary_key.key_arn)
        primary_key.allow_replication(self.stack)


_OF_THEIR_PRIMARIES: Final = (EncryptionKey, RsaEncryptionKey, SigningKey, MacKey, KeyAgreementKey, KeyEncapsulationKey)
_REPLICAS: Final[Mapping[type[CustomerManagedKey], type[ReplicaKey]]] = {
    primary: type(f"_Replica{primary.__name__}", (ReplicaKey, primary), {"__module__": __name__})
    for primary in _OF_THEIR_PRIMARIES
}


def _check_primary(primary: CustomerManagedKey, stack: Stack) -> None:
    path = primary.node.path
    if isinstance(primary, ReplicaKey) or not primary.multi_region:
        raise KeyConfigurationError(
            f"{path} is not a multi-Region primary key (UnsupportedOperationException): make it with "
            "multi_region=True; that cannot be changed later"
        )
    here, there = (stack.account, stack.region), (primary.stack.account, primary.stack.region)
    if not any(Token.is_unresolved(value) for value in (here[1], there[1])) and here[1] == there[1]:
        raise KeyConfigurationError(
            f"the replica of {path} is in {here[1]}, as its primary (InvalidArnException): make it in a stack of "
            "another Region"
        )
    if Token.is_unresolved(here[1]) and Token.is_unresolved(there[1]):
        # References between stacks without a Region stay within one.
        raise KeyConfigurationError(
            f"the replica of {path} is in the Region of its primary, whichever that is (InvalidArnException): make "
            "both in stacks with their Regions (env=Environment(account=…, region=…)), of which there are two"
        )
    if Token.is_unresolved(here[1]):
        raise KeyConfigurationError(
            f"the replica of {path} is in a stack without a Region: the policy of its primary names the Regions to "
            "which the key may be replicated (AccessDeniedException); make the stack with env=Environment(region=…)"
        )
    if not any(Token.is_unresolved(value) for value in (here[0], there[0])) and here[0] != there[0]:
        raise KeyConfigurationError(
            f"the replica of {path} is in account {here[0]}, its primary in {there[0]}: KMS replicates within one "
            "account"
        )
