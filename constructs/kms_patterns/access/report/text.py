"""The report as plain text: aligned, sorted, and the same on every machine, so that it can be committed."""

import textwrap
from collections.abc import Iterator
from dataclasses import replace

from kms_patterns.access.evaluate.access_conditions import ALWAYS, NEVER, all_of
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import ResourceKind
from kms_patterns.access.report.sections import Block, Row, Section, footer, labelled, note, sections, titled
from kms_patterns.access.report.wording import counted, escalation_text, in_words, mapped

WIDTH = 110
_GROUP = 20


def as_text(matrix: Matrix) -> str:
    """Return the whole report, one part per stack; ``!`` marks use that the assembly did not give."""
    shown = mapped(replace(matrix, statements=(), policies=()))
    lines = [f"only {shown.only}", ""] if shown.only else []
    lines += [] if shown.stacks else ["nothing is reached", ""]
    for stack in shown.stacks:
        lines += [*_stack(shown, stack), ""]
    lines += _unresolved(shown)
    return "\n".join([*lines, *footer(matrix), ""])


def _stack(matrix: Matrix, stack: str) -> Iterator[str]:
    yield f"stack {stack}"
    parts = sections(matrix, stack)
    if not parts:
        yield "  no key, bucket, function or role"
    for part in parts:
        if part.what.kind is not ResourceKind.ROLE:
            yield ""
            yield from _section(part)
            yield from _escalations(matrix, part.what.id)
    trusts = [part for part in parts if part.what.kind is ResourceKind.ROLE]
    if trusts:
        yield ""
        yield "  roles, and who may assume them"
        width = max(len(titled(part.what)) for part in trusts)
        for part in trusts:
            yield from _trust(part, width)


def _section(section: Section) -> Iterator[str]:
    what = section.what
    yield f"  {what.kind} {titled(what)}{note(what)}"
    if section.condition != ALWAYS:
        yield from _wrapped("    every principal: only when ", in_words(section.condition), 8)
    for block in section.blocks:
        yield from _block(block, what.stack)


def _escalations(matrix: Matrix, key: str) -> Iterator[str]:
    found = [item for item in matrix.escalations if item.resource == key]
    if found:
        yield "    can come to use it:"
    for item in found:
        yield from _wrapped("      ", f"{item.principal}: {escalation_text(item)}", 10)


def _block(block: Block, stack: str) -> Iterator[str]:
    mark = "!" if block.alarming else " "
    name = f"  {mark} {labelled(block.who, stack)}{block.others}"
    if not block.rows:
        yield f"{name}: nothing"
        return
    if block.like:
        yield f"{name}: the same as {labelled(block.like, stack)}"
        return
    shared = block.shared
    if shared is None or shared == ALWAYS:
        yield name
    else:
        yield from _wrapped(f"{name}, when ", in_words(shared), 8)
    for row in block.rows:
        yield from _row(row, explain=shared is None)


def _row(row: Row, *, explain: bool) -> Iterator[str]:
    group = row.group if row.scope is None else f"{row.group} {row.scope}"
    if row.condition == NEVER:
        yield from _wrapped(f"      {group:<{_GROUP}} ", f"not {_actions(row)}", 7 + _GROUP)
        return
    yield from _wrapped(f"      {group:<{_GROUP}} ", _actions(row), 7 + _GROUP)
    if explain and row.condition != ALWAYS:
        yield from _wrapped(f"      {'':<{_GROUP}}   ", f"when {in_words(row.condition)}", 9 + _GROUP)


def _actions(row: Row) -> str:
    if not row.rest:
        return ", ".join(row.actions)
    number = counted(len(row.actions), "action")
    return f"ALL {number}" if row.total == len(row.actions) else f"ALL OTHER {number}"


def _trust(section: Section, width: int) -> Iterator[str]:
    what = section.what
    if not section.blocks:
        yield f"    {titled(what):<{width}}  no one"
    for block in section.blocks:
        mark = "!" if block.alarming else " "
        for row in block.rows:
            full = all_of([section.condition, row.condition])
            condition = "" if full == ALWAYS else f", when {in_words(full)}"
            actions = "" if row.actions == ["AssumeRole"] else f" ({', '.join(row.actions)})"
            start = f"  {mark} {titled(what):<{width}}  "
            yield from _wrapped(start, f"{labelled(block.who, what.stack)}{actions}{condition}", len(start))


def _wrapped(start: str, text: str, indent: int) -> list[str]:
    return textwrap.wrap(
        start + text,
        WIDTH,
        subsequent_indent=" " * indent,
        drop_whitespace=True,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _unresolved(matrix: Matrix) -> Iterator[str]:
    if matrix.unresolved:
        yield "not resolved"
        for item in matrix.unresolved:
            yield from _wrapped("  ", f"{item.where}: {item.what} ({item.why})", 4)
        yield ""
