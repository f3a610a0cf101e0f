"""Checks of what is about to be granted, or added to a key policy by a caller."""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Token
from aws_cdk import aws_iam as iam

from kms_patterns.keys.errors import GrantRefused
from kms_patterns.keys.grants.target import GrantTarget
from kms_patterns.keys.key_options import KeyAccess
from kms_patterns.policy.actions import (
    CREATE_GRANT,
    DESCRIBE_KEY,
    EVERY_ADMINISTRATION,
    GENERATE_DATA_KEY,
    NEUTRAL_OPERATIONS,
    REFUSAL_OF_KMS,
)
from kms_patterns.policy.conditions import Conditions, contexts_demanded
from kms_patterns.policy.coverage import opens_to_accounts, opens_to_strangers, services_without_source
from kms_patterns.policy.guardrails import is_account


def check_operations(key: GrantTarget, operations: Sequence[str]) -> None:
    """Check that ``key`` can do ``operations`` and that a grant may hold them.

    Raises:
        GrantRefused: The key cannot do one of them, or a user of a key may not have it.
    """
    if not operations:
        raise GrantRefused(
            f"{key.node.path}: the grant lists no operation and would have no effect; name one, such as kms:Decrypt"
        )
    for operation in operations:
        if operation not in key.operations and operation != DESCRIBE_KEY:
            raise GrantRefused(f"{key.node.path}: {operation} refused: {_reason(key, operation)}")


def check_context(
    key: GrantTarget,
    pairs: Mapping[str, str] | None,
    names: Sequence[str] | None,
    conditions: Conditions | None = None,
) -> None:
    """Check that requests about ``key`` can have the encryption context that a grant demands.

    Raises:
        GrantRefused: Only symmetric encryption keys have one, so the grant would be void.
    """
    demanded = sorted([*(pairs or ()), *(names or ()), *contexts_demanded(conditions or {})])
    if demanded and GENERATE_DATA_KEY not in key.operations:
        raise GrantRefused(
            f"{key.node.path}: a condition on the encryption context {demanded}: only "
            "symmetric encryption keys have one, so no request would match and the call would end in "
            "AccessDeniedException; omit it"
        )


def check_grant_operations(key: GrantTarget, operations: Sequence[str]) -> None:
    """Check that KMS grants on ``key`` may hold ``operations``.

    Raises:
        GrantRefused: There is none, or no KMS grant could hold one of them.
    """
    able = {operation.removeprefix("kms:") for operation in key.operations} | {"CreateGrant", *NEUTRAL_OPERATIONS}
    unable = [operation for operation in operations if operation not in able]
    if unable or not operations:
        raise GrantRefused(
            f"{key.node.path}: operations {operations!r}: a KMS grant on this key may hold {', '.join(sorted(able))}: "
            "KMS creates no grant with another one. Name them without kms:"
        )


def check_symmetric(key: GrantTarget, service: str) -> None:
    """Check that ``key`` is one that AWS services encrypt at rest under.

    Raises:
        GrantRefused: They take symmetric encryption keys only.
    """
    if GENERATE_DATA_KEY not in key.operations:
        raise GrantRefused(
            f"{key.node.path}: {service}, like all AWS services that encrypt at rest, takes symmetric keys only "
            "(creation would fail, or a later use): give it an EncryptionKey"
        )


def _reason(key: GrantTarget, operation: str) -> str:
    if operation == CREATE_GRANT:
        return "its holder gives others use of the key, past the key policy; grant the user directly"
    if operation in EVERY_ADMINISTRATION:
        return "it manages the key, and administrators are kept apart from users; call grant_admin"
    if f"kms:{operation}" in key.operations:
        return f"it has no prefix; write 'kms:{operation}'"
    error = REFUSAL_OF_KMS.get(operation, "InvalidKeyUsageException")
    return f"a key of this type cannot do it ({error}); it can: {', '.join(key.operations)}"


def check_callers_statement(key: GrantTarget, statement: iam.PolicyStatement) -> None:
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
    document = key.stack.resolve(statement.to_statement_json())
    _check_services(key, document)
    managing = [action for action in statement.actions if action in EVERY_ADMINISTRATION and action != DESCRIBE_KEY]
    if managing and opens_to_strangers(document, key.stack.account):
        raise GrantRefused(
            f"{key.node.path}: {', '.join(managing)} for everyone or for another account: a principal that manages a "
            "key can give itself its use. Name the role (aws:PrincipalArn), or call grant_admin"
        )
    uses = [action for action in statement.actions if action not in EVERY_ADMINISTRATION]
    if uses and key.access is KeyAccess.NAMED and opens_to_accounts(document):
        raise GrantRefused(
            f"{key.node.path}: {', '.join(uses)} for a whole account or for everyone, with no condition that names the "
            "caller (aws:PrincipalArn, or kms:ViaService and kms:CallerAccount), undoes the two-key control of "
            "KeyAccess.NAMED: call a grant_… method per role, or make the key with access=KeyAccess.DELEGATED"
        )


def _check_services(key: GrantTarget, document: Mapping[str, Any]) -> None:
    unbound = services_without_source(document)
    if unbound:
        raise GrantRefused(
            f"{key.node.path}: {', '.join(unbound)} without a condition on aws:SourceAccount or aws:SourceArn: any "
            "principal, of any account, that makes the service act could make it use this key (confused deputy). Add "
            "one that names an account or a resource, or call allow_service, which does"
        )


def check_inside(path: str, home: str | None, perimeter: str | None) -> None:
    """Check that the perimeter of the key lets a grantee pass, as far as that is known.

    Args:
        path: What is granted.
        home: The account or organization of the grantee; None for the account of the key.
        perimeter: That of the key.

    Raises:
        GrantRefused: The perimeter denies everything to that account or organization.
    """
    if home is None or perimeter is None or Token.is_unresolved(home) or Token.is_unresolved(perimeter):
        return
    if home != perimeter and is_account(home) == is_account(perimeter):
        raise GrantRefused(
            f"{path} is in {'account' if is_account(home) else 'organization'} {home}, outside of the key's "
            f"perimeter {perimeter}: the grant would have no effect (explicit deny). Make the perimeter the "
            "organization of both, or omit it"
        )


def check_pins(path: str, what: str, given: Sequence[str] | None, allowed: Sequence[str]) -> None:
    """Check values that a grant pins: at least one, and each one that the key supports.

    Raises:
        GrantRefused: No request could meet the condition, so the grant would be void.
    """
    unknown = [value for value in given or () if value not in allowed]
    if unknown or (given is not None and not given):
        raise GrantRefused(
            f"{path}: {what} {list(given or ())}: this key supports {', '.join(allowed)} only, so no request would "
            "match and the call would end in AccessDeniedException; name those, or omit it for all of them"
        )
