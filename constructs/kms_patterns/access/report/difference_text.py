"""The comparison of two assemblies as text, as markdown and as a JSON document."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from kms_patterns.access.evaluate import access_conditions
from kms_patterns.access.evaluate.access_conditions import NEVER
from kms_patterns.access.evaluate.comparison import Difference, Step
from kms_patterns.access.evaluate.entries import What
from kms_patterns.access.report.difference_lines import LESS, TITLES, Arranged, Line, arranged, besides, stacks_said
from kms_patterns.access.report.markdown import code, fitted, folded
from kms_patterns.access.report.wording import in_words, mapped, quoted

_MANY = 12


def difference_as_text(difference: Difference) -> str:
    """Return the comparison as text; an empty one says so."""
    shown = mapped(difference)
    found = arranged(shown)
    apart = besides(difference)
    said = stacks_said(difference)
    out = ["stacks", *(f"  {text}" for text in said), ""] if said else []
    if not (found.changed or found.new or found.removed or apart or difference.widens):
        return "\n".join([*out, "no access changed\n"])
    for kind, title in TITLES.items():
        of_kind = [line for line in found.changed if line.kind is kind]
        if of_kind:
            out += [title, *(text for line in of_kind for text in _text(line)), ""]
    for title, resources in (("new resources", found.new), ("removed resources", found.removed)):
        if resources:
            out += [title, *(text for what, lines in resources for text in _resource(what, lines)), ""]
    for title, texts in apart:
        wrapped = [textwrap.wrap(f"  {text}", 110, subsequent_indent=" " * 8) for text in texts]
        out += [title, *(line for lines in wrapped for line in lines), ""]
    if shown.other_keys:
        out += ["objects under another key", *(f"  + {item}" for item in shown.other_keys), ""]
    if shown.newly_unresolved:
        out += ["newly unresolved", *(f"  {item}" for item in shown.newly_unresolved), ""]
    return "\n".join(out)


def _text(line: Line) -> Iterator[str]:
    yield f"  {'-' if line.kind in LESS else '+'} {line.who} on {line.what}"
    yield from textwrap.wrap(f"      {line.short}", 110, subsequent_indent=" " * 6, break_on_hyphens=False)
    for name, text in line.conditions:
        yield from textwrap.wrap(f"        {name} {text}", 110, subsequent_indent=" " * 12, break_on_hyphens=False)


def _resource(what: What, lines: Sequence[Line]) -> Iterator[str]:
    sign = "-" if any(line.kind in LESS for line in lines) else "+"
    yield f"  {sign} {what.kind} {quoted(what.id)}{'' if lines else ': no principal reaches it'}"
    for line in lines:
        condition = line.step.new if line.step.new != NEVER else line.step.old
        text = f"      {line.who}: {_counted(line)}, {in_words(condition)}"
        yield from textwrap.wrap(text, 110, subsequent_indent=" " * 10, break_on_hyphens=False)


def _counted(line: Line) -> str:
    """Return the actions; of administrators, who have them by IAM alone, their number."""
    scope = line.what.partition(" objects ")[2]
    number = f"{len(line.actions)} actions"
    shown = number if line.administrators and len(line.actions) > 1 else line.short
    return f"{shown} on objects {scope}" if scope else shown


def difference_as_markdown(difference: Difference, *, link: str = "") -> str:
    """Return the comparison as markdown for a pull request's comment: a summary, then folded details.

    Args:
        difference: The comparison.
        link: Where the whole report is found.
    """
    shown = mapped(difference)
    found = arranged(shown)
    apart = besides(difference)
    nothing = not (found.changed or found.new or found.removed or apart or difference.widens)
    verdict = "**Access was widened.**" if difference.widens else "No access was widened."
    head = ["## Access", "", "No access changed." if nothing else verdict + _counts(found, shown, apart), ""]
    head += [f"[The whole report](<{link}>)", ""] if link else []
    said = [f"- Stacks: {code(text, in_table=False)}" for text in stacks_said(difference)]
    parts: list[list[str]] = [[*said, ""]] if said else []
    if found.changed:
        table = ["| | who | on | actions |", "|---|---|---|---|", *map(_summary, found.changed), ""]
        parts += [table, folded("Conditions, before and after", [*_DETAILS, *map(_details, found.changed)])]
    for title, resources in (("New resources", found.new), ("Removed resources", found.removed)):
        if resources:
            rows = [row for what, lines in resources for row in _rows(what, lines)]
            parts += [[f"### {title}", ""], ["| resource | who | actions | when |", "|---|---|---|---|", *rows, ""]]
    listed = [(title.capitalize(), texts) for title, texts in apart]
    listed += [("Objects under another key", shown.other_keys), ("Newly unresolved", shown.newly_unresolved)]
    for title, items in listed:
        if items:
            parts.append([f"### {title}", "", *(f"- {code(item, in_table=False)}" for item in items), ""])
    return fitted(head, parts, [])


_DETAILS = ("| who | on | actions | was | now | newly allowed, for example | newly denied |", "|---" * 7 + "|")


def _counts(found: Arranged, difference: Difference, apart: Sequence[tuple[str, Sequence[str]]]) -> str:
    kinds = [line.kind for line in found.changed]
    counts = [f"{kinds.count(kind)} {title}" for kind, title in TITLES.items() if kind in kinds]
    for name, items in (("new resources", found.new), ("removed resources", found.removed)):
        counts += [f"{len(items)} {name if len(items) > 1 else name[:-1]}"] if items else []
    counts += [f"{len(texts)} {title}" for title, texts in apart]
    counts += [f"{len(difference.newly_unresolved)} newly unresolved"] if difference.newly_unresolved else []
    return f" {'; '.join(counts)}." if counts else ""


def _summary(line: Line) -> str:
    mark = "➖" if line.kind in LESS else "➕"  # noqa: RUF001 - the signs of a diff
    return f"| {mark} {TITLES[line.kind]} | {code(line.who)} | {code(line.what)} | {_names(line)} |"


def _details(line: Line) -> str:
    said = dict(line.conditions)
    now = said.get("now: ", said.get("when:"))
    texts = (said.get("was: "), now, said.get("e.g. newly allowed:"), said.get("e.g. newly denied:"))
    cells = " | ".join("—" if text is None else code(text) for text in texts)
    return f"| {code(line.who)} | {code(line.what)} | {_names(line)} | {cells} |"


def _rows(what: What, lines: Sequence[Line]) -> Iterator[str]:
    name = f"{what.kind} {code(what.id)}"
    if not lines:
        yield f"| {name} | no principal | | |"
    for line in lines:
        condition = line.step.new if line.step.new != NEVER else line.step.old
        yield f"| {name} | {code(line.who)} | {code(_counted(line))} | {code(in_words(condition))} |"


def _names(line: Line) -> str:
    names = ", ".join(code(name) for name in line.actions[:_MANY])
    return f"{names} and {len(line.actions) - _MANY} more" if len(line.actions) > _MANY else names


def difference_document(difference: Difference) -> dict[str, Any]:
    """Return the comparison as a JSON document, every step with both conditions and a witness."""
    old, new = ({what.id for what in side.resources} for side in (difference.old, difference.new))
    return {
        "format": "kms-patterns access difference",
        "version": 1,
        "widens": difference.widens,
        "stacks": stacks_said(difference),
        "newResources": sorted(new - old),
        "removedResources": sorted(old - new),
        "steps": [_step(step) for step in difference.steps],
        "otherKeys": difference.other_keys,
        "newlyUnresolved": difference.newly_unresolved,
        "besides": dict(besides(difference)),
    }


def _step(step: Step) -> dict[str, Any]:
    entry, verdict = step.entry, step.verdict
    return {
        "kind": step.kind,
        "principal": entry.principal,
        "resource": entry.resource,
        "action": entry.action,
        "scope": entry.scope,
        "old": access_conditions.to_json(step.old),
        "new": access_conditions.to_json(step.new),
        "newlyAllowed": None if verdict is None else verdict.newly_allowed,
        "newlyDenied": None if verdict is None else verdict.newly_denied,
    }
