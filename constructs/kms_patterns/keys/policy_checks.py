"""Checks of what is about to be granted, or added to a key policy by a caller."""

from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam

from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.key_access import KeyAccess
from kms_patterns.policy.actions import (
    CREATE_GRANT,
    DESCRIBE_KEY,
    EVERY_ADMINISTRATION,
    GENERATE_DATA_KEY,
    REFUSAL_OF_KMS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kms_patterns.keys.two_key_grants import TwoKeyGrants


def check_operations(key: "TwoKeyGrants", operations: "Sequence[str]") -> None:
    """Check that ``key`` can do ``operations`` and that a grant may hold them.

    Raises:
        GrantRefused: One of them it cannot do, or is none for users of a key.
    """
    if not operations:
        raise GrantRefused(f"{key.node.path}: a grant of no operation would be void; name one, such as kms:Decrypt")
    for operation in operations:
        if operation not in key.operations and operation != DESCRIBE_KEY:
            raise GrantRefused(f"{key.node.path}: {operation} refused: {_reason(key, operation)}")


def check_context(key: "TwoKeyGrants", pairs: "Mapping[str, str] | None", names: "Sequence[str] | None") -> None:
    """Check that requests about ``key`` can have the encryption context that a grant demands.

    Raises:
        GrantRefused: Only symmetric encryption keys have one, so the grant would be void.
    """
    if (pairs or names) and GENERATE_DATA_KEY not in key.operations:
        raise GrantRefused(
            f"{key.node.path}: a condition on the encryption context {sorted([*(pairs or ()), *(names or ())])}: only "
            "symmetric encryption keys have one, so no request would match and the call would end in "
            "AccessDeniedException; leave it out"
        )


def _reason(key: "TwoKeyGrants", operation: str) -> str:
    if operation == CREATE_GRANT:
        return "whoever creates KMS grants gives others use of the key, past the key policy; grant the user directly"
    if operation in EVERY_ADMINISTRATION:
        return "it manages the key; administrators and users are apart, so call grant_admin"
    error = REFUSAL_OF_KMS.get(operation, "InvalidKeyUsageException")
    return f"a key of this type cannot do it, KMS would answer {error}; it can: {', '.join(key.operations)}"


def check_callers_statement(key: "TwoKeyGrants", statement: iam.PolicyStatement) -> None:
    """Check a statement that is about to be added to the policy of ``key``.

    Raises:
        GrantRefused: It allows a wildcard, all but something, or use of the key to an account or to everyone.
    """
    if statement.effect is not iam.Effect.ALLOW:
        return
    wildcards = [action for action in statement.actions if "*" in action]
    if wildcards or statement.not_actions or statement.not_principals:
        found = ", ".join(wildcards) or "NotAction or NotPrincipal"
        raise GrantRefused(
            f"{key.node.path}: a key policy statement that allows {found} allows more than anyone can list: "
            "name exact actions, or call grant_encrypt, grant_decrypt, … of the key, which do"
        )
    if key.access is KeyAccess.NAMED and not statement.conditions:
        _check_principals(key, statement)


def _check_principals(key: "TwoKeyGrants", statement: iam.PolicyStatement) -> None:
    uses = [action for action in statement.actions if action not in EVERY_ADMINISTRATION]
    wide = (iam.AccountPrincipal, iam.AnyPrincipal, iam.StarPrincipal)
    if uses and any(isinstance(principal, wide) for principal in statement.principals):
        raise GrantRefused(
            f"{key.node.path}: {', '.join(uses)} for a whole account or for everyone, without a condition, undoes the "
            "two-key control of KeyAccess.NAMED: call a grant_… method per role, or make the key with "
            "access=KeyAccess.DELEGATED"
        )
