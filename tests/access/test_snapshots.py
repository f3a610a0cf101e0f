"""Who can do what, as committed; ``make snapshots`` rewrites it, a reviewer reads the difference."""

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
    text = "\n".join(as_text(found.of_stack(stack)) for stack in sorted(found.stacks))
    file = snapshot(any_app)
    if request.config.getoption("update_snapshots"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8"), "access changed: review the difference, then `make snapshots`"


def test_every_snapshot_belongs_to_an_app(app_names: list[str]) -> None:
    assert {path.name for path in SNAPSHOTS.iterdir()} == {snapshot(name).name for name in app_names}


def snapshot(app: str) -> Path:
    return SNAPSHOTS / f"{app.replace('/', '-')}.access.snapshot"
