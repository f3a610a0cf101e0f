"""Who can do what, as committed; ``make snapshots`` rewrites it, a reviewer reads the difference."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kms_patterns.access import AccessMatrix
from kms_patterns.access.report.text import as_text

SNAPSHOTS = Path(__file__).parent / "snapshots"


def test_access_is_as_committed(
    any_app: str, matrix: Callable[[str], AccessMatrix], request: pytest.FixtureRequest
) -> None:
    found = matrix(any_app)
    text = "\n".join(as_text(found.of_stack(stack)) for stack in sorted(found.stacks))
    if request.config.getoption("update_snapshots"):
        write({**committed(any_app), any_app: text}, snapshot(any_app))
    assert text == committed(any_app).get(any_app), "access changed: review the difference, then `make snapshots`"


def test_every_snapshot_belongs_to_an_app(app_names: list[str]) -> None:
    assert {path.name for path in SNAPSHOTS.iterdir()} == {snapshot(name).name for name in app_names}
    assert {name for app in app_names for name in committed(app)} == set(app_names)


def snapshot(app: str) -> Path:
    """Return the file for an app: one for the reference app, one for the examples, one for apps that are not ours."""
    name = "app" if app == "app" else "examples" if app.startswith("examples/") else "foreign"
    return SNAPSHOTS / f"{name}.access.snapshot"


def committed(app: str) -> dict[str, str]:
    """Return the texts of the file for an app, by app."""
    if not snapshot(app).exists():
        return {}
    parts = re.split(r"^=== (.+)\n\n", snapshot(app).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {name: text[:-1] for name, text in zip(parts[::2], parts[1::2], strict=True)}


def write(texts: dict[str, str], file: Path) -> None:
    file.write_text("".join(f"=== {name}\n\n{text}\n" for name, text in sorted(texts.items())), encoding="utf-8")
