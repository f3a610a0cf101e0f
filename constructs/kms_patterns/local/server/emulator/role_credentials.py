"""Session credentials of a role, as an AWS service hands them to what runs in it: EC2's instance profile, for example.

AWS: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-roles-for-amazon-ec2.html
"""

import json
import secrets
import time
from typing import Any

from kms_patterns.local.server.emulator.emulator import EVALUATOR, IAM, STS, reach

DURATION = 6 * 3600
_ARN_COLONS = 5


class NotAssumable(Exception):
    """The role does not exist or does not trust the service."""


def role_session(role_arn: str, service: str | None, session_name: str) -> dict[str, str]:
    """Return credentials of a new session of ``role_arn``, if the role trusts who asks.

    Args:
        role_arn: The role, with its path.
        service: A service principal such as ``ec2.amazonaws.com``; None for the account itself.
        session_name: The last part of the session's ARN; for EC2 it is the instance id.

    Raises:
        NotAssumable: There is no such role, or its trust policy does not allow who asks.
    """
    if role_arn.count(":") < _ARN_COLONS:
        raise NotAssumable(f"{role_arn!r} is not the ARN of a role")
    account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    role = reach(IAM, "_roles").get_scoped(account, None, name)
    if role is None or role["Arn"] != role_arn:
        raise NotAssumable(f"there is no role {role_arn}")
    asking = service or f"arn:aws:iam::{account}:root"
    if not _trusts(role.get("AssumeRolePolicyDocument") or "{}", asking, "Service" if service else "AWS"):
        raise NotAssumable(f"the trust policy of {role_arn} does not allow {asking} to assume it")
    credentials = {
        "AccessKeyId": "ASIA" + secrets.token_hex(8).upper(),
        "SecretAccessKey": secrets.token_hex(20),
        "SessionToken": secrets.token_hex(64),
    }
    reach(STS, "register_session")(credentials["AccessKeyId"], {
        "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session_name}",
        "UserId": f"{role['RoleId']}:{session_name}",
        "SecretAccessKey": credentials["SecretAccessKey"],
        "SessionToken": credentials["SessionToken"],
        "Expiration": time.time() + DURATION,
    })  # fmt: skip
    return credentials


def trusted_service(role_arn: str) -> str | None:
    """Return a service that a role trusts, if it does not trust its own account; None otherwise."""
    account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    document = (reach(IAM, "_roles").get_scoped(account, None, name) or {}).get("AssumeRolePolicyDocument") or "{}"
    if _trusts(document, f"arn:aws:iam::{account}:root", "AWS"):
        return None
    policy: dict[str, Any] = json.loads(document) if isinstance(document, str) else document
    statements = policy.get("Statement", [])
    statements = [statements] if isinstance(statements, dict) else statements
    named = [service for statement in statements for service in _principals(statement.get("Principal"), "Service")]
    return next((service for service in named if _trusts(document, service, "Service")), None)


def _trusts(document: str | dict[str, Any], asking: str, kind: str) -> bool:
    # The emulator lets the account root assume what trusts any service, and matches no service by name: it is given
    # the principals of the one kind that asks, as if they were AWS principals.
    policy: dict[str, Any] = json.loads(document) if isinstance(document, str) else document
    statements = policy.get("Statement", [])
    statements = [statements] if isinstance(statements, dict) else statements
    named = [
        statement | {"Principal": {"AWS": _principals(statement.get("Principal"), kind)}} for statement in statements
    ]
    request = reach(EVALUATOR, "EvalContext")(
        principal_arn=asking,
        principal_type=kind,
        principal_account="",
        action="sts:AssumeRole",
        resource_arn="*",
        region="",
    )
    return bool(reach(EVALUATOR, "evaluate_trust_policy")({"Statement": named}, asking, request))


def _principals(principal: object, kind: str) -> list[str]:
    if not isinstance(principal, dict):
        return [str(principal)] if principal == "*" and kind == "AWS" else []
    named = principal.get(kind, [])
    return [named] if isinstance(named, str) else list(named)
