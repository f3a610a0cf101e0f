"""Writes grants.md: what each grant allows, counted by the policy simulator over all actions of KMS and S3."""

import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import aws_cdk as cdk
from grants_app import ROWS, build

from kms_patterns.access.access_matrix import AccessMatrix
from kms_patterns.access.model import PrincipalKind, ResourceKind

PAGE = Path(__file__).with_name("grants.md")
HEAD = """# What each grant allows

Written by `docs/keys/write_grants.py`; do not edit. For each grant: a role that got nothing else, and every action of
KMS on keys and of S3 on buckets and objects, decided by an independent policy simulator. *Needed* is what the task
takes, *excess* is what is allowed besides. Conditions do not count as a limit: an action that is allowed under one is
allowed here.

| Grant | allowed | needed | excess | Nearest of aws-cdk-lib {version} | allowed | excess |
|---|--:|--:|--:|---|--:|--:|
"""


def page() -> str:
    """Return the page's text."""
    with tempfile.TemporaryDirectory() as folder:
        app = cdk.App(outdir=folder)
        build(app)
        app.synth()
        matrix = AccessMatrix.from_assembly(folder, project=Path(__file__).parents[2])
    allowed: dict[str, set[str]] = defaultdict(set)
    kinds = {resource.id: resource.kind for resource in matrix.resources}
    for entry in matrix.entries:
        if kinds[entry.resource] in {ResourceKind.KEY, ResourceKind.BUCKET}:
            allowed[entry.principal].add(entry.action)
    return HEAD.format(version=_version()) + "".join(_lines(allowed)) + _administrators(matrix)


def _lines(allowed: dict[str, set[str]]) -> list[str]:
    lines = []
    for number, row in enumerate(ROWS):
        ours, theirs = (allowed[f"{side}/Row{number}/Role"] for side in ("Ours", "Theirs"))
        needed = set(row.needed)
        missing = needed - ours
        if missing:
            sys.exit(f"{row.ours} lacks {sorted(missing)}")
        cells = [
            f"`{row.ours}`",
            len(ours),
            len(needed),
            len(ours - needed),
            f"`{row.theirs}`",
            len(theirs),
            len(theirs - needed),
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |\n")
    return lines


def _administrators(matrix: AccessMatrix) -> str:
    uses = {action.name for action in matrix.actions[ResourceKind.KEY] if action.group == "use"}
    administrators = {who.id for who in matrix.principals if who.kind is PrincipalKind.ADMINISTRATOR}
    keys = {resource.id: resource.stack for resource in matrix.resources if resource.kind is ResourceKind.KEY}
    counted: dict[str, set[str]] = {"Ours": set(), "Theirs": set()}
    for entry in matrix.entries:
        if entry.principal in administrators and entry.resource in keys and entry.action in uses:
            counted[keys[entry.resource]].add(entry.action)
    return (
        f"\nAn administrator of the account with `*:*` may use the keys of this library by {len(counted['Ours'])} of "
        f"{len(uses)} cryptographic actions, those of aws-cdk-lib by {len(counted['Theirs'])}.\n"
    )


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415

    return version("aws-cdk-lib")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
