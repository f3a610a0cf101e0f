"""Conditions in words, and text that a reader sees as it is: no control character or direction mark gets through.

Templates, file names, object keys and conditions come from people who may wish to hide a row of a report. Every medium
starts here; Markdown and HTML add their own syntax in one function each.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar

from kms_patterns.access.evaluate.access_conditions import ALWAYS, NEVER, AllOf, Condition, Leaf
from kms_patterns.access.evaluate.entries import Escalation, EscalationStep
from kms_patterns.access.unknowns.symbols import TRUE, UNKNOWN

_WORDS = {
    "stringequals": "=",
    "stringnotequals": "!=",
    "stringequalsignorecase": "=",
    "stringnotequalsignorecase": "!=",
    "stringlike": "matches",
    "stringnotlike": "does not match",
    "arnequals": "=",
    "arnlike": "matches",
    "arnnotequals": "!=",
    "arnnotlike": "does not match",
    "bool": "=",
    "numericequals": "=",
    "numericnotequals": "!=",
    "numericlessthan": "<",
    "numericlessthanequals": "<=",
    "numericgreaterthan": ">",
    "numericgreaterthanequals": ">=",
    "dateequals": "=",
    "datenotequals": "!=",
    "datelessthan": "before",
    "datelessthanequals": "not after",
    "dategreaterthan": "after",
    "dategreaterthanequals": "not before",
    "ipaddress": "in",
    "notipaddress": "not in",
}
_SETS = {"forallvalues": "every", "foranyvalue": "some"}


def in_words(condition: Condition) -> str:
    """Return ``condition`` as text: ``always``, or conditions joined by ``and`` and ``or``."""
    if condition == ALWAYS:
        return "always"
    if condition == NEVER:
        return "never"
    if isinstance(condition, Leaf):
        return _leaf(condition)
    joint = " and " if isinstance(condition, AllOf) else " or "
    return joint.join(sorted(_bracketed(item) for item in condition.items))


def counted(number: int, noun: str) -> str:
    """Return a number with what it counts."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


_MOST_METHODS = 3


def escalation_text(item: Escalation) -> str:
    """Return by which steps a principal can come to use a key."""
    steps = "; then ".join(_step(step) for step in item.path)
    return steps if item.condition == ALWAYS else f"{steps}, when {in_words(item.condition)}"


def _step(step: EscalationStep) -> str:
    more = len(step.methods) - _MOST_METHODS
    methods = " or ".join(step.methods[:_MOST_METHODS]) + (f" or {more} more ways" if more > 0 else "")
    if step.effect == "change":
        return f"can change what {step.target} allows, by {methods}"
    return f"can become {step.target} by {methods}"


def _bracketed(condition: Condition) -> str:
    text = in_words(condition)
    return text if isinstance(condition, Leaf) else f"({text})"


def _proposition(leaf: Leaf) -> str:
    """Return what only a deployment decides, in words."""
    name, values = leaf.key.removeprefix(UNKNOWN), " or ".join(leaf.values)
    said = name if values == TRUE else f"{name} is {values}"
    return f"not ({said})" if "Not" in leaf.op else said


_OF_THE_ASSEMBLY = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]*:(?:<region>)?:(?:<account>)?:(?:[a-z-]+/)?(<[^>]+>)")
"""An ARN that says no more than the readable name in it."""


def _leaf(leaf: Leaf) -> str:
    if leaf.key.startswith(UNKNOWN):
        return _proposition(leaf)
    quantifier, _, operator = leaf.op.rpartition(":")
    base = operator.removesuffix("IfExists")
    if base.lower() == "null":
        return f"{quoted(leaf.key)} is {'absent' if leaf.values == ('true',) else 'present'}"
    words = _WORDS.get(base.lower(), base)
    joint = " nor " if words.startswith(("!=", "not", "does not")) else " or "
    named = Counter(_OF_THE_ASSEMBLY.sub(r"\1", value) for value in leaf.values)
    values = [f"{quoted(name)} (ARN or id)" if count > 1 else quoted(name) for name, count in named.items()]
    text = f"{quoted(leaf.key)} {words} {values[0] if len(values) == 1 else f'({joint.join(values)})'}"
    if quantifier:
        text = f"{_SETS.get(quantifier.lower(), quantifier)} {text}"
    return f"{text} (or absent)" if operator.endswith("IfExists") else text


