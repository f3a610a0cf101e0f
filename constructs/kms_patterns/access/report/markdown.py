"""The report as markdown, for a pull request: one table per key and bucket."""

from collections.abc import Iterator

from kms_patterns.access.evaluate.entries import Who
from kms_patterns.access.evaluate.expressions import ALWAYS, NEVER, Condition, all_of
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import ResourceKind
from kms_patterns.access.report.sections import FOOTER, Row, Section, note, sections
from kms_patterns.access.report.wording import in_words


def as_markdown(matrix: Matrix) -> str:
    """Return the whole report as GitHub-flavoured markdown."""
    lines = ["# Who can do what, under which condition", ""]
    for stack in matrix.stacks:
        lines += _stack(matrix, stack)
    if matrix.unresolved:
        lines += ["## Not resolved", ""]
        lines += [f"- {code(item.where)}: {code(item.what)} ({item.why})" for item in matrix.unresolved]
        lines.append("")
    return "\n".join([*lines, *(f"<sub>{line}</sub>" for line in [" ".join(FOOTER)]), ""])


def _stack(matrix: Matrix, stack: str) -> Iterator[str]:
    yield from (f"## {stack}", "")
    parts = sections(matrix, stack)
    for part in parts:
        if part.what.kind is not ResourceKind.ROLE:
            yield from _section(part)
    trusts = [part for part in parts if part.what.kind is ResourceKind.ROLE]
    if trusts:
        yield from ("### Who may assume the roles", "", "| role | who | when |", "|---|---|---|")
        for part in trusts:
            yield from _trust(part)
        yield ""


def _section(section: Section) -> Iterator[str]:
    what = section.what
    yield from (f"### {what.kind} {code(what.label)}{escaped(note(what))}", "")
    if section.condition != ALWAYS:
        yield from (f"Everybody: only when {code(in_words(section.condition))}", "")
    yield from ("| who | what | actions | when |", "|---|---|---|---|")
    for block in section.blocks:
        name = label(block.who, what.stack) + block.others
        if block.like:
            yield f"| {name} | the same as {label(block.like, what.stack)} | | |"
        elif not block.rows:
            yield f"| {name} | nothing | | |"
        for row in () if block.like else block.rows:
            mark = "⚠️ " if block.alarming else ""
            yield f"| {mark}{name} | {_group(row)} | {_actions(row)} | {when(row.condition)} |"
    yield ""


def _trust(section: Section) -> Iterator[str]:
    what = section.what
    if not section.blocks:
        yield f"| {code(what.label)} | nobody | |"
    for block in section.blocks:
        for row in block.rows:
            mark = "⚠️ " if block.alarming else ""
            condition = when(all_of([section.condition, row.condition]))
            yield f"| {code(what.label)} | {mark}{label(block.who, what.stack)} | {condition} |"


def label(who: Who, stack: str) -> str:
    """Return a principal's name in a report on ``stack``."""
    return f"{who.kind} {code(who.id.removeprefix(f'{stack}/'))}" if who.stack else escaped(who.label)


def when(condition: Condition) -> str:
    """Return a condition for a table cell."""
    return "always" if condition == ALWAYS else code(in_words(condition))


def _group(row: Row) -> str:
    return row.group if row.scope is None else f"{row.group} {code(row.scope)}"


def _actions(row: Row) -> str:
    names = ", ".join(code(name) for name in row.actions)
    if row.rest:
        names = f"**all {row.total}**" if row.total == len(row.actions) else f"**all other {len(row.actions)}**"
    return f"not {names}" if row.condition == NEVER else names


def code(text: str) -> str:
    """Return ``text`` as a code span that a table cell can hold."""
    return f"`{text.replace('|', chr(92) + '|')}`"


def escaped(text: str) -> str:
    """Return ``text`` with markdown's own characters made harmless."""
    return text.replace("*", r"\*").replace("|", r"\|").replace("<", "&lt;")
