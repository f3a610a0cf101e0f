"""The difference between two matrices: what was gained and lost, and which conditions were widened or narrowed."""

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from kms_patterns.access.evaluate.access_conditions import ALWAYS, NEVER, Condition
from kms_patterns.access.evaluate.entries import (
    ONLY_GIVES,
    ONLY_LIMITS,
    Access,
    Escalation,
    Who,
    is_part,
    normal_text,
    statement_of,
)
from kms_patterns.access.evaluate.simulator import simulator
from kms_patterns.access.evaluate.widening import Change, Judge, Verdict
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import ADMINISTRATOR, ALONE, KEPT, OUTSIDE, PLACE, WITHOUT_POLICY, PrincipalKind

_Text = tuple[str, str]


@dataclass(frozen=True, order=True)
class ChangedStatement:
    """A statement that only one of two matrices has.

    Attributes:
        policy: Where it stands.
        added: Whether it is new; else it was removed.
        text: The statement as JSON text.
        within: Whether one that only the other matrix has names all of its principals, actions and resources.
    """

    policy: str
    added: bool
    text: str
    within: bool = False

    @property
    def widens(self) -> bool:
        """Whether it may give access: a new statement that does not deny, or one removed that does not allow."""
        found = statement_of(self.text)
        if "Effect" in found or not found:
            return not self.within and str(found.get("Effect")) != ("Deny" if self.added else "Allow")
        return not all(map((ONLY_LIMITS if self.added else ONLY_GIVES).match, found))


def changed_statements(old: Matrix, new: Matrix) -> list[ChangedStatement]:
    """Return the statements that only one of two matrices has, sorted; what stays on AWS where it is gone."""
    before, after = _counted(old, new.stacks), _counted(new, old.stacks)
    come, gone = [item for item in after - before if KEPT not in statement_of(item[1])], [*(before - after)]
    return sorted([*_listed(come, gone, added=True), *_listed(gone, come, added=False)])


def _counted(matrix: Matrix, others: Container[str]) -> Counter[_Text]:
    """Return how often each statement is there; where a stack is deployed, only if the other matrix has the stack."""
    kept = (it for it in matrix.policies if not it.policy.endswith(PLACE) or it.policy.removesuffix(PLACE) in others)
    return Counter((item.policy, normal_text(item.text)) for item in kept)


def _listed(found: Sequence[_Text], others: Sequence[_Text], *, added: bool) -> Iterator[ChangedStatement]:
    for policy, text in found:
        within = any(place == policy and is_part(statement_of(text), statement_of(other)) for place, other in others)
        yield ChangedStatement(policy, added, text, within)


class Kind(StrEnum):
    """What happened to one action of one principal on one resource."""

    GAINED = "gained"
    WIDENED = "widened"
    CHANGED = "changed"
    NARROWED = "narrowed"
    LOST = "lost"


_GAINS = {Kind.GAINED, Kind.WIDENED, Kind.CHANGED}


