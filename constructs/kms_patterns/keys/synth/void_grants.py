"""Finds every permission on our keys that would have no effect.

Both halves must meet: a statement in the policy of a role that names a key, and one in the key policy that names the
role. What goes past the ``grant_…`` methods (``key.grants``, ``KeyGrants.from_key``, a statement written by hand, an
imported role to which no policy can be attached) writes one half, deploys without complaint, and then ends in
AccessDeniedException.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from aws_cdk import Stack

from kms_patterns.keys.grants.target import KeyInApp
from kms_patterns.keys.synth.identity_policies import IdentityStatement, as_list
from kms_patterns.keys.synth.references import References
from kms_patterns.keys.synth.template_view import TemplateView
from kms_patterns.policy.conditions import PRINCIPAL_ARN
from kms_patterns.policy.coverage import Allowance, unmatched


def void_grants(
    key: KeyInApp, statements: Iterable[IdentityStatement], view: TemplateView, references: References
) -> Iterator[str]:
    """Yield one message per statement about ``key`` that lacks its other half."""
    in_identities = list(_identity_allowances(view.name(key.resource), statements))
    in_key_policy = list(_key_allowances(view.properties(key.resource)["keyPolicy"], key.stack, references))
    for identity in in_identities:
        missing = unmatched(identity, in_key_policy) if identity.names_key else []
        if missing:
            yield (
                f"{key.node.path}: {identity.where} allows {references.label(str(identity.principal))} "
                f"{', '.join(missing)}, which the key policy does not: the call would end in AccessDeniedException. "
                "Call grant_encrypt, grant_decrypt, grant_generate_data_key or grant_operations of the key, which "
                "write both halves, instead"
            )
    for allowance in in_key_policy:
        here = allowance.principal and allowance.where not in key.statements_for_elsewhere
        missing = unmatched(allowance, in_identities) if here else []
        if missing:
            yield (
                f"{key.node.path}: the key policy statement {allowance.where} allows "
                f"{references.label(str(allowance.principal))} {', '.join(missing)}, which no policy of that role or "
                "user does. Call a grant_… method of the key, which writes both halves, instead of "
                "add_to_resource_policy (a bare ARN: import it with iam.Role.from_role_arn first); if its policy is "
                "written elsewhere, give the grant key_policy_only=True"
            )


def _identity_allowances(name: str, statements: Iterable[IdentityStatement]) -> Iterator[Allowance]:
    for statement in statements:
        if name in statement.resources or "*" in statement.resources:
            for principal in statement.principals:
                names_key = name in statement.resources
                yield Allowance(principal, statement.actions, statement.conditions, statement.where, names_key)


def _key_allowances(document: dict[str, Any], stack: Stack, references: References) -> Iterator[Allowance]:
    for position, statement in enumerate(as_list(document["Statement"])):
        if statement["Effect"] == "Allow":
            where = statement.get("Sid", f"number {position + 1}")
            for principal in _principals(statement, stack, references):
                actions = as_list(statement.get("Action", []))
                yield Allowance(principal, actions, statement.get("Condition", {}), where)


def _principals(statement: dict[str, Any], stack: Stack, references: References) -> Iterator[str | None]:
    """Name whom a key policy statement is about; None where it leaves that to the IAM of the account."""
    conditions = statement.get("Condition", {})
    by_condition = [
        arn
        for operator in ("ArnEquals", "StringEquals", "ArnLike", "StringLike")
        for arn in as_list(conditions.get(operator, {}).get(PRINCIPAL_ARN, []))
    ]
    if by_condition:
        yield from (references.name(stack, arn) for arn in by_condition)
        return
    principal = statement.get("Principal", {})
    for arn in as_list(principal.get("AWS", []) if isinstance(principal, dict) else principal):
        name = references.name(stack, arn)
        yield None if name in {"*", "{AccountId}"} or name.endswith(":root") or name.isdigit() else name
