"""The half of a grant that this app cannot write, as text to paste into a key policy or a role's policy elsewhere."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Annotations, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from kms_patterns.policy.conditions import Conditions, merge, principal
from kms_patterns.policy.statements import grant_sid


def owner_statement(
    grantee: iam.IPrincipal, operations: Sequence[str], conditions: Conditions, stack: Stack
) -> tuple[Mapping[str, Any], str]:
    """Return the key policy statement that names ``grantee``, as a document and as text.

    The grantee's account stands as principal, its ARN as condition: as in the policies of our own keys.
    """
    who: Any = grantee
    arn = getattr(who, "role_arn", None) or getattr(who, "user_arn", None) or "*"
    document = {
        "Sid": grant_sid(who.node.path),
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:{stack.partition}:iam::{who.principal_account or stack.account}:root"},
        "Action": list(operations),
        "Resource": "*",
        "Condition": merge(principal(str(arn)), conditions),
    }
    return _rendered(document, stack)


def tell_identity(key: kms.Key, path: str, operations: Sequence[str], conditions: Conditions) -> None:
    """Print, as a notice at synth, what the role or user of another account at ``path`` must be allowed there."""
    document: dict[str, Any] = {
        "Effect": "Allow",
        "Action": list(operations),
        "Resource": "the ARN of the key, once it is deployed",
    }
    _, text = _rendered(document | ({"Condition": conditions} if conditions else {}), key.stack)
    Annotations.of(key).add_info(
        f"{path} is in another account: the key policy names it, its own policy must allow the same, or the calls end "
        f"in AccessDeniedException. Over there, call ImportedKey.from_key_arn(…).grant_operations, or add:\n{text}"
    )


def _rendered(document: Mapping[str, Any], stack: Stack) -> tuple[Mapping[str, Any], str]:
    resolved: Mapping[str, Any] = stack.resolve(document)
    return resolved, json.dumps(resolved, indent=2)
