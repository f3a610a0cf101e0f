"""Resource policies of Lambda functions, which templates state as permissions.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-permission.html
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

_CONDITIONS = {
    "SourceArn": ("ArnLike", "aws:SourceArn"),
    "SourceAccount": ("StringEquals", "aws:SourceAccount"),
    "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
    "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
    "InvokedViaFunctionUrl": ("Bool", "lambda:InvokedViaFunctionUrl"),
    "EventSourceToken": ("StringEquals", "lambda:EventSourceToken"),
}


def function_policies(permissions: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return policy documents by function name or ARN.

    Args:
        permissions: Resolved properties of ``AWS::Lambda::Permission`` resources.
    """
    statements: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for permission in permissions:
        statements[permission["FunctionName"]].append(_statement(permission))
    return {name: {"Version": "2012-10-17", "Statement": found} for name, found in statements.items()}


def _statement(permission: Mapping[str, Any]) -> dict[str, Any]:
    conditions: dict[str, dict[str, str]] = {}
    for name, (operator, key) in _CONDITIONS.items():
        if name in permission:
            value = permission[name]
            conditions.setdefault(operator, {})[key] = str(value).lower() if isinstance(value, bool) else value
    statement = {
        "Effect": "Allow",
        "Principal": _principal(permission["Principal"]),
        "Action": permission["Action"],
        "Resource": "*",
    }
    return statement | ({"Condition": conditions} if conditions else {})


def _principal(value: str) -> str | dict[str, str]:
    if value == "*":
        return "*"
    return {"Service": value} if value.endswith((".amazonaws.com", ".amazonaws.com.cn")) else {"AWS": value}
