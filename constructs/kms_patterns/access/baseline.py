"""A baseline: the findings that a project knows and accepts until a date, one entry each, in a file of TOML.

An entry is bound to its finding by a fingerprint of the statements, principals, keys and conditions behind it: what
changed is another finding. Its rule, resource and detail must be those of the finding, so that it reads as what it is.
"""

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any

from kms_patterns.access.findings import Violation
from kms_patterns.access.report.wording import visible

_HEAD = """# Known and accepted findings, read by `kms-patterns access report SOURCE --fail-on all --baseline FILE`.
# Each needs an owner, a reason, and the last day (UTC) on which it is accepted, such as 2027-01-31 without quotes.
"""


class NotABaseline(ValueError):
    """A baseline file that cannot be read; the message names the file, the entry and what to write."""


@dataclass(frozen=True)
class Entry:
    """One known finding.

    Attributes:
        rule: The rule that objects.
        resource: Stack id and logical id of the resource that holds the policy, as ``Stack/LogicalId``.
        detail: The finding's own words.
        fingerprint: ``Violation.fingerprint``.
        owner: Who answers for it.
        reason: Why it is accepted.
        expires: The last day, in UTC, on which it is accepted.
    """

    rule: str
    resource: str
    detail: str
    fingerprint: str
    owner: str
    reason: str
    expires: date

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.rule}: {self.resource}: {self.detail}"


@dataclass(frozen=True)
class Judgement:
    """Findings beside a baseline.

    Attributes:
        known: The entry of each finding that is accepted today.
        expired: Entries whose day has passed: their findings are not accepted.
        stale: Entries without such a finding, each with the reason.
    """

    known: Mapping[Violation, Entry]
    expired: Sequence[Entry]
    stale: Sequence[tuple[Entry, str]]


def read_baseline(path: Path) -> list[Entry]:
    """Return the entries of the file ``path``.

    Raises:
        NotABaseline: It is not TOML, or an entry lacks a member, repeats another, or has one that is not known.
        OSError: It cannot be read.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NotABaseline(f"{path}: not TOML in UTF-8: {error}") from error
    listed = document.get("finding", [])
    if set(document) - {"finding"} or not isinstance(listed, list):
        raise NotABaseline(f"{path}: a baseline has only [[finding]] entries")
    entries = [_entry(f"{path}: entry {number}", item) for number, item in enumerate(listed, 1)]
    prints = [entry.fingerprint for entry in entries]
    for number, entry in enumerate(entries, 1):
        if prints.index(entry.fingerprint) != number - 1:
            raise NotABaseline(f"{path}: entry {number} has the fingerprint of an entry before it: remove one")
    return entries


def _entry(place: str, item: Mapping[str, Any]) -> Entry:
    names = [field.name for field in fields(Entry)]
    if not isinstance(item, dict) or set(item) != set(names):
        raise NotABaseline(f"{place} must have {', '.join(names)} and nothing else")
    for name in names[:-1]:
        if not isinstance(item[name], str) or not item[name].strip():
            raise NotABaseline(f"{place}: {name} {item[name]!r} is not a text: an accepted finding says its {name}")
    if not isinstance(item["expires"], date) or isinstance(item["expires"], datetime):
        raise NotABaseline(f"{place}: expires {item['expires']!r} is not a date: write one such as 2027-01-31")
    return Entry(**item)


def judge(found: Iterable[Violation], entries: Iterable[Entry], today: date) -> Judgement:
    """Return which of all findings are accepted on the day ``today``, and which entries no longer hold."""
    by_print = {item.fingerprint: item for item in found}
    texts = {_words(item) for item in by_print.values()}
    known: dict[Violation, Entry] = {}
    expired: list[Entry] = []
    stale: list[tuple[Entry, str]] = []
    for entry in entries:
        item = by_print.get(entry.fingerprint)
        if item is None:
            changed = (entry.rule, entry.resource, entry.detail) in texts
            why = "its statement, condition, principals or keys changed" if changed else "it is not found any more"
            stale.append((entry, why))
        elif _words(item) != (entry.rule, entry.resource, entry.detail):
            stale.append((entry, f"its fingerprint is that of another finding, {': '.join(_words(item))}"))
        elif entry.expires < today:
            expired.append(entry)
        else:
            known[item] = entry
    return Judgement(known, expired, stale)


def _words(item: Violation) -> tuple[str, str, str]:
    return visible(item.rule), visible(f"{item.stack}/{item.logical_id}"), visible(item.detail)


def judgement_as_text(judged: Judgement) -> str:
    """Return one line for what is accepted, and for each entry that is not, what to do."""
    out = [
        f"baseline: expired on {entry.expires} ({entry.owner}: {entry.reason}): {entry}. Mend it or agree on a new day."
        for entry in judged.expired
    ]
    out += [
        f"baseline: stale, {why}: {entry}. Review what is found and remove the entry." for entry, why in judged.stale
    ]
    if judged.known:
        first = min(entry.expires for entry in judged.known.values())
        out.append(f"baseline: {len(judged.known)} known, the first until {first}")
    return "".join(f"{visible(line)}\n" for line in out)


def as_baseline(found: Iterable[Violation], known: Mapping[Violation, Entry]) -> str:
    """Return a baseline of ``found``: entries that are ``known`` as they are, the others with members to fill in."""
    out = [_HEAD]
    for item in found:
        rule, resource, detail = _words(item)
        entry = known.get(item)
        members = {"rule": rule, "resource": resource, "detail": detail, "fingerprint": item.fingerprint}
        members |= {"owner": entry.owner if entry else "", "reason": entry.reason if entry else ""}
        lines = [f"{name} = {json.dumps(text, ensure_ascii=False)}" for name, text in members.items()]
        out.append("\n".join(["[[finding]]", *lines, f"expires = {entry.expires if entry else json.dumps('')}", ""]))
    return "\n".join(out)
