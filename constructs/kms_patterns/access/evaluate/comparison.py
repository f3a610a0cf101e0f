"""The difference between two matrices: what was gained and lost, and which conditions were widened or narrowed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from kms_patterns.access.evaluate.entries import Access
from kms_patterns.access.evaluate.expressions import NEVER, Condition
from kms_patterns.access.evaluate.simulator import simulator
from kms_patterns.access.evaluate.widening import Change, Judge, Verdict
from kms_patterns.access.matrix import Matrix


class Kind(StrEnum):
    """What happened to one action of one principal on one resource."""

    GAINED = "gained"
    WIDENED = "widened"
    CHANGED = "changed"
    NARROWED = "narrowed"
    LOST = "lost"


@dataclass(frozen=True)
class Step:
    """One change of access.

    Attributes:
        kind: What happened.
        entry: The access as it is now; as it was, if it was lost.
        old: The condition before, ``NEVER`` if there was no access.
        new: The condition now, ``NEVER`` if there is no access.
        verdict: The evaluation that tells a widened condition from a narrowed one.
    """

    kind: Kind
    entry: Access
    old: Condition
    new: Condition
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Difference:
    """All changes of access between two assemblies.

    Attributes:
        old: The matrix before.
        new: The matrix now.
        steps: The changes, by kind of change, then by resource and principal.
    """

    old: Matrix
    new: Matrix
    steps: Sequence[Step]

    @property
    def widens(self) -> bool:
        """Whether anybody can do something that they could not do before, or something new is not resolved."""
        wider = any(step.kind in {Kind.GAINED, Kind.WIDENED, Kind.CHANGED} for step in self.steps)
        return wider or bool(self.newly_unresolved or self.other_keys)

    @property
    def other_keys(self) -> list[str]:
        """Buckets that are no longer encrypted under the key they were under: it protects their content no more."""
        now = {what.id: what.encrypted_by for what in self.new.resources}
        return [
            f"{what.id}: was under {what.encrypted_by}, now under {now[what.id] or 'no KMS key'}"
            for what in self.old.resources
            if what.encrypted_by and what.id in now and now[what.id] != what.encrypted_by
        ]

    @property
    def newly_unresolved(self) -> list[str]:
        """What could be resolved before, or was not there, and cannot be resolved now."""
        return sorted(
            f"{item.where}: {item.what} ({item.why})" for item in {*self.new.unresolved} - {*self.old.unresolved}
        )


def compare(old: Matrix, new: Matrix, *, project: Path | None = None) -> Difference:
    """Return what changed from ``old`` to ``new``; whether a condition is wider is decided by evaluating it.

    A cell with no entry of its own is compared by what covers it: an entry for all objects covers every scope of them.

    Args:
        old: The matrix before.
        new: The matrix now.
        project: Where the search for the simulator's ``node_modules`` starts.

    Raises:
        ToolMissing: Conditions changed, and Node or the simulator is not installed.
    """
    pairs = list(_pairs(old, new))
    changed = [(before, after) for _, before, after in pairs if NEVER not in {before, after}]
    verdicts: dict[tuple[Condition, Condition], Verdict] = {}
    if changed:
        with simulator(project) as running:
            judge = Judge(running, changed)
            verdicts = {pair: judge.compare(*pair) for pair in set(changed)}
    steps = [step for pair in pairs if (step := _step(pair, verdicts)) is not None]
    order = list(Kind)
    return Difference(old, new, sorted(steps, key=lambda step: (order.index(step.kind), step.entry.cell)))


def _pairs(old: Matrix, new: Matrix) -> Iterator[tuple[Access, Condition, Condition]]:
    before = {entry.cell: entry for entry in old.entries}
    after = {entry.cell: entry for entry in new.entries}
    for cell in sorted({*before, *after}):
        entry = after.get(cell) or before[cell]
        conditions = _effective(before, entry), _effective(after, entry)
        if conditions[0] != conditions[1]:
            yield entry, *conditions


def _effective(entries: dict[tuple[str, str, str, str, str], Access], entry: Access) -> Condition:
    resource, principal, target, _, action = entry.cell
    found = entries.get(entry.cell) or entries.get((resource, principal, target, "", action))
    return found.condition if found else NEVER


def _step(
    pair: tuple[Access, Condition, Condition], verdicts: dict[tuple[Condition, Condition], Verdict]
) -> Step | None:
    entry, before, after = pair
    if before == NEVER:
        return Step(Kind.GAINED, entry, before, after)
    if after == NEVER:
        return Step(Kind.LOST, entry, before, after)
    verdict = verdicts[before, after]
    return None if verdict.change is Change.SAME else Step(Kind(verdict.change), entry, before, after, verdict)
