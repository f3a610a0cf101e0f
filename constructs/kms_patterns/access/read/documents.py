"""Policy documents as they are in a template: an object, JSON text, or something that only a deployment can tell.

Every statement of a document is read by itself. What cannot be read of one stays in it as a symbol.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kms_patterns.access.read.identifiers import may_be_equal
from kms_patterns.access.templates.template_text import items, text
from kms_patterns.access.unknowns.symbols import GUARD, Proposition, globbed, is_symbol, is_symbolic, symbol

Ways = Callable[[Any], Sequence[tuple[tuple[Proposition, ...], Any]]]
Note = Callable[[str, str], Any]

_MEMBERS = ("Action", "NotAction", "Resource", "NotResource")
_ACCOUNT = re.compile(r"\d+")
_VERSION = "2012-10-17"
_WORDS = {"Sid", "Effect", "Principal", "NotPrincipal", GUARD}
_LITERAL = re.compile(r"\$\{[*?$]\}")
"""``${*}``: the character itself. In policies of another version every variable is taken as it is written.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html
"""
_VARIABLE = re.compile(r"\$\{[^}]*\}")


def read_document(
    document: Any,
    ways: Ways,
    note: Note,
    given: Sequence[Proposition] = (),
    default: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a policy document as a list of statements, each with the propositions under which it is part of it.

    Args:
        document: The document as the template holds it.
        ways: Every way in which a value of the template may resolve.
        note: Lists what cannot be told, and why.
        given: Propositions under which the whole document applies.
        default: What applies where the template leaves the document out.
    """
    statements: list[dict[str, Any]] = []
    for guard, found in _parts(document, ways):
        part = default if found is None else found
        if not isinstance(part, Mapping):
            if part is not None:
                note("its policy", "the document is known after deployment only: it may say anything")
                statements.append(_unknown(part, [*given, *guard]))
            continue
        if "Statement" not in part:
            note("its policy", "it has no Statement: it may say anything")
            statements.append(_unknown(json.dumps(part), [*given, *guard]))
        as_text = _LITERAL if text(part.get("Version")) == _VERSION else _VARIABLE
        for inner, raw in _statements(part.get("Statement"), ways):
            read = _statement(raw, [*given, *guard, *inner], note)
            statements.append(
                {name: item if name in _WORDS else _without(as_text, item) for name, item in read.items()}
            )
    return {"Version": _VERSION, "Statement": statements}


def may_allow(document: Mapping[str, Any], action: str) -> bool:
    """Return whether a statement that is not a Deny may be about an action, by its text."""
    return any(
        statement.get("Effect") != "Deny"
        and (
            "NotAction" in statement
            or any(may_be_equal(globbed(text(name)).lower(), action.lower()) for name in items(statement.get("Action")))
        )
        for statement in document["Statement"]
    )


def _without(pattern: re.Pattern[str], value: Any) -> Any:
    """Return a value with unknown ones where a policy variable stands for its own text."""
    if isinstance(value, str):
        return pattern.sub(lambda match: symbol(f"text {match[0]}"), value) if "${" in value else value
    if isinstance(value, list):
        return [_without(pattern, item) for item in value]
    return {key: _without(pattern, item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _parts(document: Any, ways: Ways) -> Sequence[tuple[tuple[Proposition, ...], Any]]:
    """Yield documents whose statements are still to be resolved, or what stands in their place."""
    if isinstance(document, Mapping) and "Statement" in document:
        return [((), document)]
    return [(guard, _parsed(part)) for guard, part in ways(document)]


def _statements(value: Any, ways: Ways) -> list[tuple[tuple[Proposition, ...], Any]]:
    if isinstance(value, list):
        return [(guard, part) for raw in value for guard, way in ways(raw) for part in items(way)]
    return [(guard, part) for guard, way in ways(value) for part in items(way)]


def _unknown(what: Any, guard: Sequence[Proposition]) -> dict[str, Any]:
    """Return a statement of which nothing is known, its effect included."""
    name = what if is_symbol(what) else symbol(f"statement {text(what)[:60]}")
    everything = {"Effect": name, "Principal": "*", "Action": "*", "Resource": "*"}
    return everything | ({GUARD: list(guard)} if guard else {})


def _statement(raw: Any, guard: Sequence[Proposition], note: Note) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        note("a statement of its policy", "it is known after deployment only: it may say anything")
        return _unknown(raw, guard)
    found = {text(name): value for name, value in raw.items() if name != GUARD and value is not None}
    for name in _MEMBERS:
        if name in found:
            found[name] = _one_or_more([text(item) for item in items(found[name])])
    for name in ("Principal", "NotPrincipal"):
        if name in found:
            found[name] = _principal(found[name], note)
    if "Sid" in found:
        found["Sid"] = text(found["Sid"])
    if "Condition" in found:
        found["Condition"] = _conditions(found["Condition"])
    for name, value in found.items():
        if isinstance(value, str) and is_symbolic(value):
            note(f"{name} of a statement", "it is known after deployment only: every value is considered")
    return {**found, **({GUARD: list(guard)} if guard else {})}


def _one_or_more(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values


def _principal(value: Any, note: Note) -> Any:
    if not isinstance(value, Mapping):
        return text(value)
    found: dict[str, Any] = {}
    for kind, named in value.items():
        names = [text(item) for item in items(named)]
        refused = [name for name in names if kind == "AWS" and _ACCOUNT.fullmatch(name) and len(name) != 12]  # noqa: PLR2004
        for name in refused:
            note(f"principal {name}", "an account id has 12 digits: AWS refuses the policy (MalformedPolicyDocument)")
        kept = [name for name in names if name not in refused]
        if kept:
            found[text(kind)] = _one_or_more(kept)
    return found


def _conditions(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return text(value)
    return {
        text(operator): {
            text(key): _one_or_more([text(item) for item in items(values)]) for key, values in block.items()
        }
        if isinstance(block, Mapping)
        else text(block)
        for operator, block in value.items()
    }


def _parsed(document: Any) -> Any:
    if isinstance(document, str) and document.lstrip().startswith("{") and not is_symbolic(document):
        try:
            return json.loads(document)
        except ValueError:
            return document
    return document
