"""The grants of a symmetric encryption key."""

from collections.abc import Sequence
from typing import Unpack

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from kms_patterns.keys.arguments import checked
from kms_patterns.keys.grants.cdk_calls import ForConstruct
from kms_patterns.keys.grants.rules import GrantRules
from kms_patterns.keys.grants.target import GrantConditions
from kms_patterns.policy import actions
from kms_patterns.policy.key_specs import DATA_KEY_PAIR_SPEC


class EncryptionGrants(GrantRules):
    """One method per operation; each takes the conditions of :class:`~kms_patterns.keys.grants.target.GrantConditions`.

    All of them return the ``iam.Grant`` of both halves and raise ``GrantRefused`` when the grant would be void or too
    wide. The key policy and the grantee's policy carry the same conditions; ``identity_conditions`` of
    ``grant_operations`` are added to the grantee's alone.
    """

    operations: Sequence[str] = actions.SYMMETRIC_OPERATIONS
    key_usage = kms.KeyUsage.ENCRYPT_DECRYPT

    @checked
    def grant_encrypt(self, grantee: iam.IGrantable, **demanded: Unpack[GrantConditions]) -> iam.Grant:
        """Allow ``kms:Encrypt``: values of up to 4096 bytes, encrypted by KMS itself.

        For a construct of the AWS CDK it means any way of writing, also ``kms:GenerateDataKey``.
        """
        return self.grant_operations(grantee, actions.ENCRYPT, *_data_keys(grantee), **demanded)

    @checked
    def grant_decrypt(self, grantee: iam.IGrantable, **demanded: Unpack[GrantConditions]) -> iam.Grant:
        """Allow ``kms:Decrypt``, of values and of data keys."""
        return self.grant_operations(grantee, actions.DECRYPT, **demanded)

    @checked
    def grant_encrypt_decrypt(self, grantee: iam.IGrantable, **demanded: Unpack[GrantConditions]) -> iam.Grant:
        """Allow ``kms:Encrypt`` and ``kms:Decrypt``; for constructs of the AWS CDK see :meth:`grant_encrypt`."""
        return self.grant_operations(grantee, actions.ENCRYPT, actions.DECRYPT, *_data_keys(grantee), **demanded)

    @checked
    def grant_generate_data_key(self, grantee: iam.IGrantable, **demanded: Unpack[GrantConditions]) -> iam.Grant:
        """Allow ``kms:GenerateDataKey``: envelope encryption."""
        return self.grant_operations(grantee, actions.GENERATE_DATA_KEY, **demanded)

    @checked
    def grant_generate_data_key_without_plaintext(
        self, grantee: iam.IGrantable, **demanded: Unpack[GrantConditions]
    ) -> iam.Grant:
        """Allow ``kms:GenerateDataKeyWithoutPlaintext``: data keys for another principal to use."""
        return self.grant_operations(grantee, actions.GENERATE_DATA_KEY_WITHOUT_PLAINTEXT, **demanded)

    @checked
    def grant_re_encrypt_from(self, grantee: iam.IGrantable, **demanded: Unpack[GrantConditions]) -> iam.Grant:
        """Allow ``kms:ReEncryptFrom``: ciphertexts of this key may be moved under another key."""
        return self.grant_operations(grantee, actions.RE_ENCRYPT_FROM, **demanded)

    @checked
    def grant_re_encrypt_to(self, grantee: iam.IGrantable, **demanded: Unpack[GrantConditions]) -> iam.Grant:
        """Allow ``kms:ReEncryptTo``: ciphertexts of another key may be moved under this key."""
        return self.grant_operations(grantee, actions.RE_ENCRYPT_TO, **demanded)

    @checked
    def grant_generate_data_key_pair(
        self, grantee: iam.IGrantable, *, pair_specs: Sequence[str] | None = None, **demanded: Unpack[GrantConditions]
    ) -> iam.Grant:
        """Allow ``kms:GenerateDataKeyPair``: key pairs whose private half is encrypted under this key.

        Args:
            grantee: A role, a user, or anything that has one.
            pair_specs: Such as ``ECC_NIST_P256``; RSA_4096 takes seconds, with a quota of 1 a second. Defaults to any.
            demanded: See :class:`~kms_patterns.keys.grants.target.GrantConditions`.
        """
        pins = {DATA_KEY_PAIR_SPEC: pair_specs}
        return self.grant_pinned(grantee, actions.GENERATE_DATA_KEY_PAIR, pins=pins, **demanded)

    @checked
    def grant_generate_data_key_pair_without_plaintext(
        self, grantee: iam.IGrantable, *, pair_specs: Sequence[str] | None = None, **demanded: Unpack[GrantConditions]
    ) -> iam.Grant:
        """Allow ``kms:GenerateDataKeyPairWithoutPlaintext``: key pairs for another principal to use.

        Args:
            grantee: A role, a user, or anything that has one.
            pair_specs: See :meth:`grant_generate_data_key_pair`.
            demanded: See :class:`~kms_patterns.keys.grants.target.GrantConditions`.
        """
        pins = {DATA_KEY_PAIR_SPEC: pair_specs}
        return self.grant_pinned(grantee, actions.GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT, pins=pins, **demanded)


def _data_keys(grantee: iam.IGrantable) -> Sequence[str]:
    # An AWS service writes under a data key, as all constructs of the AWS CDK expect.
    return [actions.GENERATE_DATA_KEY] if isinstance(grantee, ForConstruct | iam.ServicePrincipal) else []
