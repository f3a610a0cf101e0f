"""The steps of the documented GitHub action, run as the runner would run them."""

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "docs" / "access" / "review-action" / "action.yml"


@pytest.fixture
def steps() -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in yaml.safe_load(ACTION.read_text())["runs"]["steps"]}


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def run(step: dict[str, Any], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "RUNNER_TEMP": str(folder),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "GITHUB_ENV": str(folder / "env"),
        **variables,
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("code", [0, 1])
def test_difference_reaches_summary_and_comment(code: int, steps: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    program(
        tmp_path, "kms-patterns", f'echo "$@" > {tmp_path}/words; echo "## Access" > {tmp_path}/access.md; exit {code}'
    )
    program(tmp_path, "gh", f'echo "$@" > {tmp_path}/comment')
    assert run(steps["Compare"], tmp_path, BASE="origin/main").returncode == 0
    words = (tmp_path / "words").read_text().split()
    assert words == [
        *["access", "diff", "origin/main", "HEAD", "--fail", "--format", "markdown"],
        *["--output", str(tmp_path / "access.md")],
    ]
    assert (tmp_path / "summary").read_text() == "## Access\n"
    assert run(steps["Comment"], tmp_path, NUMBER="7").returncode == 0
    assert (tmp_path / "comment").read_text().startswith("pr comment 7 --edit-last --create-if-none --body-file")
    name, value = (tmp_path / "env").read_text().strip().split("=")
    assert run(steps["Fail on a gain"], tmp_path, **{name: value}).returncode == code


def test_failed_comparison_fails_the_job(steps: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    program(tmp_path, "kms-patterns", "exit 1")
    assert run(steps["Compare"], tmp_path, BASE="origin/main").returncode == 2
