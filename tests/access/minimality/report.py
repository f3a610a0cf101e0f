"""The rows of docs/access/minimality.md: how many removals were tried per stack, and how each was noticed."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from minimality.removals import Removal
from minimality.scenarios import of_stack
from minimality.trial import HOW

PAGE = Path(__file__).parents[3] / "docs" / "access" / "minimality.md"
KINDS = ("statement", "action", "condition", "resource")


def row(stack: str, found: Mapping[Removal, str]) -> str:
    """Return the row of one stack, with how each of its removals was noticed."""
    kinds = Counter(removal.kind for removal in found)
    counts = [len(of_stack(stack)), len(found), *(kinds[kind] for kind in KINDS)]
    numbers = [*counts, *(list(found.values()).count(name) for name in HOW)]
    return f"| {stack} | {' | '.join(map(str, numbers))} |"


def write(stack: str, line: str) -> None:
    """Put the row of one stack into the page, in order of the stacks."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = {text.split(" | ")[0]: text for text in lines if text.startswith("| KmsPatterns-")} | {f"| {stack}": line}
    first = next(place for place, text in enumerate(lines) if text.startswith("| KmsPatterns-"))
    others = [text for text in lines if not text.startswith("| KmsPatterns-")]
    text = [*others[:first], *(rows[name] for name in sorted(rows)), *others[first:]]
    PAGE.write_text("\n".join(text) + "\n", encoding="utf-8")
