"""The matrix arranged as reports show it: per resource and principal, actions with the same condition together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kms_patterns.access.evaluate.access_conditions import NEVER, AllOf, Condition, all_of, renamed
from kms_patterns.access.evaluate.entries import Access, What, Who
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import PrincipalKind, ResourceKind
from kms_patterns.access.report.wording import quoted

SYNTHETIC = (PrincipalKind.ADMINISTRATOR, PrincipalKind.ANY_ROLE, PrincipalKind.OUTSIDER)
_ORDER = {kind: place for place, kind in enumerate(PrincipalKind)}
_GROUPS = ("use", "delegate", "administer", "inspect", "object", "bucket", "invoke", "function", "assume")


@dataclass(frozen=True)
class Row:
    """Actions of one group that a principal reaches under one condition.

    Attributes:
        group: What the actions are about.
        scope: A pattern of object keys, or None.
        actions: Names without the service, sorted.
        total: How many actions the group has.
        rest: Whether these are all that no other row of the principal is about.
        condition: When, beyond what the section says of all; ``NEVER`` for a scope cut out of a wider access.
        statements: Indices of the statements that decide.
    """

    group: str
    scope: str | None
    actions: Sequence[str]
    total: int
    rest: bool
    condition: Condition
    statements: tuple[int, ...]


@dataclass(frozen=True)
class Block:
    """What one principal reaches on one resource.

    Attributes:
        who: The principal.
        rows: What it reaches; none: nothing.
        like: Another principal of the section that reaches exactly the same, shown instead of rows.
        for_all: Whether principals that reach exactly the same have no block of their own: what is open to all.
    """

    who: Who
    rows: Sequence[Row]
    like: Who | None = None
    for_all: bool = False

    @property
    def others(self) -> str:
        """Who else the block speaks for, in words to follow the principal's name."""
        return ", and every role without a line of its own" if self.for_all else ""

    @property
    def shared(self) -> Condition | None:
        """The condition that all rows have, None if they differ."""
        conditions = {row.condition for row in self.rows}
        return conditions.pop() if len(conditions) == 1 else None

    @property
    def alarming(self) -> bool:
        """Whether a principal without access by the assembly uses the key, assumes the role, or is from outside."""
        if self.who.kind is PrincipalKind.OUTSIDER:
            return bool(self.rows)
        return self.who.kind in SYNTHETIC and any(row.group in {"use", "key", "assume"} for row in self.rows)


@dataclass(frozen=True)
class Section:
    """One resource with all who reach it, and the three that always exist.

    Attributes:
        what: The resource.
        condition: What every access to it requires.
        blocks: Who reaches what.
    """

    what: What
    condition: Condition
    blocks: Sequence[Block]


def sections(matrix: Matrix, stack: str) -> list[Section]:
    """Return the sections of a stack's keys, buckets, functions and roles, in this order."""
    kinds = list(ResourceKind)
    resources = sorted(
        (what for what in matrix.resources if what.stack == stack), key=lambda what: (kinds.index(what.kind), what.id)
    )
    everyone = sorted(matrix.principals, key=lambda item: (_ORDER[item.kind], item.id))
    return [_section(matrix, what, matrix.by_resource.get(what.id, ()), everyone) for what in resources]


def _section(matrix: Matrix, what: What, given: Sequence[Access], everyone: Sequence[Who]) -> Section:
    short = {
        condition: renamed(condition, lambda value: value.replace(f"<{what.stack}/", "<"))
        for condition in {entry.condition for entry in given}
    }
    common = _common([short[entry.condition] for entry in given if entry.condition != NEVER])
    beyond = {condition: _beyond(renamed_one, common) for condition, renamed_one in short.items()}
    of_principal: dict[str, list[Access]] = {}
    for entry in given:
        of_principal.setdefault(entry.principal, []).append(replace(entry, condition=beyond[entry.condition]))
    blocks: list[Block] = []
    for who in (who for who in everyone if who.id in of_principal or who.kind in SYNTHETIC):
        own = of_principal.get(who.id, [])
        if own or (who.kind in SYNTHETIC and what.kind is not ResourceKind.ROLE):
            found = rows(matrix, what, own)
            like = next(
                (block.who for block in blocks if found and block.who.kind in SYNTHETIC and _same(block.rows, found)),
                None,
            )
            blocks.append(Block(who, found, like if who.kind in SYNTHETIC else None))
    return Section(what, all_of(common), _open_to_all(blocks) if what.kind is ResourceKind.FUNCTION else blocks)


def _open_to_all(blocks: Sequence[Block]) -> list[Block]:
    """Leave out who reaches of a function with a public URL what anyone outside the account does: there are many."""
    outside = next((block for block in blocks if block.who.kind is PrincipalKind.OUTSIDER and block.rows), None)
    if outside is None:
        return list(blocks)
    kept = [block for block in blocks if block.who.kind in SYNTHETIC or not _same(block.rows, outside.rows)]
    return [replace(block, for_all=True) if block is outside and kept != blocks else block for block in kept]


