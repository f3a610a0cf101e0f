"""Keys that this app does not own: grants in IAM, and the statement that their owner must add."""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Annotations, ArnFormat, Stack, Token
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from kms_patterns.keys.errors import GrantRefused, KeyConfigurationError
from kms_patterns.keys.owner_statement import owner_statement
from kms_patterns.policy import conditions as when
from kms_patterns.policy.actions import CRYPTOGRAPHIC_OPERATIONS, DESCRIBE_KEY, narrow


class ImportedKey(Construct):
    """A key of another app or account, by its ARN, alias or look-up.

    Its grants write the identity's half, on the exact key ARN. The key policy is its owner's: each grant prints, as a
    notice at synth, the statement to paste there, and :attr:`owner_statements` holds them all. ``key`` is what
    constructs of the AWS CDK take; grants that they make on it by themselves print nothing.
    """

    def __init__(self, scope: Construct, construct_id: str, key: kms.IKey, *, only_alias: str | None = None) -> None:
        super().__init__(scope, construct_id)
        self._only_alias = only_alias
        self._statements: list[Mapping[str, Any]] = []
        self.key = key
        self.key_arn = key.key_arn

    @classmethod
    def from_key_arn(cls, scope: Construct, construct_id: str, key_arn: str) -> "ImportedKey":
        """Name a key by its ARN, in any account and Region.

        Raises:
            KeyConfigurationError: It is the ARN of something else; policies do not resolve aliases.

        See https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html
        """
        _check_key_arn(key_arn)
        holder = Construct(scope, f"{construct_id}Reference")
        return cls(scope, construct_id, kms.Key.from_key_arn(holder, "Key", key_arn))

    @classmethod
    def from_alias(cls, scope: Construct, construct_id: str, alias_name: str) -> "ImportedKey":
        """Name the key of this account and Region that has an alias, whichever that is when it is used.

        Its grants are on the keys of the account that carry the alias (``kms:ResourceAliases``): no single ARN is known
        before the deployment, and whoever may move the alias moves the permission with it.
        """
        stack = Stack.of(scope)
        name = alias_name if alias_name.startswith("alias/") else f"alias/{alias_name}"
        holder = Construct(scope, f"{construct_id}Reference")
        key = kms.Alias.from_alias_name(holder, "Alias", name)
        made = cls(scope, construct_id, key, only_alias=name)
        made.key_arn = stack.format_arn(
            service="kms", resource="key", resource_name="*", arn_format=ArnFormat.SLASH_RESOURCE_NAME
        )
        return made

    @classmethod
    def from_lookup(cls, scope: Construct, construct_id: str, alias_name: str) -> "ImportedKey":
        """Look an alias up in the account, at synth; the answer is kept in ``cdk.context.json``."""
        holder = Construct(scope, f"{construct_id}Reference")
        return cls(scope, construct_id, kms.Key.from_lookup(holder, "Key", alias_name=alias_name))

    @property
    def owner_statements(self) -> Sequence[Mapping[str, Any]]:
        """Key policy statements that the owner must add; a deployment without them ends in AccessDeniedException."""
        return tuple(self._statements)

    def grant_operations(
        self,
        grantee: iam.IGrantable,
        *operations: str,
        encryption_context: Mapping[str, str] | None = None,
        required_context: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: when.Conditions | None = None,
    ) -> iam.Grant:
        """Allow exact operations in the grantee's own policy, and print the owner's half.

        Args:
            grantee: A role, a user, or anything that has one.
            operations: KMS actions, from ``kms_patterns.policy.actions``; which of them the key can do is not known.
            encryption_context: Pairs that the encryption context must hold.
            required_context: Names that it must hold.
            via_service: AWS service that must make the call for the grantee.
            conditions: Further conditions.

        Raises:
            GrantRefused: An operation is none of a key's users, or the grantee takes no policy.
        """
        foreign = [name for name in operations if name not in (*CRYPTOGRAPHIC_OPERATIONS, DESCRIBE_KEY)]
        if foreign or not operations:
            raise GrantRefused(
                f"{self.node.path}: {', '.join(foreign) or 'nothing'} is no operation for users of a key"
            )
        region = Stack.of(self).split_arn(self.key_arn, ArnFormat.SLASH_RESOURCE_NAME).region
        shared = when.merge(
            when.encryption_context(encryption_context or {}),
            when.required_context(required_context or ()),
            when.via_service(via_service, region or "") if via_service else {},
            conditions or {},
        )
        alias = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": self._only_alias}} if self._only_alias else {}
        grant = iam.Grant.add_to_principal(
            grantee=grantee,
            actions=list(operations),
            resource_arns=[self.key_arn],
            conditions=when.merge(shared, alias) or None,
        )
        if not grant.success:
            raise GrantRefused(f"{self.node.path}: the grantee takes no policy, so this grant would have no effect")
        self._tell_owner(grantee, operations, shared)
        return grant

    def grant(self, grantee: iam.IGrantable, *actions: str) -> iam.Grant:
        """Allow exact operations; wildcards are narrowed as those of the AWS CDK are."""
        return self.grant_operations(grantee, *narrow(actions))

    def grant_encrypt(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:Encrypt``."""
        return self.grant_operations(grantee, "kms:Encrypt")

    def grant_decrypt(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:Decrypt``."""
        return self.grant_operations(grantee, "kms:Decrypt")

    def grant_generate_data_key(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow ``kms:GenerateDataKey``."""
        return self.grant_operations(grantee, "kms:GenerateDataKey")

    def _tell_owner(self, grantee: iam.IGrantable, operations: Sequence[str], shared: when.Conditions) -> None:
        stack = Stack.of(self)
        statement, text = owner_statement(grantee.grant_principal, operations, shared, stack)
        self._statements.append(statement)
        Annotations.of(self).add_info(
            f"this app cannot change the policy of {stack.resolve(self.key_arn)}. Its owner must add, or the calls "
            f"end in AccessDeniedException:\n{text}"
        )


def _check_key_arn(arn: str) -> None:
    if Token.is_unresolved(arn):
        return
    parts = arn.split(":")
    if len(parts) != 6 or parts[2] != "kms" or not parts[5].startswith("key/"):  # noqa: PLR2004 -- parts of an ARN
        raise KeyConfigurationError(
            f"{arn!r} is no ARN of a KMS key (arn:aws:kms:region:account:key/id): IAM policies do not resolve aliases; "
            "for an alias call from_alias or from_lookup"
        )
