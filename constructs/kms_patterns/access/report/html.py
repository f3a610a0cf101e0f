"""The report as one self-contained page: a heat map per resource, the reason of every cell, no network."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from importlib.resources import files
from typing import Any

from kms_patterns.access.evaluate.access_conditions import NEVER
from kms_patterns.access.evaluate.comparison import Difference
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.report.difference_lines import besides, lines, stacks_said
from kms_patterns.access.report.sections import footer
from kms_patterns.access.report.wording import escalation_text, in_words, mapped, visible_json

_PLACE = re.compile(r"%([A-Z_]+)%")
_IN_SCRIPT = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026"}


def matrix_as_html(matrix: Matrix) -> str:
    """Return the report as an HTML page."""
    return _page("Who can do what", {"view": "matrix", **_matrix(matrix)})


def difference_as_html(difference: Difference) -> str:
    """Return the comparison as an HTML page: the heat map of the new state with every change marked."""
    shown = mapped(difference)
    changes = [
        {
            "kind": line.kind,
            "who": line.who,
            "what": line.what,
            "actions": list(line.actions),
            "old": None if line.step.old == NEVER else in_words(line.step.old),
            "new": None if line.step.new == NEVER else in_words(line.step.new),
            "examples": [f"{name} {text}" for name, text in line.conditions if name.startswith("e.g.")],
        }
        for line in lines(shown)
    ]
    marks = [[step.entry.resource, step.entry.principal, step.entry.action, step.kind] for step in shown.steps]
    lists: dict[str, Any] = {
        "besides": [*([("stacks", said)] if (said := stacks_said(difference)) else []), *besides(difference)],
        "otherKeys": shown.other_keys,
        "newlyUnresolved": shown.newly_unresolved,
    }
    data = {"view": "difference", "changes": changes, "marks": marks, **lists}
    return _page("What changed", {**data, **_matrix(difference.new)})


def _matrix(given: Matrix) -> dict[str, Any]:
    conditions: dict[str, int] = {}
    matrix = mapped(replace(given, statements=()))
    return {
        "principals": [[who.id, who.kind, who.label, who.stack] for who in matrix.principals],
        "resources": [
            [what.id, what.kind, what.label, what.stack, what.encrypted_by, what.acts_as] for what in matrix.resources
        ],
        "actions": {
            kind: [[action.name, action.target, action.group] for action in actions]
            for kind, actions in matrix.actions.items()
        },
        "cells": [
            [
                entry.resource,
                entry.principal,
                entry.action,
                entry.target,
                entry.scope,
                conditions.setdefault(in_words(entry.condition), len(conditions)),
                list(entry.statements),
            ]
            for entry in matrix.entries
        ],
        "conditions": list(conditions),
        "statements": [[mapped(item.policy), item.index, visible_json(item.text)] for item in given.statements],
        "escalations": [[item.resource, item.principal, escalation_text(item)] for item in matrix.escalations],
        "unresolved": [[item.where, item.what, item.why] for item in matrix.unresolved],
        "only": matrix.only,
        "footer": list(footer(matrix)),
    }


def _page(title: str, data: dict[str, Any]) -> str:
    """Fill the page in one pass, so that nothing in the data is taken for a place to fill."""
    folder = files("kms_patterns.access.report").joinpath("page")
    page, script = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.html", "page.js"))
    style = page.partition("<style>")[2].partition("</style>")[0]
    content = {
        "TITLE": title,
        "SCRIPT": script,
        "DATA": embedded(data),
        "STYLE_HASH": _hash(style),
        "SCRIPT_HASH": _hash(script),
    }
    return _PLACE.sub(lambda place: content[place[1]], page)


def embedded(data: Any) -> str:
    """Return ``data`` as JSON that a script element holds: no character of it can end the element or open another."""
    text = visible_json(json.dumps(data, ensure_ascii=False, separators=(",", ":")))
    return "".join(_IN_SCRIPT.get(letter, letter) for letter in text)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
