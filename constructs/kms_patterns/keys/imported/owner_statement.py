"""The half of a grant that this app cannot write, as text to paste into a key policy or a role's policy elsewhere."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from kms_patterns.keys.grants.grantee import identity_arn
from kms_patterns.policy.conditions import Conditions, merge, principal
from kms_patterns.policy.statements import grant_sid

if TYPE_CHECKING:
    from kms_patterns.keys.imported.imported_key import ImportedKeyBase


class OwnersStatements:
    """What the owner of an imported key must add to its policy, each statement once and under an id of its own."""

    def __init__(self, key: "ImportedKeyBase") -> None:
        self._key = key
        self._statements: dict[str, Mapping[str, Any]] = {}
        self._sids: Counter[str] = Counter()

    @property
    def statements(self) -> Sequence[Mapping[str, Any]]:
        """All statements, resolved."""
        return tuple(self._statements.values())

    def tell_of_grant(self, grantee: iam.IPrincipal, operations: Sequence[str], conditions: Conditions) -> None:
        """Print the statement that names ``grantee``."""
        who: Any = grantee
        self.tell_of_role(identity_arn(who), who.node.path, operations, conditions, who.principal_account)

    def tell_of_role(
        self, arn: str, path: str, operations: Sequence[str], conditions: Conditions, account: str | None = None
    ) -> None:
        """Print the statement that names a role or user.

        Its account stands as principal, its ARN as condition: as in the policies of our own keys.
        """
        stack = self._key.stack
        document = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{stack.partition}:iam::{account or stack.account}:root"},
            "Action": list(operations),
            "Resource": "*",
            "Condition": merge(principal(arn), conditions),
        }
        self.tell(stack.resolve(document), path)

    def tell(self, document: Mapping[str, Any], path: str | None = None) -> None:
        """Print a resolved statement as a notice at synth, unless it was printed before."""
        name = json.dumps(document, sort_keys=True)
        if name in self._statements:
            return
        if path is not None:
            self._sids[path] += 1
            document = {"Sid": grant_sid(path, self._sids[path]), **document}
        self._statements[name] = document
        Annotations.of(self._key).add_info(
            f"this app cannot change the policy of {self._key.stack.resolve(self._key.key_arn)}. Its owner must add, "
            f"or the calls end in AccessDeniedException:\n{json.dumps(document, indent=2)}"
        )


def tell_identity(
    key: "kms.Key | ImportedKeyBase", path: str, operations: Sequence[str], conditions: Conditions
) -> None:
    """Print, as a notice at synth, what the role or user of another account at ``path`` must be allowed there."""
    arn = key.key_arn
    resource = "the ARN of the key, once it is deployed" if isinstance(key, kms.Key) else key.stack.resolve(arn)
    document: dict[str, Any] = {
        "Effect": "Allow",
        "Action": list(operations),
        "Resource": resource,
        **({"Condition": conditions} if conditions else {}),
    }
    text = json.dumps(key.stack.resolve(document), indent=2)
    Annotations.of(key).add_info(
        f"{path} is in another account: the key policy names it, its own policy must allow the same, or the calls end "
        f"in AccessDeniedException. Over there, call ImportedKey.from_key_arn(…).grant_operations, or add:\n{text}"
    )
