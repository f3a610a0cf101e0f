"""Text that a reader sees as it is, whatever it holds: no control character, direction mark or line break gets through.

Templates, file names, object keys and conditions come from people who may wish to hide a row of a report. Every medium
starts here; Markdown and HTML add their own syntax in one function each.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar

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
    found: Any = value
    if isinstance(value, str):
        found = value if isinstance(value, Enum) else change(value)
    elif is_dataclass(value) and not isinstance(value, type):
        found = replace(
            value, **{item.name: mapped(getattr(value, item.name), change) for item in fields(value) if item.init}
        )
    elif isinstance(value, Mapping):
        found = {mapped(key, change): mapped(item, change) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        found = type(value)(mapped(item, change) for item in value)
    return found  # type: ignore[no-any-return]


def _code_of(letter: str) -> str:
    short = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
    number = ord(letter)
    wide = f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"  # noqa: PLR2004
    return short.get(letter) or (f"\\x{number:02x}" if number < 0x100 else wide)  # noqa: PLR2004


def _json_code(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))
