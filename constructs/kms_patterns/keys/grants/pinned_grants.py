"""Grants that are limited to algorithms, message types or specs of data key pairs."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.spec_checks import check_pins
from kms_patterns.policy.conditions import Conditions, merge
from kms_patterns.policy.key_specs import (
    ALGORITHMS,
    DATA_KEY_PAIR_SPEC,
    DATA_KEY_PAIR_SPECS,
    MESSAGE_TYPE,
    SIGNING_ALGORITHM,
    message_types,
)
from kms_patterns.policy.key_specs import pinned as condition_on

if TYPE_CHECKING:
    from constructs import Node


class PinnedGrants:
    """What the grants of each type of key come down to when they pin values."""

    if TYPE_CHECKING:
        grant_operations: Callable[..., iam.Grant]
        node: Node
        key_spec: kms.KeySpec
        key_usage: kms.KeyUsage

    def grant_pinned(
        self,
        grantee: iam.IGrantable,
        *operations: str,
        pins: Mapping[str, Sequence[str] | None],
        encryption_context: Mapping[str, str] | None = None,
        required_context: Sequence[str] | None = None,
        via_service: str | None = None,
        conditions: Conditions | None = None,
    ) -> iam.Grant:
        """Do what ``grant_operations`` does, for requests that name one of the pinned values only.

        Args:
            grantee: A role, a user, or anything that has one.
            operations: KMS actions, from ``kms_patterns.policy.actions``.
            pins: Condition key -> allowed values; None allows any.
            encryption_context: See ``grant_operations``, as the rest.
            required_context: Names that the encryption context must hold.
            via_service: AWS service that must make the call for the grantee.
            conditions: Further conditions.

        Raises:
            GrantRefused: A value that no request with this key can have, or what ``grant_operations`` refuses.
        """
        for key, values in pins.items():
            known = self._known(key)
            if key == MESSAGE_TYPE:
                known = message_types(pins.get(SIGNING_ALGORITHM) or known)
            check_pins(self.node.path, key, values, known)
        try:
            demanded = merge(conditions or {}, *(condition_on(key, values) for key, values in pins.items()))
        except ValueError as error:
            raise GrantRefused(f"{self.node.path}: {error}") from error
        return self.grant_operations(
            grantee,
            *operations,
            encryption_context=encryption_context,
            required_context=required_context,
            via_service=via_service,
            conditions=demanded,
        )

    def _known(self, key: str) -> Sequence[str]:
        return pinned_values(key) or ALGORITHMS[self.key_usage.value][self.key_spec.value]


def pinned_values(key: str) -> Sequence[str]:
    """Return the values of a condition key that do not depend on the key; none where they do."""
    return {DATA_KEY_PAIR_SPEC: DATA_KEY_PAIR_SPECS}.get(key, ())
