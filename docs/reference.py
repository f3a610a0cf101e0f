"""The pages that are generated: both packages, the commands, events and responses of the functions."""

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click

import kms_patterns
import kms_runtime
from kms_patterns.cli.main import main as kms_patterns_command

SCHEMAS = Path(__file__).parents[1] / "lambda" / "kms_runtime" / "handlers" / "schemas"


def events() -> str:
    """Return the reference of events and responses, from the JSON Schemas of the handlers."""
    parts = ["# Events and responses\n\nOne JSON Schema document per handler; the examples have every member.\n"]
    for path in sorted(SCHEMAS.glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        parts.append(f"\n## {document.get('title', path.stem)}\n")
        parts += [
            f"\n### {schema['title']}\n\n{schema.get('description', '')}\n\n{_members(schema)}\n"
            f"```json\n{json.dumps(example(schema, document), indent=2)}\n```\n"
            for schema in document.get("definitions", {}).values()
            if schema.get("type") == "object" and "title" in schema
        ]
    return "".join(parts)


def example(schema: dict[str, Any], document: dict[str, Any]) -> Any:
    """Return a value that ``schema`` accepts, with every member.

    Args:
        schema: A schema of ``document``.
        document: Where references lead; what they lead to in other documents is shown as an empty object.
    """
    for word in ("examples", "enum", "oneOf", "anyOf"):
        if word in schema and "properties" not in schema:
            first = schema[word][0]
            return example(first, document) if word.endswith("Of") else first
    if "$ref" in schema:
        found = document.get("definitions", {}).get(schema["$ref"].rsplit("/", 1)[-1], {"type": "object"})
        return example(found, document)
    if schema.get("type") == "object":
        named = schema.get("properties", {})
        free = {} if named else schema.get("additionalProperties")
        pairs = {"tenant": free} if isinstance(free, dict) and free else {}
        return {name: example(member, document) for name, member in (named | pairs).items()}
    if schema.get("type") == "array":
        return [example(schema.get("items", {}), document)]
    plain = {"integer": schema.get("minimum", 1), "number": schema.get("minimum", 1), "boolean": True}
    return schema.get("const", plain.get(schema.get("type", ""), "aGVsbG8=" if "contentEncoding" in schema else "a"))


def _members(schema: dict[str, Any]) -> str:
    if not schema.get("properties"):
        return ""
    rows = [
        f"| `{name}` | {_type(member)} | {'yes' if name in schema.get('required', []) else 'no'} "
        f"| {_cell(member.get('description', ''))} |"
        for name, member in schema["properties"].items()
    ]
    return "| Member | Type | Required | |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


def _type(member: dict[str, Any]) -> str:
    if "enum" in member:
        return ", ".join(f"`{value}`" for value in member["enum"])
    reference = str(member.get("$ref", "")).rsplit("/", 1)[-1]
    return _cell(str(member.get("type") or reference or "any"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _reference(package: ModuleType, head: str) -> str:
    parts = [f"# `{package.__name__}`\n\n{head}\n"]
    for name in sorted(package.__all__):
        home = getattr(getattr(package, name), "__module__", package.__name__)
        parts.append(f"\n::: {home}.{name}\n")
    return "".join(parts)


def commands() -> str:
    """Return the reference of the commands, from the help that they print."""
    return "# Commands\n\n`kms-patterns` has them all; `kms-runtime` has those of the data plane.\n" + "".join(
        f"\n## {name}\n\n```text\n{text}\n```\n" for name, text in _helps(kms_patterns_command, "kms-patterns")
    )


def _helps(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    context = click.Context(command, info_name=name.rsplit(" ", 1)[-1], parent=parent, max_content_width=100)
    yield name, inspect.cleandoc(command.get_help(context))
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            inner = command.get_command(context, each)
            if inner is not None and not inner.hidden:
                yield from _helps(inner, f"{name} {each}", context)


GENERATED: dict[str, Callable[[], str]] = {
    "reference/kms-patterns.md": lambda: _reference(kms_patterns, "Constructs and their options, from the docstrings."),
    "reference/kms-runtime.md": lambda: _reference(kms_runtime, "What functions, hosts and outsiders use."),
    "reference/commands.md": commands,
    "reference/events.md": events,
}