@dataclass(frozen=True)
class Step:
    """One change of access.

    Attributes:
        kind: What happened.
        entry: The access as it is now; as it was, if it was lost.
        old: The condition before, ``NEVER`` if access was denied.
        new: The condition now, ``NEVER`` if access is denied.
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
        wider = any(step.kind in _GAINS for step in self.steps)
        unseen = any(item.widens for item in self.unseen_statements)
        return wider or unseen or bool(self.newly_unresolved or self.other_keys or self.new_escalations)

    @cached_property
    def new_escalations(self) -> list[Escalation]:
        """Paths to the use of a key that were not there, or that work by more methods or under other conditions."""
        before = {item.cell: item for item in self.old.escalations}
        return [item for item in self.new.escalations if _is_wider(before.get(item.cell), item)]

    @cached_property
    def lost_escalations(self) -> list[Escalation]:
        """Paths to the use of a key that are no longer there."""
        after = {item.cell for item in self.new.escalations}
        return [item for item in self.old.escalations if item.cell not in after]

    @cached_property
    def unseen_statements(self) -> list[ChangedStatement]:
        """Statements that changed, of which no change of access tells.

        A loss, and what a principal reaches that only one side knows, tell of the statements that they rest on, and not
        of others of the same policy that may give access.
        """
        cells = {entry.cell for entry in self.new.entries}
        known = {who.id for who in self.old.principals} & {who.id for who in self.new.principals}
        told = [
            (matrix.statements[number], step.entry.principal in known and step.kind in _GAINS)
            for step in self.steps
            for matrix in [self.new if step.entry.cell in cells else self.old]  # see _pairs
            for number in step.entry.statements
        ]
        exact = {(item.policy, normal_text(item.text)) for item, _ in told}
        whole = {widens: {item.policy for item, gains in told if gains or not widens} for widens in (True, False)}
        new, lost = ([f"{it.principal} " for it in found] for found in (self.new_escalations, self.lost_escalations))
        paths = {True: tuple(new), False: (*new, *lost)}
        changed = [it for it in changed_statements(self.old, self.new) if (it.policy, it.text) not in exact]
        return [
            it for it in changed if not (it.policy in whole[it.widens] or f"{it.policy} ".startswith(paths[it.widens]))
        ]

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
        added = {*self.new.unresolved} - {*self.old.unresolved}
        return sorted(f"{item.where}: {item.what} ({item.why})" for item in added)


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
    return Difference(old, new, sorted(steps, key=lambda step: (list(Kind).index(step.kind), step.entry.cell)))


def _pairs(old: Matrix, new: Matrix) -> Iterator[tuple[Access, Condition, Condition]]:
    people = {who.id: who for matrix in (old, new) for who in matrix.principals}
    before, after = _Side(old, people), _Side(new, people)
    for cell in sorted({*before.entries, *after.entries}):
        entry = after.entries.get(cell) or before.entries[cell]
        conditions = before.effective(entry), after.effective(entry)
        if conditions[0] != conditions[1]:
            yield entry, *conditions


class _Side:
    """One of the two matrices, asked for the access of principals of either.

    A principal that a policy names, and that the other matrix does not know, could there do what any of its kind can:
    one of the account without a policy, one with every permission, or one of another account.
    """

    def __init__(self, matrix: Matrix, people: Mapping[str, Who]) -> None:
        self.entries = {entry.cell: entry for entry in matrix.entries}
        self._known = {who.id for who in matrix.principals}
        self._people = people

    def _like(self, principal: str) -> str:
        """Return whose access a principal has that no policy of this matrix names."""
        if principal in self._known or self._people[principal].kind is not PrincipalKind.NAMED:
            return principal
        if principal.endswith(ALONE):
            return WITHOUT_POLICY
        return ADMINISTRATOR if f"{principal} {ALONE}" in self._people else OUTSIDE

    def effective(self, entry: Access) -> Condition:
        resource, principal, target, scope, action = entry.cell
        who = self._like(principal)
        found = self.entries.get((resource, who, target, scope, action))
        found = found or self.entries.get((resource, who, target, "", action))
        return found.condition if found else NEVER


def _is_wider(before: Escalation | None, after: Escalation) -> bool:
    if before is None:
        return True
    methods = [{name for step in item.path for name in step.methods} for item in (before, after)]
    return not methods[1] <= methods[0] or before.condition not in {after.condition, ALWAYS}


def _step(
    pair: tuple[Access, Condition, Condition], verdicts: dict[tuple[Condition, Condition], Verdict]
) -> Step | None:
    entry, before, after = pair
    if NEVER in {before, after}:
        return Step(Kind.GAINED if before == NEVER else Kind.LOST, entry, before, after)
    verdict = verdicts[before, after]
    return None if verdict.change is Change.SAME else Step(Kind(verdict.change), entry, before, after, verdict)