_Value = TypeVar("_Value")
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs", "Mn", "Me"})
_HIDDEN_LETTERS = frozenset("\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Letters that have no ink."""
_SIMPLE = re.compile(r"[!-\[\]-~]+(?: [!-\[\]-~]+)*")
_NOT_ASCII = re.compile(r"[^\n -~]")
_PLAIN = re.compile(r'[^\s"(),]+')
_OUR_WORDS = frozenset({"absent", "and", "nor", "or"})


def visible(text: str) -> str:
    r"""Return ``text`` on one line, with what cannot be seen as ``\n``, ``\x1b`` or ``\u202e``, and ``\`` as ``\\``.

    Different texts give different results, and the result of a prefix is a prefix of the result.
    """
    if _SIMPLE.fullmatch(text):
        return text
    out: list[str] = []
    previous = " "
    for letter in text:
        spaced = letter == " " and previous == " "
        out.append("\\\\" if letter == "\\" else _code_of(letter) if spaced or hidden(letter) else letter)
        previous = letter
    return "".join(out)


def visible_lines(text: str) -> str:
    """Return a message of several lines with each of them visible."""
    return "\n".join(visible(line).replace(r"\x20", " ").replace("\\\\", "\\") for line in text.split("\n"))


def visible_json(text: str) -> str:
    r"""Return JSON text with what cannot be seen as ``\u`` escapes: the same document, safe to print."""
    if not _NOT_ASCII.search(text):
        return text
    return "".join(_json_code(letter) if letter != "\n" and hidden(letter) else letter for letter in text)


def hidden(letter: str) -> bool:
    """Return whether a character has no ink of its own, moves the cursor, or changes the text around it."""
    return letter != " " and (unicodedata.category(letter) in _HIDDEN_CATEGORIES or letter in _HIDDEN_LETTERS)


def quoted(text: str) -> str:
    """Return a visible text as a word of a sentence: in quotes if it could be taken for several words, or for ours."""
    if _PLAIN.fullmatch(text) and text not in _OUR_WORDS:
        return text
    return '"' + text.replace('"', r"\"") + '"'


def mapped(value: _Value, change: Callable[[str], str] = visible) -> _Value:
    """Return ``value`` with every text in it changed: in dataclasses, mappings and sequences, keys included."""
    return _mapped(value, change, {})  # type: ignore[no-any-return]


def _mapped(value: Any, change: Callable[[str], str], known: dict[Any, Any]) -> Any:
    """Return ``mapped``; a text, or an object that stands in several places, is changed once."""
    place = value if isinstance(value, str) else id(value)
    if value is None or isinstance(value, int | Enum):
        return value
    if place not in known:
        known[place] = _once(value, change, known)
    return known[place]


def _once(value: Any, change: Callable[[str], str], known: dict[Any, Any]) -> Any:
    if isinstance(value, str):
        return change(value)
    if is_dataclass(value) and not isinstance(value, type):
        given = {item.name: getattr(value, item.name) for item in fields(value) if item.init}
        found = {name: _mapped(item, change, known) for name, item in given.items()}
        return value if all(found[name] is item for name, item in given.items()) else replace(value, **found)
    if isinstance(value, Mapping):
        return {_mapped(key, change, known): _mapped(item, change, known) for key, item in value.items()}
    return type(value)(_mapped(item, change, known) for item in value) if isinstance(value, list | tuple) else value


def _code_of(letter: str) -> str:
    short = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
    number = ord(letter)
    wide = f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"  # noqa: PLR2004
    return short.get(letter) or (f"\\x{number:02x}" if number < 0x100 else wide)  # noqa: PLR2004


def _json_code(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))
