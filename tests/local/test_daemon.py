"""The background server of `kms-patterns local start|stop|env`."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.local import daemon

LIST_KEYS = "import boto3; print(len(boto3.client('kms').list_keys()['Keys']))"
CREATE_KEY = "import boto3; boto3.client('kms').create_key()"


@pytest.fixture
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    daemon.stop()


def _run(script: str, environment: dict[str, str]) -> str:
    return subprocess.check_output(
        [sys.executable, "-c", script], env={"PATH": os.environ["PATH"]} | environment, text=True
    )


def test_it_runs_until_it_is_stopped_and_leaves_nothing(own_temporary_folder: Path) -> None:
    assert daemon.env() is None
    started = daemon.start()
    assert (daemon.start(), daemon.env()) == (started, started)
    _run(CREATE_KEY, started)
    assert _run(LIST_KEYS, started) == "1\n"
    assert daemon.stop() is True
    assert (daemon.stop(), daemon.env()) == (False, None)
    assert list(own_temporary_folder.iterdir()) == []


def test_the_state_of_a_server_that_was_killed_is_cleared_away(own_temporary_folder: Path) -> None:
    daemon.start()
    [state] = own_temporary_folder.glob("kms-patterns-*/server.json")
    server = json.loads(state.read_text())["pid"]
    os.kill(server, 9)
    os.waitpid(server, 0)
    assert daemon.env() is None
    assert _run(LIST_KEYS, daemon.start()) == "0\n"
    assert len(list(own_temporary_folder.glob("kms-patterns-*/server.json"))) == 1


def test_a_process_that_took_over_the_process_id_is_left_alone(own_temporary_folder: Path) -> None:
    daemon.start()
    [state] = own_temporary_folder.glob("kms-patterns-*/server.json")
    server = json.loads(state.read_text())
    os.kill(server["pid"], 9)
    os.waitpid(server["pid"], 0)
    bystander = subprocess.Popen(["/bin/sleep", "60"])
    try:
        state.write_text(json.dumps(server | {"pid": bystander.pid}))
        assert daemon.env() is None
        assert daemon.stop() is False
        assert bystander.poll() is None
    finally:
        # Also where an assertion fails, or the test would wait for it.
        bystander.kill()
        bystander.wait()


def test_a_folder_of_another_user_is_not_trusted(own_temporary_folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / f"kms-patterns-user-{os.getuid()}"
    link.symlink_to(elsewhere)
    with pytest.raises(daemon.NotOurs, match="belongs to another user"):
        daemon.start()
    link.unlink()
