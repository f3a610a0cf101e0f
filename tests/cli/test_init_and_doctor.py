"""The first hour: ``kms-patterns init`` writes an app that holds, ``doctor`` says what is missing and how to get it."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from kms_patterns.cli import doctor as examination
from kms_patterns.cli.init import FILES
from kms_patterns.cli.main import main


def test_app_that_init_writes_passes_its_own_test_and_fails_it_when_another_role_may_read(tmp_path: Path) -> None:
    assert CliRunner().invoke(main, ["init", str(tmp_path)]).exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    app = (tmp_path / "app.py").read_text()
    intruder = '    bucket.grant_download(iam.Role(stack, "Intruder", assumed_by=instances))\n    return stack'
    (tmp_path / "app.py").write_text(app.replace("    return stack", intruder))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Intruder" in done.stdout


def test_init_changes_no_file_that_exists(tmp_path: Path) -> None:
    (tmp_path / "cdk.json").write_text("mine")
    done = CliRunner().invoke(main, ["init", str(tmp_path)])
    assert done.exit_code == 1
    assert "cdk.json already" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["cdk.json"]
    assert (tmp_path / "cdk.json").read_text() == "mine"


def test_doctor_finds_what_this_checkout_has() -> None:
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 0, done.output
    assert "ok    policy simulator" in done.output


@pytest.mark.parametrize(
    ("name", "remedy", "code"),
    [
        ("_simulator", "npm install --save-dev @cloud-copilot/iam-simulate@", 0),
        ("_cdk", "npm install --save-dev aws-cdk@2", 0),
        ("_node", "pip install 'cdk-kms-patterns[local]'", 1),
    ],
)
def test_doctor_says_how_to_get_what_is_missing(
    name: str, remedy: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, name, lambda: "")
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == code
    assert remedy in done.output


def test_doctor_shows_no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    done = CliRunner().invoke(main, ["doctor"])
    assert "from env" in done.output
    assert "AKIAIOSFODNN7EXAMPLE" not in done.output
    assert "wJalrXUtnFEMI" not in done.output
