"""Real changes side by side: what other tools show about access, and whether the access report shows it.

``python -m tests.access.side_by_side FOLDER [TOOLS]`` takes a folder with clones of the repositories in ``CHANGES``, by
their names; TOOLS is a ``bin`` folder with cfn-lint, cloudsplaining and parliament. It prints a table.
A row of `cdk diff` about IAM is missing if an action or managed policy of it stands nowhere in our comparison; a
finding of another tool that is new, or gone, is missing if no line of ours is about its policy.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path

from kms_patterns.access.evaluate.comparison import Difference, changed_statements, compare
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.sources import Sources
from kms_patterns.access.templates.template_text import template_of
from kms_patterns.toolchain import node_executable

ROOT = Path(__file__).parents[2]
HEADINGS = (
    "change",
    "source",
    "cdk diff",
    "cfn-lint",
    "cloudsplaining",
    "parliament",
    "access diff",
    "missing from ours",
)


_CONSTRUCTS, _TEMPLATES = "aws-solutions-constructs", "aws-cloudformation-templates"
_PATTERNS = "source/patterns/@aws-solutions-constructs"
CHANGES = (
    ("bucket notifications", _CONSTRUCTS, "c3b02f8", "s3-lambda", "s3lam-no-arguments"),
    ("logging bucket", _CONSTRUCTS, "8b30791", "cloudfront-apigateway-lambda", "cftaplam-no-arguments"),
    ("state machine role", _CONSTRUCTS, "a986491", "lambda-stepfunctions", "lamstp-deploy-lambda"),
    ("distribution key", _CONSTRUCTS, "1732949", "cloudfront-s3", "cfts3-cmk-provided-as-bucket-prop"),
    ("organization condition", _TEMPLATES, "83baf35", "CloudFormation/StackSets/log-setup-management.yaml"),
    ("dead letter queue", _TEMPLATES, "9c5ccb7", "CloudFormation/StackSets/log-setup-management.yaml"),
    ("granular permission", _TEMPLATES, "b8b5a45", "community/services/apigateway/apigateway_lambda_integration.json"),
    ("pass role", _TEMPLATES, "6062e3d", "aws/solutions/StackSetsResource/Templates/stackset-function-template.yaml"),
    ("website identity", _TEMPLATES, "f40eccd", "aws/services/S3/S3_Website_With_CloudFront_Distribution.yaml"),
    (
        *("profile role", _TEMPLATES, "42ac5b2"),
        "aws/solutions/CloudFormationEndpointSignals/cfn-endpoint-creationpolicy-no-igw.yaml",
    ),
)
"""Name, repository, commit and template of each change; of a construct its pattern and the name of the test."""


def states(clone: Path, commit: str, place: tuple[str, ...], folder: Path) -> tuple[Path, Path]:
    """Write a template before and after a commit into a folder and return both."""
    name = place[0]
    if len(place) > 1:
        name = f"{_PATTERNS}/aws-{name}/test/integ.{place[1]}.js.snapshot/{place[1]}.template.json"
    made = folder / "old" / Path(name).name, folder / "new" / Path(name).name
    for path, revision in zip(made, (f"{commit}~1", commit), strict=True):
        path.parent.mkdir()
        git = ["git", "-C", str(clone), "show", f"{revision}:{name}"]
        path.write_bytes(subprocess.run(git, capture_output=True, check=True).stdout)
    return made


def run(*words: object, given: str = "") -> str:
    """Return what a tool prints; most exit with 1 when they find something."""
    command = [str(word) for word in words]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, cwd=tempfile.gettempdir())
    return done.stdout or done.stderr  # the CDK writes to the latter only


def cdk_rows(old: Path, new: Path, folder: Path) -> list[tuple[str, list[str]]]:
    """Return the rows of ``cdk diff`` about IAM: the sign, and the other cells."""
    for name, path in (("new", new), ("old", old)):
        (folder / f"{name}.json").write_text(json.dumps(template_of(path)))
    stack = {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region"}
    artifacts = {"Stack": {**stack, "properties": {"templateFile": "new.json"}}}
    (folder / "manifest.json").write_text(json.dumps({"version": "38.0.0", "artifacts": artifacts}))
    cdk = ROOT / "node_modules" / "aws-cdk" / "bin" / "cdk"
    text = run(
        *(node_executable(), cdk, "diff", "Stack", "--app", folder, "--template", folder / "old.json", "--no-color")
    )
    rows: list[tuple[str, list[str]]] = []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines():
        cells = [cell.strip() for cell in line.strip("│ ").split("│")] if "│" in line else []
        if cells and cells[0] in {"+", "-"}:
            rows.append((cells[0], cells[1:]))
        elif rows and len(cells) > 1 and line.startswith("│  "):
            rows[-1][1].extend(cells)
    return rows


def shown(difference: Difference) -> list[str]:
    """Return every action and statement that our comparison shows."""
    steps = [step.entry.action for step in difference.steps]
    return [*steps, *(item.text for item in changed_statements(difference.old, difference.new))]


def missing(rows: list[tuple[str, list[str]]], difference: Difference) -> list[str]:
    """Return actions and managed policies in rows that stand nowhere in our comparison."""
    told = shown(difference)
    named = {
        word for _, cells in rows for cell in cells for word in cell.split() if re.match(r"[a-z0-9-]+:[A-Za-z*]", word)
    }
    return sorted(word for word in named if not any(word in text or fnmatchcase(text, word) for text in told))


def identity_policies(path: Path) -> list[tuple[str, dict[str, object]]]:
    """Return place and document of the identity policies of a template's principals, resolved, as IAM takes them."""
    held = [policy for who in read_model(path).principals if who.stack for policy in who.identity]
    return [
        (
            policy.where.partition("/")[2],
            {
                "Version": "2012-10-17",
                "Statement": [{k: v for k, v in it.items() if k.isalpha()} for it in policy.document["Statement"]],
            },
        )
        for policy in held
    ]


