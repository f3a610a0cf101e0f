"""``kms-patterns access`` on the command line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kms_patterns.access import AccessMatrix
from kms_patterns.cli.main import main

ROOT = Path(__file__).parents[2]
ADMINISTRATORS = "account administrator (*:*) and any other role (kms:*, lambda:*, s3:*, sts:*)"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(ROOT)
    return lambda *words: CliRunner().invoke(main, ["access", *map(str, words)], catch_exceptions=False)


@pytest.fixture
def ours(assembly: Callable[[str], Path]) -> Path:
    return assembly("examples/secret_cipher")


@pytest.fixture
def widened(ours: Path, tmp_path: Path) -> Path:
    """One of our stacks with one condition of its key policy dropped."""
    copy = tmp_path / "widened"
    shutil.copytree(ours, copy)
    path = copy / "Secrets.template.json"
    template = json.loads(path.read_text())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::KMS::Key":
            for statement in resource["Properties"]["KeyPolicy"]["Statement"]:
                if "ArnEquals" in statement.get("Condition", {}):
                    del statement["Condition"]["ArnEquals"]
    path.write_text(json.dumps(template))
    return copy


def test_assembly_alone_is_a_report(run: Callable[..., Result], assembly: Callable[[str], Path]) -> None:
    result = run(assembly("convenient_grants"))
    assert result.exit_code == 0
    assert result.output.startswith("stack Data\n\n  key Key (alias/orders)\n")
    assert run("report", assembly("convenient_grants")).output == result.output
    assert run("--format", "text", assembly("convenient_grants")).output == result.output


@pytest.mark.parametrize(
    ("form", "start"), [("markdown", "# Who can do what"), ("json", "{"), ("html", "<!doctype html>")]
)
def test_report_is_written_to_a_file(
    run: Callable[..., Result], assembly: Callable[[str], Path], tmp_path: Path, form: str, start: str
) -> None:
    output = tmp_path / "report"
    result = run(assembly("convenient_grants"), "--format", form, "--output", output)
    assert (result.exit_code, result.output) == (0, "")
    assert output.read_text().startswith(start)


def test_saved_report_reads_as_the_assembly(
    run: Callable[..., Result], assembly: Callable[[str], Path], tmp_path: Path
) -> None:
    saved = tmp_path / "saved.json"
    run(assembly("wildcards"), "--format", "json", "--output", saved)
    assert AccessMatrix.from_json(saved.read_text()) == AccessMatrix.from_assembly(assembly("wildcards"))
    assert run(saved).output == run(assembly("wildcards")).output
    assert run("diff", saved, assembly("wildcards"), "--fail").output == "no access changed\n"


def test_one_template_is_enough(run: Callable[..., Result], assembly: Callable[[str], Path]) -> None:
    result = run(assembly("app") / "KmsPatterns-S3.template.json", "--stack", "KmsPatterns-S3")
    assert result.exit_code == 0
    assert "role UploaderRole" in result.output


def test_widening_fails_the_command_only_if_asked(run: Callable[..., Result], ours: Path, widened: Path) -> None:
    assert run("diff", ours, widened).exit_code == 0
    result = run("diff", ours, widened, "--fail")
    assert result.exit_code == 1
    assert result.output.startswith(f"gained\n  + {ADMINISTRATORS} on key Secrets/Key\n")


def test_narrowing_does_not_fail_the_command(run: Callable[..., Result], ours: Path, widened: Path) -> None:
    result = run("diff", widened, ours, "--fail")
    assert result.exit_code == 0
    assert result.output.startswith(f"lost\n  - {ADMINISTRATORS} on key Secrets/Key\n")


@pytest.mark.parametrize("form", ["markdown", "json", "html"])
def test_difference_has_every_form(run: Callable[..., Result], ours: Path, widened: Path, form: str) -> None:
    text = run("diff", ours, widened, "--format", form).output
    assert "Secrets/Key" in text
    if form == "json":
        document = json.loads(text)
        assert document["widens"] is True
        assert {step["kind"] for step in document["steps"]} == {"gained"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-folder-or-revision"], "neither a path nor a git revision"),
        (["tests"], "has no manifest.json"),
        (["package.json"], "not a saved access matrix of version 1"),
    ],
)
def test_error_says_what_is_wrong(run: Callable[..., Result], words: list[str], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.splitlines()) == 1


def test_missing_simulator_says_how_to_get_it(
    run: Callable[..., Result], assembly: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KMS_PATTERNS_NODE_MODULES", str(tmp_path))
    result = run(assembly("convenient_grants"))
    assert result.exit_code == 2
    assert "npm install --save-dev @cloud-copilot/iam-simulate@0.1.173" in result.output
