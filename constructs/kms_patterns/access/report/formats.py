"""The forms of a report and of the answers to single questions, by name; objections also as SARIF 2.1.0.

See https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html.
"""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kms_patterns.access.baseline import Entry
from kms_patterns.access.evaluate.access_conditions import Condition, to_json
from kms_patterns.access.evaluate.comparison import Difference
from kms_patterns.access.evaluate.entries import Access, What
from kms_patterns.access.findings import RULES, Violation
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.questions.explanation import Explanation
from kms_patterns.access.questions.filters import Reader
from kms_patterns.access.report.difference_text import difference_as_markdown, difference_as_text, difference_document
from kms_patterns.access.report.html import difference_as_html, matrix_as_html
from kms_patterns.access.report.markdown import as_markdown, code, label, when
from kms_patterns.access.report.matrix_json import write
from kms_patterns.access.report.sections import labelled
from kms_patterns.access.report.text import as_text
from kms_patterns.access.report.wording import in_words, mapped, quoted, visible, visible_json


def render_explanation(given: Explanation, form: str) -> str:
    """Return why a principal can, or cannot, do something, as ``text``, ``markdown`` or ``json``."""
    if form == "json":
        return _json(_explanation_document(given))
    shown = mapped(given)
    return _explanation_as_markdown(shown) if form == "markdown" else _explanation_as_text(shown)


def _explanation_document(given: Explanation) -> dict[str, Any]:
    return {
        **{name: getattr(given, name) for name in ("principal", "action", "resource")},
        "allowed": given.allowed,
        "access": [{"scope": entry.scope, "condition": to_json(entry.condition)} for entry in given.found],
        "policies": [
            {"policy": it.policy, "says": it.says, "condition": None if it.condition is None else to_json(it.condition)}
            for it in given.parts
        ],
        "missing": [list(way) for way in given.missing],
    }


def _can(shown: Explanation) -> str:
    return "can" if shown.allowed else "cannot"


def _explanation_as_markdown(shown: Explanation) -> str:
    who, action, resource = (code(text, in_table=False) for text in (shown.principal, shown.action, shown.resource))
    found = [f"- {_objects(entry.scope)}{when(entry.condition)}" for entry in shown.found]
    rows = [
        f"| {code(part.policy)} | {code(part.says)} | {'' if part.condition is None else when(part.condition)} |"
        for part in shown.parts
    ]
    missing = [f"- {' and '.join(code(step, in_table=False) for step in way)}" for way in shown.missing]
    return "\n".join(
        [
            f"**{who} {_can(shown)} {action} on {resource}**",
            *("", *found, "", "| policy | its part | when |", "|---|---|---|", *rows, ""),
            *([] if shown.allowed else ["Missing, any of:" if missing else f"Missing: {_NO_CHANGE}", "", *missing, ""]),
        ]
    )


_NO_CHANGE = "no change of these policies alone would allow it"


def _explanation_as_text(shown: Explanation) -> str:
    out = [f"{shown.principal} {_can(shown)} {shown.action} on {shown.resource}"]
    for entry in shown.found:
        out += _wrapped(f"  {_scope(entry)}{_when(entry.condition)}")
    out.append("policies")
    for part in shown.parts:
        condition = "" if part.condition is None else f", {_when(part.condition)}"
        out += _wrapped(f"  {part.policy}: {part.says}{condition}")
    if not shown.allowed:
        out.append("missing")
        ways = [" and ".join(way) for way in shown.missing] or [_NO_CHANGE]
        out += [line for place, way in enumerate(ways) for line in _wrapped(f"  {'or ' if place else ''}{way}")]
    return "\n".join([*out, ""])


def render_readers(bucket: What, readers: Sequence[Reader], form: str) -> str:
    """Return who can read a bucket's objects, as ``text``, ``markdown`` or ``json``."""
    if form == "json":
        found = [
            {
                "principal": it.who.id,
                "action": it.action,
                "scope": it.scope,
                "condition": to_json(it.condition),
                "keyAsked": it.key,
            }
            for it in readers
        ]
        return _json({"bucket": bucket.id, "encryptedBy": bucket.encrypted_by, "readers": found})
    text = _readers_as_text(mapped(bucket), mapped(list(readers)))
    if form == "text":
        return text
    rows = [
        f"| {label(it.who, '')}{_version(it)} | {_objects(it.scope)} | {when(it.condition)} |"
        for it in mapped(list(readers))
    ]
    said = [line for line in text.splitlines() if not line.startswith(" ")]
    table = ["| who | objects | when |", "|---|---|---|", *(rows or ["| no principal | | |"])]
    return "\n".join([f"**{code(said[0], in_table=False)}**", "", *table, "", *said[1:], ""])


def _objects(scope: str | None) -> str:
    return "" if scope is None else f"objects {code(scope)} "


