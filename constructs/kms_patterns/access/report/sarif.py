"""What a review objects to as SARIF 2.1.0, which code-scanning services read.

See https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html.
"""

import json
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kms_patterns.access.findings import RULES, Violation
from kms_patterns.access.report.visible import visible, visible_json


def as_sarif(found: Sequence[Violation], files: Mapping[str, Path], *, base: Path | None = None) -> str:
    """Return the objections as a SARIF log.

    Args:
        found: The objections.
        files: The template of each stack.
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
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return visible_json(json.dumps(log, indent=1, ensure_ascii=False)) + "\n"


def _result(item: Violation, rule: int, file: Path, base: Path) -> dict[str, Any]:
    wrong, remedy = RULES[item.rule]
    place = file.resolve()
    address = place.relative_to(base.resolve()).as_posix() if place.is_relative_to(base.resolve()) else place.as_uri()
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
    key = re.compile(rf"""^\s*["']?{re.escape(item.logical_id)}["']?\s*:""")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return next((number for number, line in enumerate(lines, 1) if key.match(line)), 1)
