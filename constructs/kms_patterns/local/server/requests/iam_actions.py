"""Which IAM action a request needs, where the emulator has none or another one: Lambda's, and of services it forgot.

The emulator takes a DeleteAlias for a ListAliases, and serves what it has no action for to everyone who signs.

AWS: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
"""

from collections.abc import Callable, Mapping
from typing import Any

from kms_patterns.local.server.emulator.emulator import ACTIONS, reach

# Operations whose permission has another name.
_OF_LAMBDA = {
    "GetLayerVersionByArn": "GetLayerVersion", "Invoke": "InvokeFunction", "InvokeAsync": "InvokeFunction",
    "InvokeWithResponseStream": "InvokeFunction",
}  # fmt: skip
_PREFIXES = {
    "documentdb": "rds", "kinesisanalyticsv2": "kinesisanalytics", "lambda-core": "lambda",
    "lambda-microvms": "lambda", "monitoring": "cloudwatch", "s3files": "s3files",
}  # fmt: skip
_UNKNOWN = "UnknownOperation"


def with_lambda(routes: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the emulator's table of REST services with Lambda's routes in it."""
    return {**routes, "lambda": ["lambda"]}


def naming(original: Callable[..., str | None]) -> Callable[..., str | None]:
    """Name the action of every request; one that cannot be named is allowed to ``service:*`` only."""

    def extract(service: str, *request: Any) -> str | None:
        method, path, headers, _body, query = request
        if service == "lambda":
            operation = reach(ACTIONS, "_match_rest_action")("lambda", method, path, query)
            return f"lambda:{_OF_LAMBDA.get(operation, operation or _UNKNOWN)}"
        found = original(service, *request)
        if found is not None or service == "sts":
            return found
        named = headers.get("x-amz-target", "").rpartition(".")[2] or _first(query.get("Action"))
        # The protocol rpc-v2-cbor has the operation in the path.
        named = named or path.partition("/operation/")[2]
        return f"{_PREFIXES.get(service, service)}:{named or _UNKNOWN}"

    return extract


def _first(value: Any) -> str:
    return str(value[0] if isinstance(value, list) and value else value or "")
