"""What CloudFormation's registry says of a resource type: its properties, and those whose change replaces a resource.

The schemas are AWS's, as cfn-lint brings them; one is read when a stack first has a resource of its type.

AWS: https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Properties = Mapping[str, Any]
_OWN_TAGS = "aws:cloudformation:"
_NUMBERS = {"integer": r"-?\d+", "number": r"-?\d+(\.\d+)?([eE][-+]?\d+)?", "boolean": "true|false"}
# A schema says "one of" of forms that a value may have several of once CloudFormation has converted it.
_ALTERNATIVES = {"oneOf": "anyOf"}


@cache
def schema(kind: str) -> dict[str, Any] | None:
    """Return the schema of a type; None if the registry has none, as of custom resources."""
    package = find_spec("cfnlint")
    folder = Path((package.submodule_search_locations or [""])[0] if package else "") / "data/schemas"
    name = _index(folder).get(kind)
    if name is None:
        return None
    found: dict[str, Any] = _readable(json.loads((folder / f"resources/{name}.json").read_text()))
    for member in found["properties"].values() if kind == "AWS::KMS::Key" else ():
        # KMS's own model knows newer specs and usages, and judges what a key is made of.
        member.pop("enum", None)
    return found


@cache
def _index(folder: Path) -> dict[str, str]:
    index: dict[str, str] = json.loads((folder / "providers/us-east-1.json").read_text())
    return index


def _readable(part: Any) -> Any:
    """Return a schema without patterns of other dialects, which Python does not compile."""
    if isinstance(part, list):
        return [_readable(item) for item in part]
    if not isinstance(part, dict):
        return part
    kept = {_ALTERNATIVES.get(name, name): _readable(item) for name, item in part.items()}
    if isinstance(kept.get("pattern"), str) and not _compiles(kept["pattern"]):
        del kept["pattern"]
    named = kept.get("patternProperties")
    if isinstance(named, dict) and not all(map(_compiles, named)):
        del kept["patternProperties"]
        kept.pop("additionalProperties", None)
    return kept


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def recreation(original: Callable[[str, str], str]) -> Callable[[str, str], str]:
    """Say of every property whether its change replaces the resource, for types that the emulator does not know."""

    def classify(kind: str, name: str) -> str:
        known = original(kind, name)
        found = schema(kind) if known == "Conditionally" else None
        if found is None:
            return known
        always, maybe = (
            {path.split("/")[2] for path in found.get(member, ())}
            for member in ("createOnlyProperties", "conditionalCreateOnlyProperties")
        )
        # A custom resource says by its physical id whether it was replaced.
        return "Always" if name in always else "Conditionally" if name in maybe else "Never"

    return classify


def problem(kind: str, logical_id: str, props: Properties) -> str | None:
    """Return why CloudFormation refuses the properties of a resource, None if it takes them."""
    if schema(kind) is None:
        return None
    # CloudFormation adds tags of its own, which a template must not have.
    tags = props.get("Tags")
    if isinstance(tags, list):
        own = [it for it in tags if not (isinstance(it, Mapping) and str(it.get("Key")).startswith(_OWN_TAGS))]
        props = {name: value for name, value in props.items() if name != "Tags"} | ({"Tags": own} if own else {})
    said = next((_said(error) for error in _validator(kind).iter_errors(props)), None)
    return f"Properties validation failed for resource {logical_id} with message:\n{said}" if said else None


def _said(error: Any) -> str:
    path = "".join(f"/{part}" for part in error.absolute_path)
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return f"#{path}: required key [{missing}] not found"
    if error.validator == "additionalProperties":
        extra = next(_extra(error.instance, error.schema), "")
        return f"#{path}: extraneous key [{extra}] is not permitted"
    return f"#{path}: failed validation constraint for keyword [{error.validator}]"


def _extra(instance: Properties, of: Mapping[str, Any]) -> Iterator[str]:
    patterns = of.get("patternProperties", {})
    for name in instance:
        if name not in of.get("properties", {}) and not any(re.search(it, name) for it in patterns):
            yield name


@cache
def _validator(kind: str) -> Any:
    # A stack pays for this, not the start of the server.
    from jsonschema import Draft7Validator  # noqa: PLC0415
    from jsonschema.validators import extend  # noqa: PLC0415

    checker = Draft7Validator.TYPE_CHECKER.redefine("string", lambda _checker, value: isinstance(value, _TEXTS))
    for name in _NUMBERS:
        checker = checker.redefine(name, _of_text(checker, name))
    rules = dict(Draft7Validator.VALIDATORS)
    for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"):
        rules[name] = _converting(rules[name], float)
    for name in ("minLength", "maxLength", "pattern"):
        rules[name] = _converting(rules[name], _text)
    rules["enum"] = lambda _validator, values, value, _schema: _enumerated(values, value)
    made: Any = extend(Draft7Validator, rules, type_checker=checker)
    return made(schema(kind))


_TEXTS = (str, int, float)


def _of_text(checker: Any, name: str) -> Callable[[Any, Any], bool]:
    # CloudFormation converts between texts, numbers and truth values.
    return lambda _checker, value: bool(
        checker.is_type(value, name) or (isinstance(value, str) and re.fullmatch(_NUMBERS[name], value.lower()))
    )


def _converting(rule: Callable[..., Any], convert: Callable[[Any], Any]) -> Callable[..., Iterator[Any]]:
    def check(validator: Any, limit: Any, value: Any, of: Any) -> Iterator[Any]:
        # What is not of the type is told by the rule about the type.
        with suppress(ValueError):
            if isinstance(value, _TEXTS):
                yield from rule(validator, limit, convert(value), of) or ()

    return check


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _enumerated(values: list[Any], value: Any) -> Iterator[Any]:
    from jsonschema import ValidationError  # noqa: PLC0415

    if _text(value) not in map(_text, values):
        yield ValidationError(f"{value!r} is not one of {values!r}")
