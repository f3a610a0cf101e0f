"""Writes what deployment.md says in figures: costs, quotas, and the permissions that a deployment takes.

Run by ``make docs``. Costs and quotas come from the synthesized templates, ``kms_patterns.policy.prices`` and the
limits below; permissions from ``execution-permissions.json``, which holds what AWS's resource schemas name for each
type (``handlers``) and is written anew where cfn-lint, which ships the schemas, is installed. With names of stacks it
prints their execution policy.
"""

import importlib.util
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from kms_patterns.policy import prices

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("deployment.md")
Template = Mapping[str, Any]
MILLION = 1_000_000
PERMISSIONS = Path(__file__).with_name("execution-permissions.json")
_INVOKES = ("lambda:InvokeFunction",)
_VERSION = ("ssm:GetParameters",)
_ELSEWHERE = {
    "events": ("iam:PassRole",),
    "lambda": ("iam:PassRole", "s3:GetObject", "s3:GetObjectVersion"),
    "states": ("iam:PassRole", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"),
}
_PREFIXES = {"stepfunctions": "states"}
"""Service of a type -> prefix of its actions, where they differ."""


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


KMS, IAM = "https://docs.aws.amazon.com/kms/latest", "https://docs.aws.amazon.com/IAM/latest/UserGuide"
EVENTS = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"
LOGS = "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutResourcePolicy.html"
FORMATION = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"
S3 = "https://docs.aws.amazon.com/AmazonS3/latest/userguide"
# Of an account in a Region (roles: of an account): how many resources of a type there may be, by default.
COUNTED = (
    ("customer managed keys", "AWS::KMS::Key", 100_000, f"{KMS}/developerguide/resource-limits.html"),
    ("roles", "AWS::IAM::Role", 1_000, f"{IAM}/reference_iam-quotas.html"),
    ("buckets, in all Regions", "AWS::S3::Bucket", 10_000, f"{S3}/BucketRestrictions.html"),
    ("rules of an event bus", "AWS::Events::Rule", 300, EVENTS),
    ("resource policies of CloudWatch Logs without a resource", "AWS::Logs::ResourcePolicy", 10, LOGS),
)
WILDCARDS = ("rules of an event bus with a wildcard in their pattern", 30, EVENTS)
# How many characters the documents of a resource may have.
MEASURED = (
    ("characters of a key policy", "AWS::KMS::Key", "KeyPolicy", 32_768, f"{KMS}/developerguide/resource-limits.html"),
    ("characters of a trust policy", "AWS::IAM::Role", "AssumeRolePolicyDocument", 2_048,
     f"{IAM}/reference_iam-quotas.html"),
    ("characters of a bucket policy", "AWS::S3::BucketPolicy", "PolicyDocument", 20_480,
     f"{S3}/using-iam-policies.html"),
    ("characters of an event pattern", "AWS::Events::Rule", "EventPattern", 2_048, EVENTS),
)  # fmt: skip
INLINE = ("characters of all inline policies of a role", 10_240, f"{IAM}/reference_iam-quotas.html")
A_STACK = ("resources of a stack", 500, FORMATION)


def quotas(templates: Mapping[str, Template]) -> str:
    """Return the table of quotas: what the app takes of each, and what its largest stack, or document, takes."""
    lines = [["quota", "default", "all stacks", "largest"], ["---"] * 4]
    for what, kind, limit, source in COUNTED:
        lines.append(_counted(what, limit, source, {name: len(_of(it, kind)) for name, it in templates.items()}))
    what, limit, source = WILDCARDS
    rules = {name: _of(template, "AWS::Events::Rule") for name, template in templates.items()}
    wild = {name: sum('"wildcard"' in json.dumps(rule) for rule in found) for name, found in rules.items()}
    lines.append(_counted(what, limit, source, wild))
    for what, kind, member, limit, source in MEASURED:
        sizes = {name: max(map(_size(member), _of(it, kind)), default=0) for name, it in templates.items()}
        lines.append([f"[{what}]({source})", f"{limit:,}", "", _largest(sizes)])
    what, limit, source = INLINE
    inline = {name: max(inline_policies(template).values(), default=0) for name, template in templates.items()}
    lines.append([f"[{what}]({source})", f"{limit:,}", "", _largest(inline)])
    what, limit, source = A_STACK
    resources = {name: len(template["Resources"]) for name, template in templates.items()}
    lines.append([f"[{what}]({source})", f"{limit:,}", "", _largest(resources)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def inline_policies(template: Template) -> Counter[str]:
    """Return the characters of the inline policies of each role, which IAM counts together, without white space."""
    sizes: Counter[str] = Counter()
    for name, resource in template["Resources"].items():
        properties, document = resource.get("Properties", {}), _size("PolicyDocument")
        if resource["Type"] == "AWS::IAM::Policy":
            sizes.update({json.dumps(role): document(properties) for role in properties.get("Roles", [])})
        elif resource["Type"] == "AWS::IAM::Role":
            sizes[json.dumps({"Ref": name})] += sum(map(document, properties.get("Policies", [])))
    return sizes


def _of(template: Template, kind: str) -> list[Mapping[str, Any]]:
    return [item["Properties"] for item in template["Resources"].values() if item["Type"] == kind]


def _size(member: str) -> Callable[[Mapping[str, Any]], int]:
    return lambda properties: len(json.dumps(properties.get(member, {}), separators=(",", ":")))


def _counted(what: str, limit: int, source: str, counts: Mapping[str, int]) -> list[str]:
    return [f"[{what}]({source})", f"{limit:,}", f"{sum(counts.values()):,}", _largest(counts)]


def _largest(values: Mapping[str, int]) -> str:
    name = max(values, key=lambda name: values[name])
    return f"{values[name]:,} ({name.removeprefix('KmsPatterns-')})"


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
    actions = sorted({*_VERSION, *(action for kind in kinds for action in _needed(kind, known))})
    statement = {"Sid": "Deploy", "Effect": "Allow", "Action": actions, "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _needed(kind: str, known: Mapping[str, list[str]]) -> Iterable[str]:
    # CloudFormation calls the function of a custom resource with the permissions of the role that deploys.
    custom = kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource"
    return _INVOKES if custom else () if kind == "AWS::CDK::Metadata" else known[kind]


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

    Actions of other services are for properties that no stack here has; what remains of them is how a role is passed,
    how the code of a function is fetched, and what a state machine's key is asked for.
    """
    found = importlib.util.find_spec("cfnlint")
    if found is None or found.origin is None:
        return None
    schemas = [json.loads(path.read_text()) for path in Path(found.origin).parent.glob("data/schemas/resources/*.json")]
    known: dict[str, set[str]] = {kind: set() for kind in kinds}
    for schema in schemas:
        for handler in schema.get("handlers", {}).values() if schema.get("typeName") in known else []:
            service = schema["typeName"].split("::")[1].lower()
            own = _PREFIXES.get(service, service)
            known[schema["typeName"]] |= {it for it in handler["permissions"] if _is_kept(it, own)}
    return {kind: sorted(actions) for kind, actions in sorted(known.items())}


def _is_kept(action: str, service: str) -> bool:
    prefix, _, name = action.partition(":")
    return (prefix == service and "." not in name) or action in _ELSEWHERE.get(service, ())


def parts(templates: Mapping[str, Template]) -> dict[str, str]:
    """Return what stands between the marks of the page, by their names."""
    return {
        "costs": costs(templates),
        "calls": calls(),
        "permissions": permissions(templates),
        "quotas": quotas(templates),
    }


def synthesized(lifecycle: str = "retain") -> dict[str, Template]:
    """Return the templates of app.py, without bundling."""
    given = {"aws:cdk:bundling-stacks": [], "kms-patterns:lifecycle": lifecycle}
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        app = cdk.App(outdir=folder, context={**json.loads((ROOT / "cdk.json").read_text())["context"], **given})
        importlib.import_module("app").add_stacks(app)
        return {stack.stack_name: stack.template for stack in app.synth().stacks}


def main(names: list[str]) -> None:
    """Write the page, or print the execution policy of the named stacks; ``--ephemeral`` prints that of trials."""
    trial = "--ephemeral" in names
    names = [name for name in names if name != "--ephemeral"]
    templates = synthesized("ephemeral" if trial else "retain")
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
