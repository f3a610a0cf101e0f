"""Outputs of stacks in other Regions, to which the AWS CDK's weak references lead (``Fn::GetStackOutput``).

The emulator looks for the stack in the Region of the stack that refers to it.
"""

from collections.abc import Callable
from typing import Any

from kms_patterns.local.server.emulator.emulator import RESPONSES, reach

_OUTPUT = "Fn::GetStackOutput"


def resolve_references(original: Callable[..., Any]) -> Callable[..., Any]:
    """Resolve a reference to a stack's output in the Region that it names."""

    def resolve(value: Any, *rest: Any) -> Any:
        spec = value.get(_OUTPUT) if isinstance(value, dict) else None
        if not isinstance(spec, dict) or not spec.get("Region"):
            return original(value, *rest)
        with reach(RESPONSES, "request_scope")(reach(RESPONSES, "get_account_id")(), spec["Region"]):
            return original(value, *rest)

    return resolve
