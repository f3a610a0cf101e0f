"""Words that a reader stumbles over stay out of docstrings, comments, messages and pages."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Old form -> the words to use instead.
FORMS = {
    r"\b(is|are|was|were) no (?!longer\b|more\b|less\b|later\b|other\b)": "is not a",
    r"(?i)\bwho(m)?ever\b": "any principal that",
    r"(?i)\b(nobody|somebody|everybody)\b": "no one, someone, everyone; of principals: no principal",
    r"(?i)\blest\b": "so that ... not",
    r"\bto be had\b": "is available",
    r", too(?=[\s.,:;)]*(\n|$)|[.;:)])": "also",
    r"\b[Ll]eft out, ": "Defaults to",
    r"\bbecomes? of\b": "What happens to",
}
PLACES = ("app.py", "*.md", "constructs", "lambda", "demo", "stacks", "examples", "benchmarks")
RECORDS = ("docs/decisions/README.md", "lambda/requirements.lock")
# How many old forms each room still holds; lower the figure with every room that is cleaned.
LEFT: dict[str, int] = {}


def texts() -> dict[str, str]:
    listed = subprocess.run(["git", "ls-files", "-z", *PLACES], cwd=ROOT, capture_output=True, check=True, text=True)
    paths = [name for name in listed.stdout.split("\0") if name and not name.startswith(RECORDS)]
    return {name: (ROOT / name).read_text() for name in paths if (ROOT / name).is_file()}


def room(name: str) -> str:
    parts = name.split("/")
    return "/".join(parts[: 3 if parts[0] in {"constructs", "lambda"} and len(parts) > 3 else 1])


def old_forms(text: str) -> list[str]:
    return [found[0] for form in FORMS for found in re.finditer(form, text)]


def test_old_forms_stay_out() -> None:
    found = Counter[str]()
    for name, text in texts().items():
        found[room(name)] += len(old_forms(text))
    assert {place: many for place, many in found.items() if many > LEFT.get(place, 0)} == {}, FORMS


@pytest.mark.parametrize(
    "text",
    [
        "it is no ARN",
        "Whoever has it",
        "nobody could manage it",
        "lest it be read",
        "not to be had",
        "this one, too",
        "Left out, 365 days.",
        "What becomes of it",
    ],
)
def test_old_form_is_found(text: str) -> None:
    assert len(old_forms(text)) == 1


@pytest.mark.parametrize(
    "text", ["it is no longer there", "too large", "a list", "no one can read it", "left out when"]
)
def test_plain_words_pass(text: str) -> None:
    assert old_forms(text) == []
