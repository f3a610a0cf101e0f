"""The example that needs no Lambda: a file encrypted and decrypted with credentials alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo.scenario import Stage

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.end_to_end


def run_example(stage: Stage, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / "encrypt_file.py"), *arguments]
    environment = {**os.environ, **stage.aws.environment(), "PYTHONPATH": str(ROOT / "lambda")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_file_comes_back_and_its_message_is_ciphertext(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_bytes(b"Meet me at noon. " * 100_000)
    done = run_example(stage, stage.output("Envelope", "KeyArn"), str(file), "a")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "letter.txt.decrypted").read_bytes() == file.read_bytes()
    assert b"Meet me at noon" not in (tmp_path / "letter.txt.encrypted").read_bytes()
    last = [call["action"] for call in stage.aws.kms_calls()][-2:]
    assert last == ["kms:GenerateDataKey", "kms:Decrypt"]
