"""Every change of the reference app's policies that changes access is seen, and no other."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.access_matrix import AccessMatrix
from kms_patterns.access.evaluate.building import build_with
from kms_patterns.access.evaluate.comparison import Difference, compare
from kms_patterns.access.evaluate.simulator import Simulator
from kms_patterns.access.read.reader import read_model

sys.path.insert(0, str(Path(__file__).parent / "mutation"))

from changes import S3, SECRETS, Mutant
from mutants import MUTANTS
from templates import Part

sys.path.pop(0)


PAGE = Path(__file__).parents[2] / "docs" / "access" / "mutants.md"
Template = dict[str, Any]
Tried = Callable[[Mutant], Difference]


@pytest.fixture
def tried(template_alone: Callable[[str], Template], running: Simulator, tmp_path: Path) -> Tried:
    """Compare a stack with its mutant; the app's other stacks have nothing to do with it."""

    def compared(mutant: Mutant) -> Difference:
        template = template_alone(mutant.stack)
        if mutant.stack not in _ORIGINALS:
            _ORIGINALS[mutant.stack] = evaluated(template, mutant.stack)
        before = json.dumps(template)
        mutant.change(Part(template))
        assert json.dumps(template) != before, "the mutant changes nothing"
        return compare(_ORIGINALS[mutant.stack], evaluated(template, mutant.stack))

    def evaluated(template: Template, stack: str) -> AccessMatrix:
        path = tmp_path / f"{stack}.template.json"
        path.write_text(json.dumps({**template, "Resources": {**ELSEWHERE, **template["Resources"]}}))
        return build_with(read_model(path), running)

    return compared


ELSEWHERE = {"ElseBucket": {"Type": "AWS::S3::Bucket"}}
"""A bucket of another team in the account, which wildcards reach."""
_ORIGINALS: dict[str, AccessMatrix] = {}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_seen_if_it_changes_access(mutant: Mutant, tried: Tried) -> None:
    difference = tried(mutant)
    assert bool(difference.steps or difference.other_keys) is not bool(mutant.unchanged)


def test_permissions_boundary_removed_is_seen(tried: Tried) -> None:
    def bounded(part: Part) -> None:
        part.template["Resources"]["Boundary"] = {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
                }
            },
        }
        part.resource("AWS::IAM::Role", "UploaderRole")["PermissionsBoundary"] = {"Ref": "Boundary"}

    difference = tried(Mutant("boundary", S3, bounded))
    changes = {(step.kind, step.entry.principal, step.entry.action) for step in difference.steps}
    assert changes == {
        ("lost", f"{S3}/UploaderRole", "kms:Decrypt"),
        ("lost", f"{S3}/UploaderRole", "kms:GenerateDataKey"),
    }


def test_page_is_as_written(request: pytest.FixtureRequest) -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    peers = {columns[2]: columns[4:-1] for columns in rows}  # the columns of other tools: ``mutation/peers.py``
    unknown = ["-"] * 3
    written = [
        [
            str(number),
            it.stack,
            it.name,
            "no" if it.unchanged else "yes",
            *peers.get(it.name, unknown),
            it.unchanged or "yes",
        ]
        for number, it in enumerate(MUTANTS, 1)
    ]
    if request.config.getoption("update_snapshots"):
        old, new = (["| " + " | ".join(columns) + " |" for columns in table] for table in (rows, written))
        PAGE.write_text(page.replace("\n".join(old), "\n".join(new)), encoding="utf-8")
        return
    assert rows == written, "run `make docs` and review the page"
    changing = sum(not it.unchanged for it in MUTANTS)
    assert f"- access proof: {changing} of {changing} that change access" in page


def test_there_are_enough_mutants() -> None:
    assert len(MUTANTS) >= 60
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert {mutant.stack for mutant in MUTANTS} >= {S3, SECRETS}
