"""Session credentials as an AWS service hands them to what runs in it: EC2's instance profile, for example.

AWS: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-roles-for-amazon-ec2.html
"""

import json
import secrets
import time
from typing import Any

from kms_patterns.local.server.emulator import EVALUATOR, IAM, STS, reach

DURATION = 6 * 3600


class NotAssumable(Exception):
    """The role does not exist or does not trust the service."""


def service_session(role_arn: str, service: str, session_name: str) -> dict[str, str]:
    """Return credentials of a new session of ``role_arn``, if the role trusts ``service``.

    Args:
        role_arn: The role, with its path.
        service: A service principal such as ``ec2.amazonaws.com``.
        session_name: The last part of the session's ARN; for EC2 it is the instance id.

    Raises:
        NotAssumable: There is no such role, or its trust policy does not allow the service.
    """
    account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    role = reach(IAM, "_roles").get_scoped(account, None, name)
    if role is None or role["Arn"] != role_arn:
        raise NotAssumable(f"there is no role {role_arn}")
    if not trusts_service(role.get("AssumeRolePolicyDocument") or "{}", service, account):
        raise NotAssumable(f"the trust policy of {role_arn} does not allow {service} to assume it")
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


def trusts_service(document: str | dict[str, Any], service: str, account: str) -> bool:
    """Return whether a trust policy allows ``service`` sts:AssumeRole, conditions and denies included."""
    evaluate = reach(EVALUATOR, "evaluate_trust_policy")
    request = reach(EVALUATOR, "EvalContext")(
        principal_arn=service,
        principal_type="Service",
        principal_account=account,
        action="sts:AssumeRole",
        resource_arn="*",
        region="",
    )
    return bool(evaluate(_services_as_principals(document), service, request))


def _services_as_principals(document: str | dict[str, Any]) -> dict[str, Any]:
    # The emulator matches only AWS principals against a caller; a service is compared as if it were one.
    policy: dict[str, Any] = json.loads(document) if isinstance(document, str) else document
    statements = policy.get("Statement", [])
    statements = [statements] if isinstance(statements, dict) else statements
    return {
        "Statement": [
            statement | {"Principal": {"AWS": _services(statement.get("Principal"))}} for statement in statements
        ]
    }


def _services(principal: object) -> list[str]:
    if not isinstance(principal, dict):
        return []
    named = principal.get("Service", [])
    return [named] if isinstance(named, str) else list(named)
