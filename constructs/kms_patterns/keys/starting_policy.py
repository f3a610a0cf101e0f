"""The statements that every new key policy starts with."""

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_iam as iam

from kms_patterns.policy import actions
from kms_patterns.policy import guardrails as deny

_DEFAULT_WINDOW_DAYS = 30


def management(on_demand_rotation: bool, multi_region: bool, imported_material: bool) -> Sequence[str]:  # noqa: FBT001
    """Return the actions of the administrators of a key with these properties."""
    return (
        *actions.ADMINISTRATION,
        *(actions.ROTATE_ON_DEMAND if on_demand_rotation else ()),
        *(actions.MULTI_REGION_ADMINISTRATION if multi_region else ()),
        *(actions.IMPORT_ADMINISTRATION if imported_material else ()),
    )


def guardrails(
    window: Duration | None, perimeter: str | None, protect_while_in_use: Duration | None
) -> list[iam.PolicyStatement]:
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
