"""The comparison of two assemblies as text, as markdown and as a JSON document."""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from kms_patterns.access.evaluate import conditions
from kms_patterns.access.evaluate.comparison import Difference, Kind, Step
from kms_patterns.access.evaluate.expressions import NEVER
from kms_patterns.access.evaluate.witnesses import Value
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.report.markdown import code, escaped
from kms_patterns.access.report.wording import in_words

_TITLES: Mapping[Kind, str] = {
    Kind.GAINED: "gained",
    Kind.WIDENED: "condition widened",
    Kind.CHANGED: "condition changed, wider for some requests",
    Kind.NARROWED: "condition narrowed",
    Kind.LOST: "lost",
}
_MANY = 12


@dataclass(frozen=True)
class Line:
    """Steps of one principal on one resource that differ in their action only."""

    kind: Kind
    who: str
    what: str
    actions: Sequence[str]
    step: Step

    @property
    def short(self) -> str:
        """The actions, counted when there are many."""
        shown = ", ".join(self.actions[:_MANY])
        return shown if len(self.actions) <= _MANY else f"{len(self.actions)} actions: {shown}, …"


def lines(difference: Difference) -> list[Line]:
    """Return the steps, those alike but for the action together."""

    def alike(step: Step) -> tuple[str, str, str, str, str, str]:
        entry = step.entry
        order = f"{list(Kind).index(step.kind)}"
        return order, entry.resource, entry.principal, entry.scope or "", repr(step.old), repr(step.new)

    found = []
    for _, group in groupby(sorted(difference.steps, key=lambda step: (alike(step), step.entry.action)), key=alike):
        steps = list(group)
        first = steps[0]
        scope = f" objects {first.entry.scope}" if first.entry.scope else ""
        found.append(
            Line(
                kind=first.kind,
                who=_label(difference, first.entry.principal),
                what=f"{_kind(difference, first.entry.resource)} {first.entry.resource}{scope}",
                actions=[step.entry.action for step in steps],
                step=first,
            )
        )
    return found


def _matrices(difference: Difference) -> tuple[Matrix, Matrix]:
    return difference.new, difference.old


def _label(difference: Difference, principal: str) -> str:
    labels = [who.label for matrix in _matrices(difference) for who in matrix.principals if who.id == principal]
    return labels[0] if labels else principal


def _kind(difference: Difference, resource: str) -> str:
    kinds = [what.kind for matrix in _matrices(difference) for what in matrix.resources if what.id == resource]
    return str(kinds[0]) if kinds else "resource"


def difference_as_text(difference: Difference) -> str:
    """Return the comparison as text; empty differences say so."""
    found = lines(difference)
    if not found and not difference.widens:
        return "no access changed\n"
    out: list[str] = []
    for kind, title in _TITLES.items():
        of_kind = [line for line in found if line.kind is kind]
        if of_kind:
            out += [title, *(text for line in of_kind for text in _text(line)), ""]
    if difference.other_keys:
        out += ["objects under another key", *(f"  + {item}" for item in difference.other_keys), ""]
    if difference.newly_unresolved:
        out += ["newly unresolved", *(f"  {item}" for item in difference.newly_unresolved), ""]
    return "\n".join(out)


def _text(line: Line) -> Iterator[str]:
    sign = {Kind.LOST: "-", Kind.NARROWED: "-"}.get(line.kind, "+")
    yield f"  {sign} {line.who} on {line.what}"
    yield from textwrap.wrap(f"      {line.short}", 110, subsequent_indent=" " * 6, break_on_hyphens=False)
    for name, text in _conditions(line.step):
        yield from textwrap.wrap(f"        {name} {text}", 110, subsequent_indent=" " * 12, break_on_hyphens=False)


def _conditions(step: Step) -> Iterator[tuple[str, str]]:
    if step.old != NEVER:
        yield "was: ", in_words(step.old)
    if step.new != NEVER:
        yield ("now: " if step.old != NEVER else "when:"), in_words(step.new)
    if step.verdict and step.verdict.newly_allowed is not None:
        yield "e.g. newly allowed:", _context(step.verdict.newly_allowed)
    if step.verdict and step.verdict.newly_denied is not None:
        yield "e.g. newly denied:", _context(step.verdict.newly_denied)


def _context(context: Mapping[str, Value]) -> str:
    def value(item: Value) -> str:
        return "absent" if item is None else json.dumps(item, ensure_ascii=False)

    return ", ".join(f"{key} {value(item)}" for key, item in context.items()) or "any request"


def difference_as_markdown(difference: Difference) -> str:
    """Return the comparison as markdown for a pull request's comment."""
    found = lines(difference)
    verdict = "**Access was widened.**" if difference.widens else "No access was widened."
    out = ["## Access", "", verdict if found or difference.widens else "No access changed.", ""]
    if found:
        out += ["| | who | on | actions | was | now |", "|---|---|---|---|---|---|", *map(_markdown_row, found), ""]
    if difference.other_keys:
        out += ["Objects under another key:", "", *(f"- {code(item)}" for item in difference.other_keys), ""]
    if difference.newly_unresolved:
        out += ["Newly unresolved:", "", *(f"- {code(item)}" for item in difference.newly_unresolved), ""]
    return "\n".join(out)


def _markdown_row(line: Line) -> str:
    mark = {Kind.LOST: "➖", Kind.NARROWED: "➖"}.get(line.kind, "➕")  # noqa: RUF001 - the signs of a diff
    was, now = (("—" if item == NEVER else code(in_words(item))) for item in (line.step.old, line.step.new))
    names = ", ".join(code(name) for name in line.actions[:_MANY])
    more = f" and {len(line.actions) - _MANY} more" if len(line.actions) > _MANY else ""
    return f"| {mark} {_TITLES[line.kind]} | {escaped(line.who)} | {code(line.what)} | {names}{more} | {was} | {now} |"


def difference_document(difference: Difference) -> dict[str, Any]:
    """Return the comparison as a JSON document, every step with both conditions."""
    return {
        "format": "kms-patterns access difference",
        "version": 1,
        "widens": difference.widens,
        "steps": [_step(step) for step in difference.steps],
        "otherKeys": difference.other_keys,
        "newlyUnresolved": difference.newly_unresolved,
    }


def _step(step: Step) -> dict[str, Any]:
    entry, verdict = step.entry, step.verdict
    return {
        "kind": step.kind,
        "principal": entry.principal,
        "resource": entry.resource,
        "action": entry.action,
        "scope": entry.scope,
        "old": conditions.to_json(step.old),
        "new": conditions.to_json(step.new),
        "newlyAllowed": None if verdict is None else verdict.newly_allowed,
        "newlyDenied": None if verdict is None else verdict.newly_denied,
    }
