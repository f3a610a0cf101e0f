"""The emulator is checked before it is changed: another version or another function stops the server."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from kms_patterns.local.server.emulator import emulator, functions


def test_the_installed_emulator_is_the_expected_one() -> None:
    emulator.check()


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator, "version", lambda _name: "1.5.34")
    with pytest.raises(emulator.EmulatorMismatch, match=r"ministack 1\.5\.34 is installed, .* 1\.5\.33 only"):
        emulator.check()


@pytest.mark.parametrize(("module", "name", "found"), [
    (emulator.KMS, "_resolve_key", None),
    (emulator.S3, "_dispatch", lambda method, bucket, key: None),
    (emulator.EVALUATOR, "enforce", "no function at all"),
])  # fmt: skip
def test_a_function_that_is_missing_or_differs_is_refused(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str, found: Any
) -> None:
    real = import_module(module)
    names = {known: getattr(real, known) for known in emulator.REQUIRED[module]} | ({name: found} if found else {})
    fake = SimpleNamespace(**{known: value for known, value in names.items() if known != name or found})
    monkeypatch.setattr(emulator, "import_module", lambda asked: fake if asked == module else import_module(asked))
    with pytest.raises(emulator.EmulatorMismatch, match=f"{module}.{name} is"):
        emulator.check()


def test_only_checked_names_can_be_reached() -> None:
    with pytest.raises(LookupError, match="not in the table"):
        emulator.reach(emulator.KMS, "_keys")


def test_a_worker_that_reports_errors_in_another_form_is_refused() -> None:
    with pytest.raises(emulator.EmulatorMismatch, match="another form"):
        functions.worker_script("print('hello')")
