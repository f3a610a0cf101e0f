"""What a key has granted so far: repeated grants extend the statements that are there."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aws_cdk import aws_iam as iam

from kms_patterns.policy.conditions import Conditions


@dataclass
class _Entry:
    grant: iam.Grant
    statement: iam.PolicyStatement
    conditions: str

    def extend(self, actions: Sequence[str]) -> None:
        missing = [action for action in actions if action not in self.statement.actions]
        if missing:
            self.statement.add_actions(*missing)

    @property
    def untouched(self) -> bool:
        """Whether nobody narrowed the statement after the grant; extending it would narrow the new grant too."""
        return canonical(self.statement.conditions) == self.conditions


class StatementLedger:
    """One statement per subject and conditions, however often it is granted."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, ...], _Entry] = {}

    def grant(
        self,
        subject: tuple[str, ...],
        actions: Sequence[str],
        conditions: Conditions,
        write: Callable[[], tuple[iam.Grant, iam.PolicyStatement]],
    ) -> iam.Grant:
        """Extend the statement of ``subject`` under ``conditions`` with ``actions``, or ``write`` it.

        Args:
            subject: Whom the statement is about.
            actions: Exact actions.
            conditions: Its conditions: another set of conditions is another statement, or one would widen the other.
            write: Writes the first statement, with ``actions``, and returns it with its grant.
        """
        key = (*subject, canonical(conditions))
        entry = self._entries.get(key)
        if entry is not None and entry.untouched:
            entry.extend(actions)
            return entry.grant
        grant, statement = write()
        self._entries[key] = _Entry(grant, statement, canonical(statement.conditions))
        return grant


def canonical(conditions: object) -> str:
    """Return a text that is equal for equal conditions; a token stands in it as its placeholder."""
    return json.dumps(conditions, sort_keys=True)
