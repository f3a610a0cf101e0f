"""Every change of the reference app's policies that changes access is seen, and no other."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kms_patterns.access.building import build_with
from kms_patterns.access.comparison import compare
from kms_patterns.access.matrix import AccessMatrix
from kms_patterns.access.reader import read_model
from kms_patterns.access.simulator import Simulator

sys.path.insert(0, str(Path(__file__).parent / "mutation"))

from changes import S3, SECRETS, Mutant
from mutants import MUTANTS
from templates import Part

sys.path.pop(0)


def mutated(mutant: Mutant, original: Path, folder: Path) -> Path:
    copy = folder / "mutant"
    shutil.copytree(original, copy, ignore=shutil.ignore_patterns("asset.*", "tree.json"))
    path = copy / f"{mutant.stack}.template.json"
    template = json.loads(path.read_text())
    before = json.dumps(template)
    mutant.change(Part(template))
    assert json.dumps(template) != before, "the mutant changes nothing"
    path.write_text(json.dumps(template))
    return copy


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_seen_if_it_changes_access(
    mutant: Mutant,
    assembly: Callable[[str], Path],
    matrix: Callable[[str], AccessMatrix],
    running: Simulator,
    tmp_path: Path,
) -> None:
    found = build_with(read_model(mutated(mutant, assembly("app"), tmp_path)), running)
    difference = compare(matrix("app"), found)
    seen = bool(difference.steps or difference.other_keys)
    assert seen is not bool(mutant.unchanged)


def test_permissions_boundary_removed_is_seen(
    assembly: Callable[[str], Path], running: Simulator, tmp_path: Path
) -> None:
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

    with_boundary = mutated(Mutant("boundary", S3, bounded), assembly("app"), tmp_path)
    difference = compare(
        build_with(read_model(with_boundary), running), build_with(read_model(assembly("app")), running)
    )
    gained = {(step.kind, step.entry.principal, step.entry.action) for step in difference.steps}
    assert gained == {
        ("gained", f"{S3}/UploaderRole", "kms:Decrypt"),
        ("gained", f"{S3}/UploaderRole", "kms:GenerateDataKey"),
    }


def test_there_are_enough_mutants() -> None:
    assert len(MUTANTS) >= 60
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert {mutant.stack for mutant in MUTANTS} >= {S3, SECRETS}