def _same(one: Sequence[Row], other: Sequence[Row]) -> bool:
    return [replace(row, statements=()) for row in one] == [replace(row, statements=()) for row in other]


def _common(conditions: Sequence[Condition]) -> frozenset[Condition]:
    parts = [frozenset(item.items if isinstance(item, AllOf) else (item,)) for item in conditions]
    return frozenset.intersection(*parts) if len(parts) > 1 else frozenset()


def _beyond(condition: Condition, common: frozenset[Condition]) -> Condition:
    items = condition.items if isinstance(condition, AllOf) else (condition,)
    return all_of(item for item in items if item not in common)


def rows(matrix: Matrix, what: What, entries: Sequence[Access]) -> list[Row]:
    """Return ``entries`` of one principal on ``what``, those alike in group, scope and condition as one row.

    Groups that are complete under one condition are shown together, as one row about the key, bucket or objects.
    """
    groups = {(action.name, action.target): action.group for action in matrix.actions[what.kind]}
    sizes = Counter(groups.values())
    together: dict[tuple[str, str | None, Condition], list[Access]] = {}
    for entry in entries:
        group = groups.get((entry.action, entry.target), entry.target)
        together.setdefault((group, entry.scope, entry.condition), []).append(entry)
    reached = Counter((group, scope) for (group, scope, _), alike in together.items() for _ in alike)
    largest = {
        (group, scope): max(len(alike) for (g, s, _), alike in together.items() if (g, s) == (group, scope))
        for group, scope, _ in together
    }
    found = [
        Row(
            group=group,
            scope=scope,
            actions=sorted(entry.action.partition(":")[2] for entry in alike),
            total=sizes[group],
            rest=reached[group, scope] == sizes[group] > 1 and len(alike) == largest[group, scope],
            condition=condition,
            statements=tuple(sorted({number for entry in alike for number in entry.statements})),
        )
        for (group, scope, condition), alike in together.items()
    ]
    return sorted(_joined(found, sizes), key=_row_order)


def _joined(found: Sequence[Row], sizes: Mapping[str, int]) -> list[Row]:
    """Join the rows of a bucket, of its objects or of a function when all their groups are reached in full."""
    result = list(found)
    for target in ("object", "bucket", "function"):
        groups = {group for group in sizes if group.startswith(f"{target} ")}
        for scope, condition in {(row.scope, row.condition) for row in found}:
            parts = [row for row in result if (row.scope, row.condition, row.rest) == (scope, condition, True)]
            parts = [row for row in parts if row.group in groups]
            if groups and {row.group for row in parts} == groups:
                result = [row for row in result if row not in parts]
                result.append(
                    Row(
                        group=target,
                        scope=scope,
                        actions=sorted(name for row in parts for name in row.actions),
                        total=sum(sizes[group] for group in groups),
                        rest=True,
                        condition=condition,
                        statements=tuple(sorted({number for row in parts for number in row.statements})),
                    )
                )
    return result


def _row_order(row: Row) -> tuple[int, str, str, bool, str]:
    place = next((number for number, name in enumerate(_GROUPS) if row.group.startswith(name)), len(_GROUPS))
    return place, row.group, row.scope or "", row.condition == NEVER, repr(row.condition)


def labelled(who: Who, stack: str) -> str:
    """Return how a visible principal is printed in a report on ``stack``."""
    name = who.id.removeprefix(f"{stack}/")
    if who.stack:
        return f"{who.kind} {quoted(name)}"
    return who.label if who.kind in SYNTHETIC else who.label.replace(who.id, quoted(who.id))


def titled(what: What) -> str:
    """Return how a visible resource is printed inside its stack."""
    path = what.id.removeprefix(f"{what.stack}/")
    return quoted(path) + what.label.removeprefix(path) if what.label.startswith(path) else quoted(what.label)


def note(what: What) -> str:
    """Return what access to ``what`` means besides, in brackets: the key that content needs, the role that acts."""
    home = f"{what.stack}/"
    if what.acts_as:
        return f" (its callers act as role {what.acts_as.removeprefix(home)})"
    if what.kind is not ResourceKind.BUCKET:
        return ""
    if what.encrypted_by is None:
        return " (objects are not under a KMS key)"
    keys = " or ".join(name.removeprefix(home) for name in what.encrypted_by.split(" or "))
    return f" (an object's content also needs key {keys})"


_OF_TEMPLATES = (
    "Decided by @cloud-copilot/iam-simulate from synthesized templates, not by AWS. What is not listed is denied.",
    "Not seen here: KMS grants made at run time, service and resource control policies of an organization, policies",
    "attached outside these templates, and that the right to change a policy is the right to what it withholds.",
)
_OF_AN_ACCOUNT = (
    "Decided by @cloud-copilot/iam-simulate from what the account had when it was read, not by AWS. What is not",
    "listed is denied. Not seen here: what changed since, service and resource control policies of an organization,",
    "session policies, and that the right to change a policy is the right to what it withholds.",
)


def footer(matrix: Matrix) -> Sequence[str]:
    """Return what the report cannot prove."""
    return _OF_AN_ACCOUNT if matrix.live else _OF_TEMPLATES
