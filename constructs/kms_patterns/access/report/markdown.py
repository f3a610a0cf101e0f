"""The report as markdown, for a pull request: one table per key and bucket."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from kms_patterns.access.evaluate.access_conditions import ALWAYS, NEVER, Condition, all_of
from kms_patterns.access.evaluate.entries import What, Who
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import ResourceKind
from kms_patterns.access.report.sections import Block, Row, Section, footer, labelled, note, sections, titled
from kms_patterns.access.report.wording import counted, escalation_text, in_words, mapped

LIMIT: Final = 65_000
"""Bytes of a comment; GitHub refuses a body of more than 65,536 characters."""


def as_markdown(matrix: Matrix) -> str:
    """Return the report as GitHub-flavoured markdown, short enough for a comment: a summary, then folded details."""
    shown = mapped(replace(matrix, statements=(), policies=()))
    arranged = {stack: sections(shown, stack) for stack in shown.stacks}
    alarms = [line for parts in arranged.values() for part in parts for line in _alarms(part)]
    head = ["# Who can do what, under which condition", "", _counts(shown), ""]
    head += [f"Only {code(shown.only, in_table=False)}", ""] if shown.only else []
    parts = [["Given by no statement for them in these templates:", "", *alarms, ""]] if alarms else []
    parts += [folded("Stack", list(_stack(shown, arranged[stack])), stack) for stack in arranged]
    if shown.unresolved:
        lines = [f"- {': '.join(_listed(item.where, item.what, item.why))}" for item in shown.unresolved]
        parts.append(folded(f"Not resolved: {len(lines)}", lines))
    return fitted(head, parts, [f"<sub>{' '.join(footer(matrix))}</sub>", ""])


def _counts(matrix: Matrix) -> str:
    kinds = [what.kind for what in matrix.resources]
    counts = [(kinds.count(kind), kind) for kind in ResourceKind if kind in kinds]
    resources = ", ".join(counted(number, kind) for number, kind in counts) or "No resource"
    reach = counted(len(matrix.principals), "principal"), counted(len(matrix.entries), "reachable action")
    return f"{'; '.join([resources, *reach])}."


def _alarms(section: Section) -> Iterator[str]:
    for block in section.blocks:
        if block.alarming:
            who, what = _listed(labelled(block.who, section.what.stack), f"{section.what.kind} {section.what.id}")
            yield f"- ⚠️ {who} on {what}"


def _listed(*texts: str) -> list[str]:
    return [code(text, in_table=False) for text in texts]


def _stack(matrix: Matrix, parts: Sequence[Section]) -> Iterator[str]:
    for part in parts:
        if part.what.kind is not ResourceKind.ROLE:
            yield from _section(matrix, part)
    trusts = [part for part in parts if part.what.kind is ResourceKind.ROLE]
    if trusts:
        yield from ("### Who may assume the roles", "", "| role | who | when |", "|---|---|---|")
        for part in trusts:
            yield from _trust(part)
        yield ""


def _section(matrix: Matrix, section: Section) -> Iterator[str]:
    what = section.what
    yield from (f"### {what.kind} {code(titled(what), in_table=False)}{_note(what)}", "")
    if section.condition != ALWAYS:
        yield from (f"Every principal: only when {code(in_words(section.condition), in_table=False)}", "")
    yield from ("| who | what | actions | when |", "|---|---|---|---|")
    for block in section.blocks:
        yield from _block(block, what)
    yield ""
    paths = [item for item in matrix.escalations if item.resource == what.id]
    if paths:
        listed = [_listed(item.principal, escalation_text(item)) for item in paths]
        yield from ("Who can come to use it:", "", *(f"- {who}: {how}" for who, how in listed), "")


def _block(block: Block, what: What) -> Iterator[str]:
    name = label(block.who, what.stack) + block.others
    if block.like:
        yield f"| {name} | the same as {label(block.like, what.stack)} | | |"
    elif not block.rows:
        yield f"| {name} | nothing | | |"
    for row in () if block.like else block.rows:
        mark = "⚠️ " if block.alarming else ""
        yield f"| {mark}{name} | {_group(row)} | {_actions(row)} | {when(row.condition)} |"


def _trust(section: Section) -> Iterator[str]:
    what = section.what
    if not section.blocks:
        yield f"| {code(titled(what))} | no one | |"
    for block in section.blocks:
        for row in block.rows:
            mark = "⚠️ " if block.alarming else ""
            condition = when(all_of([section.condition, row.condition]))
            yield f"| {code(titled(what))} | {mark}{label(block.who, what.stack)} | {condition} |"


def label(who: Who, stack: str) -> str:
    """Return a principal's name in a report on ``stack``."""
    return code(labelled(who, stack))


def when(condition: Condition) -> str:
    """Return a condition for a table cell."""
    return "always" if condition == ALWAYS else code(in_words(condition))


def _note(what: What) -> str:
    said = note(what).strip(" ()")
    return f" ({code(said, in_table=False)})" if said else ""


def _group(row: Row) -> str:
    return row.group if row.scope is None else f"{row.group} {code(row.scope)}"


def _actions(row: Row) -> str:
    names = ", ".join(code(name) for name in row.actions)
    if row.rest:
        names = f"**all {row.total}**" if row.total == len(row.actions) else f"**all other {len(row.actions)}**"
    return f"not {names}" if row.condition == NEVER else names


def code(text: str, *, in_table: bool = True) -> str:
    """Return a visible text as a code span, for a table cell or elsewhere; nothing in it is markup, link or mention."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    inner = f" {text} " if text.startswith("`") or text.endswith("`") else text or " "
    return f"{fence}{inner.replace('|', chr(92) + '|') if in_table else inner}{fence}"


def folded(title: str, lines: Sequence[str], name: str = "") -> list[str]:
    """Return ``lines`` as a passage that a reader opens.

    Args:
        title: What it is about, in our words.
        lines: Its lines.
        name: A visible text to follow the title.
    """
    letters = (letter if letter.isalnum() else f"&#{ord(letter)};" for letter in name)
    shown = f" <code>{''.join(letters)}</code>" if name else ""
    return [f"<details><summary>{title}{shown}</summary>", "", *lines, "", _END, ""]


_END = "</details>"


def fitted(head: Sequence[str], parts: Sequence[Sequence[str]], foot: Sequence[str]) -> str:
    """Return head, parts and foot as one text of at most ``LIMIT`` bytes; rows that find no room are counted."""
    room = LIMIT - _size([*head, *foot]) - 300
    out: list[str] = []
    cut = 0
    for part in parts:
        opened = False
        for place, line in enumerate(part):
            room -= _size([line])
            if room >= 0:
                opened = line.startswith("<details>") or (opened and line != _END)
                out.append(line)
            else:
                heading = part[place + 1 : place + 2]
                cut += line.startswith(("| ", "- ")) and not (heading and heading[0].startswith("|---"))
        out += ["", _END, ""] if opened else []
    short = [f"**{counted(cut, 'further row')} found no room here: the HTML report has them.**", ""] if cut else []
    return "\n".join([*head, *short, *out, *foot])


def _size(lines: Sequence[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)
