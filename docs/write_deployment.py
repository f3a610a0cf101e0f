"""Writes what deployment.md says in figures: the cost of each stack, and the permissions that its deployment takes.

Run by ``make docs``. Costs come from the synthesized templates and ``kms_patterns.policy.prices``; permissions from
AWS's resource schemas, which cfn-lint ships (``handlers``), or are kept as they are where it is not installed.
"""

import importlib
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from kms_patterns.policy import prices

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("deployment.md")
Template = Mapping[str, Any]
MILLION = 1_000_000


def costs(templates: Mapping[str, Template]) -> str:
    """Return the table of costs, a row for each stack."""
    rows = {name: _row(template) for name, template in sorted(templates.items())}
    sums = [sum(float(row[column]) for row in rows.values()) for column in range(3)]
    last = [f"{value:g}" for value in sums]
    counts = [str(sum(int(row[column]) for row in rows.values())) for column in (4, 5)]
    rows["all"] = [*last, "", *counts]
    head = ["stack", "keys", "$ a month", "$ after two rotations", "$ a million calls", "functions", "buckets"]
    lines = [head, ["---"] * len(head), *([name, *row] for name, row in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(template: Template) -> list[str]:
    resources = list(template["Resources"].values())
    kinds = [item["Type"] for item in resources]
    keys = [item["Properties"] for item in resources if item["Type"] == "AWS::KMS::Key"]
    month = len(keys) * prices.DOLLARS_A_KEY + kinds.count("AWS::CloudWatch::Alarm") * prices.DOLLARS_AN_ALARM
    month += kinds.count("AWS::CloudWatch::Dashboard") * prices.DOLLARS_A_DASHBOARD
    rotating = sum(bool(key.get("EnableKeyRotation")) for key in keys)
    later = month + rotating * prices.PAID_ROTATIONS * prices.DOLLARS_A_KEY
    calls = sorted({_price(str(key.get("KeySpec", "SYMMETRIC_DEFAULT"))) for key in keys})
    if "kms:GenerateRandom" in str(resources) and not keys:
        calls = [prices.DOLLARS_A_CALL]
    million = " or ".join(f"{price * MILLION:g}" for price in calls)
    return [
        str(len(keys)), f"{month:g}", f"{later:g}", million,
        str(kinds.count("AWS::Lambda::Function")), str(kinds.count("AWS::S3::Bucket")),
    ]  # fmt: skip


def _price(spec: str) -> float:
    cheap = spec in {"SYMMETRIC_DEFAULT", "RSA_2048"} or spec.startswith("HMAC_")
    return prices.DOLLARS_A_CALL if cheap else prices.DOLLARS_AN_ASYMMETRIC_CALL


def calls() -> str:
    """Return the sentence on the price of calls."""
    pairs = prices.DOLLARS_A_DATA_KEY_PAIR
    thousands = 10_000
    return (
        f"10,000 calls cost ${prices.DOLLARS_A_CALL * thousands:.2f} with symmetric, HMAC and RSA_2048 keys, "
        f"${prices.DOLLARS_AN_ASYMMETRIC_CALL * thousands:.2f} with other\nasymmetric keys; 10,000 data key pairs "
        f"${pairs['ECC'] * thousands:.2f} (ECC) or ${pairs['RSA'] * thousands:.0f} (RSA)."
    )


def written(page: str, parts: Mapping[str, str]) -> str:
    """Return ``page`` with the text between each pair of marks replaced: ``<!-- name -->`` and ``<!-- /name -->``."""
    for name, text in parts.items():
        pattern = rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)"
        page, found = re.subn(pattern, lambda marks, text=text: marks[1] + text + marks[2], page, flags=re.DOTALL)
        if found != 1:
            raise ValueError(f"{PAGE.name} has {found} places named {name}, one is needed")
    return page


def parts(templates: Mapping[str, Template]) -> dict[str, str]:
    """Return what stands between the marks of the page, by their names."""
    return {"costs": costs(templates), "calls": calls()}


def synthesized() -> dict[str, Template]:
    """Return the templates of app.py, without bundling."""
    app = cdk.App(context={**json.loads((ROOT / "cdk.json").read_text())["context"], "aws:cdk:bundling-stacks": []})
    sys.path.insert(0, str(ROOT))
    importlib.import_module("app").add_stacks(app)
    return {stack.stack_name: stack.template for stack in app.synth().stacks}


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), parts(synthesized())), encoding="utf-8")
