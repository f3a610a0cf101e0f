"""The report as one self-contained page: a heat map per resource, the reason of every cell, no network."""

import json
from importlib.resources import files
from typing import Any

from kms_patterns.access.evaluate.comparison import Difference
from kms_patterns.access.evaluate.expressions import NEVER
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.report.difference_text import lines
from kms_patterns.access.report.sections import FOOTER
from kms_patterns.access.report.wording import in_words


def matrix_as_html(matrix: Matrix) -> str:
    """Return the report as an HTML page."""
    return _page("Who can do what", {"view": "matrix", "footer": list(FOOTER), **_matrix(matrix)})


def difference_as_html(difference: Difference) -> str:
    """Return the comparison as an HTML page: the heat map of the new state with every change marked."""
    changes = [
        {
            "kind": line.kind,
            "who": line.who,
            "what": line.what,
            "actions": list(line.actions),
            "old": None if line.step.old == NEVER else in_words(line.step.old),
            "new": None if line.step.new == NEVER else in_words(line.step.new),
        }
        for line in lines(difference)
    ]
    marks = [[step.entry.resource, step.entry.principal, step.entry.action, step.kind] for step in difference.steps]
    data = {"view": "difference", "footer": list(FOOTER), "changes": changes, "marks": marks}
    return _page("What changed", {**data, **_matrix(difference.new)})


def _matrix(matrix: Matrix) -> dict[str, Any]:
    conditions: dict[str, int] = {}
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
        "statements": [[item.policy, item.index, item.text] for item in matrix.statements],
        "unresolved": [[item.where, item.what, item.why] for item in matrix.unresolved],
    }


def _page(title: str, data: dict[str, Any]) -> str:
    folder = files("kms_patterns.access.report").joinpath("page")
    parts = {name: folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "page.js")}
    # "</" would end the script element that holds the data, whatever the JSON says.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    page = parts["page.html"].replace("%TITLE%", title).replace("%STYLE%", parts["page.css"])
    return page.replace("%DATA%", text).replace("%SCRIPT%", parts["page.js"])
