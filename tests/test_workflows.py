"""What runs elsewhere is what runs here: workflows are valid, each of their commands is a target of the Makefile."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from kms_patterns.cli.main import main

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def commands(value: Any) -> list[str]:
    if isinstance(value, dict):
        inner = [command for each in value.values() for command in commands(each)]
        return [value["run"], *inner] if isinstance(value.get("run"), str) else inner
    return [command for each in value for command in commands(each)] if isinstance(value, list) else []


def check(path: Path) -> "subprocess.CompletedProcess[str]":
    schema = ["--builtin-schema", "vendor.github-workflows"]
    command = [sys.executable, "-m", "check_jsonschema", *schema, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_is_valid_and_runs_targets_of_the_makefile(path: Path) -> None:
    done = check(path)
    assert done.returncode == 0, done.stdout
    text = path.read_text()
    run = commands(yaml.safe_load(text))
    assert run
    assert [command for command in run if command.removeprefix("make ") not in TARGETS] == []
    assert "permissions: {contents: read}" in text


def test_invalid_workflow_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:"))
    assert check(broken).returncode == 1


def test_hook_runs_a_command_that_exists() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    program, *arguments = hook["entry"].split()
    assert program == "kms-patterns"
    done = CliRunner().invoke(main, [*arguments, "--help"])
    assert done.exit_code == 0, done.output
    assert "--fail" in done.output