ASK = """
import json, sys
from cloudsplaining.scan.policy_document import PolicyDocument
from parliament import analyze_policy_string
found = {"cloudsplaining": [], "parliament": []}
for place, policy in json.load(sys.stdin):
    found["parliament"] += [(item.issue, place) for item in analyze_policy_string(json.dumps(policy)).findings]
    scanned = PolicyDocument(policy)
    for name in ("allows_privilege_escalation", "credentials_exposure", "allows_data_exfiltration_actions",
                 "permissions_management_without_constraints", "service_wildcard", "infrastructure_modification"):
        found["cloudsplaining"] += [(name, place) for _ in getattr(scanned, name)]
print(json.dumps(found))
"""
"""Runs with the tools' own interpreter."""


Said = Counter[tuple[str, str]]


def findings(path: Path, tools: Path | None) -> dict[str, Said]:
    """Return what the linters say of one template, by tool: rule and place."""
    if tools is None:
        return {name: Counter() for name in HEADINGS[3:6]}
    lint = json.loads(run(tools / "cfn-lint", path, "--format", "json") or "[]")
    asked = json.loads(run(tools / "python", "-c", ASK, given=json.dumps(identity_policies(path))))
    places = [(item["Rule"]["Id"], "/".join(map(str, item["Location"]["Path"] or ()))) for item in lint]
    return {"cfn-lint": Counter(places), **{tool: Counter(map(tuple, said)) for tool, said in asked.items()}}


def unmatched(tool: str, said: Said, difference: Difference) -> list[str]:
    """Return findings about policies of which no line of ours is about the resource; cfn-lint says more than these."""
    changed = changed_statements(difference.old, difference.new)
    ours = {f"{step.entry.principal} {step.entry.resource}" for step in difference.steps} | {
        it.policy for it in changed
    }
    found = []
    for rule, place in said:
        resource = [*place.split("/"), ""][1] if tool == "cfn-lint" else place.partition(" policy ")[0]
        if (tool != "cfn-lint" or "Polic" in place) and not any(resource in text for text in ours):
            found.append(f"{tool} {rule} of {resource}")
    return sorted(found)


def row(name: str, source: str, old: Path, new: Path, tools: Path | None) -> list[str]:
    """Return the cells of a change."""
    difference = compare(*Sources(ROOT).pair(str(old), str(new)))
    with tempfile.TemporaryDirectory() as folder:
        rows = cdk_rows(old, new, Path(folder))
    before, after = findings(old, tools), findings(new, tools)
    cells = [_listed(Counter(f"{sign} IAM row" for sign, _ in rows))]
    lacking = missing(rows, difference)
    for tool in HEADINGS[3:6]:
        signs = (("+", after[tool] - before[tool]), ("-", before[tool] - after[tool]))
        cells.append(_listed(Counter(f"{sign} {rule}" for sign, said in signs for rule, _ in said.elements())))
        lacking += [item for _, said in signs for item in unmatched(tool, said, difference)]
    statements = Counter(f"{'+' if item.added else '-'} statement" for item in difference.unseen_statements)
    ours = _listed(Counter(str(step.kind) for step in difference.steps) + statements)
    return [
        name,
        source,
        *cells,
        ours,
        ", ".join(lacking),
    ]


def _listed(counted: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counted.items())) or "nothing"


def main() -> None:
    """Print the table, and exit with 1 if something is missing from ours."""
    tools = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    os.environ["CDK_DISABLE_CLI_TELEMETRY"] = "true"
    found = []
    for name, repository, commit, *place in CHANGES:
        with tempfile.TemporaryDirectory() as folder:
            pair = states(Path(sys.argv[1], repository), commit, tuple(place), Path(folder))
            found.append(row(name, f"{repository} {commit}", *pair, tools))
    for cells in [list(HEADINGS), ["---"] * len(HEADINGS), *found]:
        print(f"| {' | '.join(cells)} |")
    sys.exit(1 if any(cells[-1] for cells in found) else 0)


if __name__ == "__main__":
    main()