def _readers_as_text(what: What, found: Sequence[Reader]) -> str:
    under = f"encrypted under {quoted(what.encrypted_by)}" if what.encrypted_by else "not under a KMS key"
    out = [f"content of bucket {quoted(what.id)}, its objects {under} by default"]
    joined = any(reader.key for reader in found)
    for reader in found:
        scope = f"objects {quoted(reader.scope)}: " if reader.scope else ""
        out += _wrapped(f"  {labelled(reader.who, '')}{_version(reader)}: {scope}{_when(reader.condition)}")
    if not found:
        out.append("  no principal")
    if what.encrypted_by and found and not joined:
        out.append("which key of the assembly it is, if it is one, is not known: who may use it was not asked")
    out.append("an upload may name another key; a grant made at run time is not seen")
    return "\n".join([*out, ""])


def _version(reader: Reader) -> str:
    return "" if reader.action == "s3:GetObject" else " by version (s3:GetObjectVersion)"


def violations_as_text(found: Sequence[Violation]) -> str:
    """Return what a review objects to, one line each, and what to do about it."""
    out: list[str] = []
    for item in mapped(list(found)):
        wrong, remedy = RULES[item.rule]
        out += _wrapped(f"{item.rule}: {item.stack}/{item.logical_id}: {wrong}: {item.detail}. {remedy}.")
    return "\n".join([*out, ""])


def _when(condition: Condition) -> str:
    text = in_words(condition)
    return text if text in {"always", "never"} else f"when {text}"


def _scope(entry: Access) -> str:
    return "" if entry.scope is None else f"objects {quoted(entry.scope)}: "


def _wrapped(text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        text, 110, subsequent_indent=" " * 6, break_long_words=False, break_on_hyphens=False, replace_whitespace=False
    )


def render(matrix: Matrix, form: str) -> str:
    """Return the report as ``text``, ``markdown``, ``json`` or ``html``."""
    forms = {"text": as_text, "markdown": as_markdown, "json": write, "html": matrix_as_html}
    return forms[form](matrix)


def render_difference(difference: Difference, form: str, *, link: str = "") -> str:
    """Return the comparison as ``text``, ``markdown`` (with a ``link`` to the whole report), ``json`` or ``html``."""
    if form == "markdown":
        return difference_as_markdown(difference, link=link)
    if form == "json":
        return _json(difference_document(difference))
    forms = {"text": difference_as_text, "html": difference_as_html}
    return forms[form](difference)


def as_sarif(
    found: Sequence[Violation],
    files: Mapping[str, Path],
    *,
    accepted: Mapping[Violation, Entry] | None = None,
    base: Path | None = None,
) -> str:
    """Return the objections as a SARIF log.

    Args:
        found: The objections.
        files: The template of each stack.
        accepted: The entry of the baseline for each objection that is suppressed.
        base: Addresses of files start here; defaults to the current folder.
    """
    names = sorted(RULES)
    rules = [
        {"id": name, "shortDescription": {"text": RULES[name][0]}, "help": {"text": RULES[name][1]}} for name in names
    ]
    driver = {
        "name": "kms-patterns",
        "version": version("cdk-kms-patterns"),
        "informationUri": "https://docs.aws.amazon.com/kms/latest/developerguide/least-privilege.html",
        "rules": rules,
    }
    results = [_result(item, names.index(item.rule), files[item.stack], base or Path.cwd()) for item in found]
    for item, result in zip(found, results, strict=True):
        if entry := (accepted or {}).get(item):
            reason = visible(f"{entry.reason} ({entry.owner}, until {entry.expires})")
            result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": reason}]
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return _json(log)


def _json(document: object) -> str:
    return visible_json(json.dumps(document, indent=1, ensure_ascii=False)) + "\n"


def _result(item: Violation, rule: int, file: Path, base: Path) -> dict[str, Any]:
    wrong, remedy = RULES[item.rule]
    place = file.resolve()
    inside = place.is_relative_to(base.resolve())
    address = quote(place.relative_to(base.resolve()).as_posix()) if inside else place.as_uri()
    return {
        "ruleId": item.rule,
        "ruleIndex": rule,
        "level": "error",
        "message": {"text": visible(f"{wrong}: {item.detail}. {remedy}.")},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": address}, "region": {"startLine": _line(file, item)}},
                "logicalLocations": [
                    {"fullyQualifiedName": visible(f"{item.stack}/{item.logical_id}"), "kind": "resource"}
                ],
            }
        ],
        "partialFingerprints": {"statement/v1": visible(f"{item.rule} {item.stack}/{item.logical_id} {item.detail}")},
    }


def _line(file: Path, item: Violation) -> int:
    """Return the line of the template that starts the resource; 1 if it is made by a transform."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    number = 0
    for name in ("Resources", item.logical_id):
        key = re.compile(rf"""^\s*["']?{re.escape(name)}["']?\s*:""")
        number = next((place for place, line in enumerate(lines[number:], number + 1) if key.match(line)), 0)
    return number or 1
