"""The committed answer to who can do what; ``make snapshots`` rewrites it, a reviewer reads the difference."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kms_patterns.access.access_matrix import AccessMatrix
from kms_patterns.access.report.text import as_text

SNAPSHOTS = Path(__file__).parent / "snapshots"


def test_access_is_as_committed(
    any_app: str, matrix: Callable[[str], AccessMatrix], request: pytest.FixtureRequest
) -> None:
    found = matrix(any_app)
    folder = SNAPSHOTS / any_app
    texts = {f"{stack.replace('/', '-')}.access.snapshot": as_text(found.of_stack(stack)) for stack in found.stacks}
    if request.config.getoption("update_snapshots"):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.access.snapshot"):
            old.unlink()
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    committed = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.access.snapshot")}
    assert texts == committed, "access changed: review the difference, then `make snapshots`"
