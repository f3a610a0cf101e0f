"""The grants of a symmetric encryption key."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam

from kms_patterns.keys.grants.cdk_calls import called_by_the_cdk
from kms_patterns.keys.grants.inherited_grants import InheritedGrants
from kms_patterns.policy import actions
from kms_patterns.policy.conditions import Conditions
from kms_patterns.policy.key_specs import DATA_KEY_PAIR_SPEC


class EncryptionGrants(InheritedGrants):
    """One method per operation; every one takes the same conditions.

    All of them return the ``iam.Grant`` of both halves and raise ``GrantRefused`` when the grant would be void or too
    wide. The conditions stand in the key policy and in the grantee's policy alike:

    - ``encryption_context``: pairs that the encryption context must hold. Left out, any context will do.
    - ``required_context``: names that it must hold, with any value.
    - ``via_service``: the AWS service that must make the call for the grantee, such as ``s3``. Left out, anyone.
    - ``conditions``: further ones, operator -> condition key -> value.
    """

    if TYPE_CHECKING:
        grant_operations: Callable[..., iam.Grant]
        grant_pinned: Callable[..., iam.Grant]

    def grant_encrypt(
        self,
        grantee: iam.IGrantable,
        *,
        encryption_context: Mapping[str, str] | None = None,
        required_context: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:Encrypt``: values of up to 4096 bytes, encrypted by KMS itself.

        Called by a construct of the AWS CDK, which means any way of writing, also ``kms:GenerateDataKey``.
        """
        at_rest = [actions.GENERATE_DATA_KEY] if called_by_the_cdk() else []
        return self.grant_operations(
            grantee,
            actions.ENCRYPT,
            *at_rest,
            encryption_context=encryption_context,
            required_context=required_context,
            via_service=via_service,
            conditions=conditions,
        )

    def grant_decrypt(
        self,
        grantee: iam.IGrantable,
        *,
        encryption_context: Mapping[str, str] | None = None,
        required_context: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:Decrypt``, of values and of data keys."""
        return self.grant_operations(
            grantee,
            actions.DECRYPT,
            encryption_context=encryption_context,
            required_context=required_context,
            via_service=via_service,
            conditions=conditions,
        )

    def grant_encrypt_decrypt(
        self,
        grantee: iam.IGrantable,
        *,
        encryption_context: Mapping[str, str] | None = None,
        required_context: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:Encrypt`` and ``kms:Decrypt``; for constructs of the AWS CDK see :meth:`grant_encrypt`."""
        at_rest = [actions.GENERATE_DATA_KEY] if called_by_the_cdk() else []
        return self.grant_operations(
            grantee,
            actions.ENCRYPT,
            actions.DECRYPT,
            *at_rest,
            encryption_context=encryption_context,
            required_context=required_context,
            via_service=via_service,
            conditions=conditions,
        )

    def grant_generate_data_key(
        self,
        grantee: iam.IGrantable,
        *,
        encryption_context: Mapping[str, str] | None = None,
        required_context: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:GenerateDataKey``: envelope encryption."""
        return self.grant_operations(
            grantee,
            actions.GENERATE_DATA_KEY,
            encryption_context=encryption_context,
            required_context=required_context,
            via_service=via_service,
            conditions=conditions,
        )

    def grant_generate_data_key_without_plaintext(
        self,
        grantee: iam.IGrantable,
        *,
        encryption_context: Mapping[str, str] | None = None,
        required_context: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:GenerateDataKeyWithoutPlaintext``: data keys for somebody else to use."""
        return self.grant_operations(
            grantee,
            actions.GENERATE_DATA_KEY_WITHOUT_PLAINTEXT,
            encryption_context=encryption_context,
            required_context=required_context,
            via_service=via_service,
            conditions=conditions,
        )

    def grant_re_encrypt_from(
        self,
        grantee: iam.IGrantable,
        *,
        encryption_context: Mapping[str, str] | None = None,
        required_context: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:ReEncryptFrom``: ciphertexts of this key may be moved under another key."""
        return self.grant_operations(
            grantee,
            actions.RE_ENCRYPT_FROM,
            encryption_context=encryption_context,
            required_context=required_context,
            via_service=via_service,
            conditions=conditions,
        )

    def grant_re_encrypt_to(
        self,
        grantee: iam.IGrantable,
        *,
        encryption_context: Mapping[str, str] | None = None,
        required_context: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:ReEncryptTo``: ciphertexts of another key may be moved under this key."""
        return self.grant_operations(
            grantee,
            actions.RE_ENCRYPT_TO,
            encryption_context=encryption_context,
            required_context=required_context,
            via_service=via_service,
            conditions=conditions,
        )

    def grant_generate_data_key_pair(
        self,
        grantee: iam.IGrantable,
        *,
        pair_specs: Sequence[str] | None = None,
        encryption_context: Mapping[str, str] | None = None,
        required_context: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:GenerateDataKeyPair``: key pairs whose private half is encrypted under this key.

        ``pair_specs``: such as ``ECC_NIST_P256``; RSA_4096 takes seconds and has a quota of 1 a second. Left out, any.
        """
        return self.grant_pinned(
            grantee,
            actions.GENERATE_DATA_KEY_PAIR,
            pins={DATA_KEY_PAIR_SPEC: pair_specs},
            encryption_context=encryption_context,
            required_context=required_context,
            via_service=via_service,
            conditions=conditions,
        )

    def grant_generate_data_key_pair_without_plaintext(
        self,
        grantee: iam.IGrantable,
        *,
        pair_specs: Sequence[str] | None = None,
        encryption_context: Mapping[str, str] | None = None,
        required_context: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Allow ``kms:GenerateDataKeyPairWithoutPlaintext``: key pairs for somebody else to use.

        ``pair_specs``: such as ``ECC_NIST_P256``; RSA_4096 takes seconds and has a quota of 1 a second. Left out, any.
        """
        return self.grant_pinned(
            grantee,
            actions.GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT,
            pins={DATA_KEY_PAIR_SPEC: pair_specs},
            encryption_context=encryption_context,
            required_context=required_context,
            via_service=via_service,
            conditions=conditions,
        )
