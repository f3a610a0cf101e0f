"""Writes what deployment.md says in figures: the cost of each stack, and the permissions that its deployment takes.

Run by ``make docs``. Costs come from the synthesized templates and ``kms_patterns.policy.prices``; permissions from
``execution-permissions.json``, which holds what AWS's resource schemas name for each type (``handlers``) and is written
anew where cfn-lint, which ships the schemas, is installed. With names of stacks it prints their execution policy.
"""

import importlib.util
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from kms_patterns.policy import prices

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("deployment.md")
Template = Mapping[str, Any]
MILLION = 1_000_000
PERMISSIONS = Path(__file__).with_name("execution-permissions.json")
_OF_THE_CDK = {"Custom::S3AutoDeleteObjects", "Custom::KmsGrant", "AWS::CDK::Metadata"}
_VERSION = ("ssm:GetParameters",)
_ELSEWHERE = {
    "events": ("iam:PassRole",),
    "lambda": ("iam:PassRole", "s3:GetObject", "s3:GetObjectVersion"),
}


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


def policy(templates: Iterable[Template]) -> dict[str, Any]:
    """Return the identity policy with which CloudFormation deploys, updates and deletes stacks."""
    kinds = {item["Type"] for template in templates for item in template["Resources"].values()}
    known = json.loads(PERMISSIONS.read_text(encoding="utf-8"))
    actions = sorted({*_VERSION, *(action for kind in kinds - _OF_THE_CDK for action in known[kind])})
    statement = {"Sid": "Deploy", "Effect": "Allow", "Action": actions, "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def permissions(templates: Mapping[str, Template]) -> str:
    """Return a table of the policies: how many actions each stack takes, and of which types it has resources."""
    lines = [["stack", "types", "actions", "characters of 6,144"], ["---"] * 4]
    for name, template in sorted(templates.items()):
        kinds = sorted({item["Type"].removeprefix("AWS::") for item in template["Resources"].values()})
        written_policy = policy([template])
        size, actions = len(json.dumps(written_policy, separators=(",", ":"))), written_policy["Statement"][0]["Action"]
        lines.append([name, ", ".join(kinds), str(len(actions)), f"{size:,}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def from_schemas(kinds: Iterable[str]) -> dict[str, list[str]] | None:
    """Return the actions of the schemas' handlers by type; None where cfn-lint is not installed.

    Actions of other services are for properties that no stack here has; what remains of them is how a role is passed
    and how the code of a function is fetched.
    """
    found = importlib.util.find_spec("cfnlint")
    if found is None or found.origin is None:
        return None
    schemas = [json.loads(path.read_text()) for path in Path(found.origin).parent.glob("data/schemas/resources/*.json")]
    known: dict[str, set[str]] = {kind: set() for kind in kinds}
    for schema in schemas:
        for handler in schema.get("handlers", {}).values() if schema.get("typeName") in known else []:
            own = schema["typeName"].split("::")[1].lower()
            known[schema["typeName"]] |= {it for it in handler["permissions"] if _is_kept(it, own)}
    return {kind: sorted(actions) for kind, actions in sorted(known.items())}


def _is_kept(action: str, service: str) -> bool:
    prefix, _, name = action.partition(":")
    return (prefix == service and "." not in name) or action in _ELSEWHERE.get(service, ())


def parts(templates: Mapping[str, Template]) -> dict[str, str]:
    """Return what stands between the marks of the page, by their names."""
    return {"costs": costs(templates), "calls": calls(), "permissions": permissions(templates)}


def synthesized() -> dict[str, Template]:
    """Return the templates of app.py, without bundling."""
    app = cdk.App(context={**json.loads((ROOT / "cdk.json").read_text())["context"], "aws:cdk:bundling-stacks": []})
    sys.path.insert(0, str(ROOT))
    importlib.import_module("app").add_stacks(app)
    return {stack.stack_name: stack.template for stack in app.synth().stacks}


def main(names: list[str]) -> None:
    """Write the page, or print the execution policy of the named stacks."""
    templates = synthesized()
    if names:
        print(json.dumps(policy(templates[name] for name in names), indent=2))
        return
    kinds = {item["Type"] for template in templates.values() for item in template["Resources"].values()}
    schemas = from_schemas(kinds)
    if schemas is not None:
        PERMISSIONS.write_text(json.dumps(schemas, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), parts(templates)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
