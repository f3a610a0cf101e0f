"""The steps of a comparison arranged as reports show them: alike ones together, new and removed resources apart."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from kms_patterns.access.evaluate.access_conditions import NEVER
from kms_patterns.access.evaluate.comparison import ChangedStatement, Difference, Kind, Step
from kms_patterns.access.evaluate.entries import Escalation, What
from kms_patterns.access.evaluate.widening import Value
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import PLACE, PrincipalKind
from kms_patterns.access.report.sections import labelled
from kms_patterns.access.report.wording import escalation_text, in_words, mapped, quoted, visible

TITLES: Final[Mapping[Kind, str]] = {
    Kind.GAINED: "gained",
    Kind.WIDENED: "condition widened",
    Kind.CHANGED: "condition changed, wider for some requests",
    Kind.NARROWED: "condition narrowed",
    Kind.LOST: "lost",
}
LESS: Final = (Kind.LOST, Kind.NARROWED)
_MANY = 12
_ENVIRONMENT = re.compile(r'aws://([^/]+)/([^"]+)"')
_ADMINISTRATORS = (PrincipalKind.ADMINISTRATOR, PrincipalKind.ANY_ROLE)


@dataclass(frozen=True)
class Line:
    """Steps on one resource that differ in their action only, or in which administrator takes them.

    Attributes:
        kind: What happened.
        who: The principal, or the administrators.
        what: The resource, with the pattern of objects.
        resource: The resource's id.
        actions: The actions.
        step: One of the steps.
        administrators: Whether they are those whom every account has.
    """

    kind: Kind
    who: str
    what: str
    resource: str
    actions: Sequence[str]
    step: Step
    administrators: bool

    @property
    def short(self) -> str:
        """The actions, counted when there are many."""
        shown = ", ".join(self.actions[:_MANY])
        return shown if len(self.actions) <= _MANY else f"{len(self.actions)} actions: {shown}, …"

    @property
    def conditions(self) -> Iterator[tuple[str, str]]:
        """What the condition was and is, with a request that shows the difference."""
        step = self.step
        if step.old != NEVER:
            yield "was: ", in_words(step.old)
        if step.new != NEVER:
            yield ("now: " if step.old != NEVER else "when:"), in_words(step.new)
        if step.verdict and step.verdict.newly_allowed is not None:
            yield "e.g. newly allowed:", in_context(step.verdict.newly_allowed)
        if step.verdict and step.verdict.newly_denied is not None:
            yield "e.g. newly denied:", in_context(step.verdict.newly_denied)


@dataclass(frozen=True)
class Arranged:
    """A comparison arranged for a report.

    Attributes:
        changed: What changed on resources that both sides have, the gains first.
        new: Resources that only the new side has, with who reaches them.
        removed: Resources that only the old side has, with who reached them.
    """

    changed: Sequence[Line]
    new: Sequence[tuple[What, Sequence[Line]]]
    removed: Sequence[tuple[What, Sequence[Line]]]


def arranged(difference: Difference) -> Arranged:
    """Return the steps of a comparison whose texts are visible, as a report shows them."""
    found = lines(difference)
    old, new = ({what.id: what for what in side.resources} for side in (difference.old, difference.new))

    def of(resources: Iterable[What]) -> list[tuple[What, Sequence[Line]]]:
        return [(what, [line for line in found if line.resource == what.id]) for what in resources]

    added = of(what for what in difference.new.resources if what.id not in old)
    removed = of(what for what in difference.old.resources if what.id not in new)
    return Arranged([line for line in found if line.resource in old and line.resource in new], added, removed)


def lines(difference: Difference) -> list[Line]:
    """Return the steps, those alike but for the action together, and those of both administrators."""

    def alike(step: Step) -> tuple[str, str, str, str, str, str]:
        entry = step.entry
        order = f"{list(Kind).index(step.kind)}"
        return order, entry.resource, entry.principal, entry.scope or "", repr(step.old), repr(step.new)

    found = []
    for _, group in groupby(sorted(difference.steps, key=lambda step: (alike(step), step.entry.action)), key=alike):
        steps = list(group)
        first = steps[0]
        scope = f" objects {quoted(first.entry.scope)}" if first.entry.scope else ""
        who, kind = _principal(difference, first.entry.principal)
        found.append(
            Line(
                kind=first.kind,
                who=who,
                what=f"{_kind(difference, first.entry.resource)} {quoted(first.entry.resource)}{scope}",
                resource=first.entry.resource,
                actions=[step.entry.action for step in steps],
                step=first,
                administrators=kind in _ADMINISTRATORS,
            )
        )
    return _together(found)


def _together(found: Sequence[Line]) -> list[Line]:
    """Join the lines of the two administrators that say the same."""
    result: list[Line] = []
    for line in found:
        twin = next((item for item in result if line.administrators and _same(item, line)), None)
        if twin:
            result[result.index(twin)] = replace(twin, who=f"{twin.who} and {line.who}")
        else:
            result.append(line)
    return result


def _same(one: Line, other: Line) -> bool:
    def facts(line: Line) -> tuple[object, ...]:
        return line.kind, line.what, tuple(line.actions), line.step.old, line.step.new, line.administrators

    return facts(one) == facts(other)


def _matrices(difference: Difference) -> tuple[Matrix, Matrix]:
    return difference.new, difference.old


def _principal(difference: Difference, principal: str) -> tuple[str, PrincipalKind | None]:
    found = [who for matrix in _matrices(difference) for who in matrix.principals if who.id == principal]
    return (labelled(found[0], ""), found[0].kind) if found else (quoted(principal), None)


def _kind(difference: Difference, resource: str) -> str:
    kinds = [what.kind for matrix in _matrices(difference) for what in matrix.resources if what.id == resource]
    return str(kinds[0]) if kinds else "resource"


def in_context(context: Mapping[str, Value]) -> str:
    """Return a request context in words."""

    def value(item: Value) -> str:
        if item is None:
            return "absent"
        if isinstance(item, tuple):
            return "[" + ", ".join(_string(text) for text in item) + "]"
        return _string(item)

    return ", ".join(f"{quoted(key)} {value(item)}" for key, item in context.items()) or "any request"


def _string(text: str) -> str:
    return '"' + text.replace('"', r"\"") + '"'


def stacks_said(difference: Difference) -> list[str]:
    """Return which stacks are taken as one though their names differ, which stand alone, and which move elsewhere."""
    old, new, paired = {*difference.old.stacks}, {*difference.new.stacks}, difference.new.paired
    said = [f"{quoted(one)} (old) and {quoted(other)} (new) are compared as one" for one, other in paired.items()]
    alone = [(side, name) for side, ids in (("old", old - new), ("new", new - old)) for name in sorted(ids)]
    both = old - new and new - old
    said += [f"only {side} has {quoted(name)}" for side, name in alone if both]
    places = {(item.policy, item.added): item.text for item in difference.unseen_statements if _is_place(item)}
    for policy in sorted({name for name, _ in places}):
        texts = (places.get((policy, added), "") for added in (False, True))
        before, after = (match and f"{match[2]} of account {match[1]}" for match in map(_ENVIRONMENT.search, texts))
        moved = f"{quoted(policy.removesuffix(PLACE))} moves from {before} to {after}"
        said.append(f"{moved}: its resources are made anew there, and what is kept stays where it was")
    return said


def _is_place(item: ChangedStatement) -> bool:
    return item.policy.endswith(PLACE)


def besides(difference: Difference) -> list[tuple[str, list[str]]]:
    """Return what changed besides cells: paths to the use of a key, and statements of which no cell shows anything."""

    def path(sign: str, item: Escalation) -> str:
        return f"{sign} {item.principal} on key {item.resource}: {escalation_text(item)}"

    found = [
        ("new paths to the use of a key", [path("+", item) for item in mapped(difference.new_escalations)]),
        ("paths that are gone", [path("-", item) for item in mapped(difference.lost_escalations)]),
        (
            "statements changed, access shown here did not",
            [
                f"{'+' if item.added else '-'} {visible(item.policy)}: {visible(item.text)}"
                for item in difference.unseen_statements
                if not _is_place(item)
            ],
        ),
    ]
    return [(title, texts) for title, texts in found if texts]
