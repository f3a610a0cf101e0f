"""The statements that every new key policy starts with."""

from collections.abc import Sequence

from aws_cdk import Duration, Stack

from kms_patterns.keys.errors import DeployerUnknown
from kms_patterns.keys.synth.deployment_role import deployment_role_arn
from kms_patterns.policy import actions
from kms_patterns.policy import guardrails as deny
from kms_patterns.policy.conditions import not_deploying
from kms_patterns.policy.statements import Document

_DEFAULT_WINDOW_DAYS = 30


def management(on_demand_rotation: bool, multi_region: bool, imported_material: bool) -> Sequence[str]:  # noqa: FBT001
    """Return the actions of the administrators of a key with these properties."""
    return (
        *actions.ADMINISTRATION,
        *(actions.ROTATE_ON_DEMAND if on_demand_rotation else ()),
        *(actions.MULTI_REGION_ADMINISTRATION if multi_region else ()),
        *(actions.IMPORT_ADMINISTRATION if imported_material else ()),
    )


class Replication:
    """The statements that leave the replication of a multi-Region key to the app: its Regions, and who deploys there.

    Args:
        home: The stack of the key. KMS replicates into no Region that has the key, so its own stands for none.
    """

    def __init__(self, home: Stack) -> None:
        self._home = home
        try:
            self._at_home: list[str | None] = [deployment_role_arn(home)]
        except DeployerUnknown:
            # It needs no replica of its own Region: with none elsewhere, every principal is denied.
            self._at_home = []
        self._away: dict[str, str | None] = {}
        self.statements = [
            deny.no_replication(deny.SID_DENY_OTHER_REGIONS, {}),
            deny.no_replication(deny.SID_DENY_REPLICATION, {}),
        ]
        self._write()

    def allow(self, stack: Stack) -> None:
        """Let the role that deploys ``stack`` replicate the key to its Region."""
        self._away[stack.region] = deployment_role_arn(stack)
        self._write()

    def _write(self) -> None:
        regions = sorted(self._away)
        others, strangers = self.statements
        others["Condition"] = {"StringNotEquals": {"kms:ReplicaRegion": [self._home.region, *regions]}}
        deployers = [*self._at_home, *(self._away[region] for region in regions)]
        strangers["Condition"] = not_deploying(deployers)


def guardrails(window: Duration | None, perimeter: str | None, protect_while_in_use: Duration | None) -> list[Document]:
    """Return the statements that deny what a correct deployment of this key never does.

    Args:
        window: Waiting period of the key; it cannot be shortened without a change of the key policy.
        perimeter: Organization or account outside of which no principal may use or manage the key.
        protect_while_in_use: How long after its last use the key can be neither disabled nor deleted.
    """
    statements = [deny.grants_for_services_only(), deny.no_lockout_bypass()]
    days = _DEFAULT_WINDOW_DAYS if window is None else None if window.is_unresolved() else int(window.to_days())
    if days is not None and days > deny.SHORTEST_WINDOW_DAYS:
        statements.append(deny.no_deletion_sooner_than(days))
    if protect_while_in_use is not None:
        statements.append(deny.no_end_within(int(protect_while_in_use.to_days())))
    if perimeter is not None:
        statements.append(deny.no_principal_outside(perimeter))
    return statements
