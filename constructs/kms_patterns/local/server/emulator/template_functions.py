"""Functions of templates that the emulator resolves wrongly: outputs of other Regions, functions inside conditions.

The AWS CDK's weak references lead to an output of a stack in another Region (``Fn::GetStackOutput``); the emulator
looks for the stack in the Region of the stack that refers to it. Inside ``Fn::Equals`` it resolves Ref only, so the
CDK's bootstrap template gave its execution role a policy without a name.

AWS: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-conditions.html
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from kms_patterns.local.server.emulator.emulator import ENGINE, RESPONSES, reach

_OUTPUT = "Fn::GetStackOutput"


def evaluate_conditions(original: Callable[..., dict[str, bool]]) -> Callable[..., dict[str, bool]]:
    """Evaluate conditions whose comparisons hold functions and pseudo parameters."""

    def evaluate(template: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, bool]:
        mappings = template.get("Mappings", {})

        def resolved(value: Any) -> Any:
            if isinstance(value, dict) and "Fn::Equals" in value:
                compared = [
                    reach(ENGINE, "_resolve_refs")(copy.deepcopy(side), {}, params, {}, mappings, "", "")
                    for side in value["Fn::Equals"]
                ]
                return {"Fn::Equals": [_text(side) for side in compared]}
            if isinstance(value, dict):
                return {name: resolved(item) for name, item in value.items()}
            return [resolved(item) for item in value] if isinstance(value, list) else value

        return original({**template, "Conditions": resolved(template.get("Conditions", {}))}, params)

    return evaluate


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def resolve_references(original: Callable[..., Any]) -> Callable[..., Any]:
    """Resolve a reference to a stack's output in the Region that it names."""

    def resolve(value: Any, *rest: Any) -> Any:
        spec = value.get(_OUTPUT) if isinstance(value, dict) else None
        if not isinstance(spec, dict) or not spec.get("Region"):
            return original(value, *rest)
        with reach(RESPONSES, "request_scope")(reach(RESPONSES, "get_account_id")(), spec["Region"]):
            return original(value, *rest)

    return resolve
