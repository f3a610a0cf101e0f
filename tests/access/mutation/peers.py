"""Prints the table of mutants: seen by the access proof, by cdk-nag, cfn-lint and checkov.

``python tests/access/mutation/peers.py CDK_OUT``; cfn-lint and checkov are taken from PATH, ``-`` where not installed.
A tool counts as having seen a mutant if it reports anything that it does not report of the unchanged template.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.comparison import compare
from kms_patterns.access.evaluate.simulator import simulator
from kms_patterns.access.read.reader import read_model
from tests.access.mutation.mutants import MUTANTS, Part

Findings = dict[str, Counter[str]]


def main(original: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        names = write_templates(original, folder)
        columns = {
            "access proof": access_proof(original, folder),
            "cdk-nag": changed(cdk_nag(folder), names),
            "cfn-lint": changed(cfn_lint(folder), names),
            "checkov": changed(checkov(folder), names),
        }
    print("| # | stack | mutant | " + " | ".join(columns) + " | changes access |")
    print("|---|---|---|" + "---|" * (len(columns) + 1))
    for number, mutant in enumerate(MUTANTS):
        seen = " | ".join("-" if found is None else "yes" if number in found else "no" for found in columns.values())
        print(f"| {number + 1} | {mutant.stack} | {mutant.name} | {seen} | {mutant.unchanged or 'yes'} |")
    changing = {number for number, mutant in enumerate(MUTANTS) if not mutant.unchanged}
    for name, found in columns.items():
        print(
            f"\n{name}: {'-' if found is None else len(found & changing)} of {len(changing)} that change access", end=""
        )
    print()


def write_templates(original: Path, folder: Path) -> dict[str, str]:
    """Write original templates and mutants side by side; return each mutant's original by file name."""
    originals = {}
    for path in original.glob("*.template.json"):
        shutil.copy(path, folder / path.name)
    for number, mutant in enumerate(MUTANTS):
        template = json.loads((original / f"{mutant.stack}.template.json").read_text())
        mutant.change(Part(template))
        (folder / f"mutant-{number}.template.json").write_text(json.dumps(template, indent=1))
        originals[f"mutant-{number}.template.json"] = f"{mutant.stack}.template.json"
    return originals


def changed(findings: Findings | None, originals: dict[str, str]) -> set[int] | None:
    if findings is None:
        return None
    return {
        int(name.split("-")[1].split(".")[0])
        for name, original in originals.items()
        if findings.get(name, Counter()) - findings.get(original, Counter())
    }


def access_proof(original: Path, folder: Path) -> set[int]:
    seen = set()
    with simulator() as running:
        before = build_with(read_model(original), running)
        for number, mutant in enumerate(MUTANTS):
            copy = folder / "assembly"
            shutil.copytree(original, copy, ignore=shutil.ignore_patterns("asset.*"))
            shutil.copy(folder / f"mutant-{number}.template.json", copy / f"{mutant.stack}.template.json")
            difference = compare(before, build_with(read_model(copy), running))
            if difference.steps or difference.other_keys:
                seen.add(number)
            shutil.rmtree(copy)
    return seen


def cfn_lint(folder: Path) -> Findings | None:
    if shutil.which("cfn-lint") is None:
        return None
    files = sorted(str(path) for path in folder.glob("*.template.json"))
    done = subprocess.run(["cfn-lint", "--format", "json", "--", *files], capture_output=True, text=True, check=False)
    return counted((Path(item["Filename"]).name, item["Rule"]["Id"]) for item in json.loads(done.stdout))


def checkov(folder: Path) -> Findings | None:
    if shutil.which("checkov") is None:
        return None
    command = [
        "checkov",
        "--framework",
        "cloudformation",
        "--output",
        "json",
        "--compact",
        "--quiet",
        "-d",
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    failed = report["results"]["failed_checks"]
    return counted((Path(item["file_path"]).name, f"{item['check_id']} {item['resource']}") for item in failed)


def cdk_nag(folder: Path) -> Findings:
    import aws_cdk as cdk  # noqa: PLC0415 - starts Node
    from aws_cdk import cloudformation_include  # noqa: PLC0415
    from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks  # noqa: PLC0415

    found = []
    for path in sorted(folder.glob("*.template.json")):
        app = cdk.App()
        stack = cdk.Stack(app, "Stack", synthesizer=cdk.LegacyStackSynthesizer())
        template = json.loads(path.read_text())
        for section in ("Parameters", "Rules"):
            template.get(section, {}).pop("BootstrapVersion", None)
            template.get(section, {}).pop("CheckBootstrapVersion", None)
        path.with_suffix(".plain").write_text(json.dumps(template))
        cloudformation_include.CfnInclude(stack, "Template", template_file=str(path.with_suffix(".plain")))
        for pack in (AwsSolutionsChecks(), NIST80053R5Checks()):
            report = pack.validate_scope(stack)
            found += [(path.name, violation.rule_name) for violation in report.violations]
    return counted(found)


def counted(findings: Any) -> Findings:
    found: Findings = {}
    for name, rule in findings:
        found.setdefault(name, Counter())[rule] += 1
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
