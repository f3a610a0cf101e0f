"""Where the data plane's sources are, and the fingerprint that names the asset."""

import sys
from pathlib import Path

import pytest

from kms_patterns.functions import runtime_source as module
from kms_patterns.functions.runtime_source import RuntimeSource, runtime_source


def checkout(folder: Path) -> RuntimeSource:
    package = folder / "kms_runtime"
    (package / "handlers").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "handlers" / "cipher.py").write_text("answer = 42\n")
    lock = folder / "requirements.lock"
    lock.write_text("cryptography==50.0.2 --hash=sha256:00\n")
    return RuntimeSource(package, lock)


def test_fingerprint_is_the_same_in_every_folder(tmp_path: Path) -> None:
    assert checkout(tmp_path / "a").fingerprint("arm64") == checkout(tmp_path / "b").fingerprint("arm64")


def test_fingerprint_is_the_same_for_a_wheel_that_carries_the_lock_inside_the_package(tmp_path: Path) -> None:
    source = checkout(tmp_path / "a")
    installed = checkout(tmp_path / "b")
    lock = installed.lock.rename(installed.package / "requirements.lock")
    assert RuntimeSource(installed.package, lock).fingerprint() == source.fingerprint()


def test_fingerprint_ignores_compiled_files(tmp_path: Path) -> None:
    source = checkout(tmp_path)
    before = source.fingerprint()
    (source.package / "__pycache__").mkdir()
    (source.package / "__pycache__" / "x.cpython-314.pyc").write_bytes(b"x")
    (source.package / "left_over.pyc").write_bytes(b"x")
    assert source.fingerprint() == before


@pytest.mark.parametrize("name", ["kms_runtime/handlers/cipher.py", "requirements.lock", "kms_runtime/new.json"])
def test_fingerprint_changes_with_every_source_and_the_lock(tmp_path: Path, name: str) -> None:
    source = checkout(tmp_path)
    before = source.fingerprint()
    (tmp_path / name).write_text("changed\n")
    assert source.fingerprint() != before


def test_fingerprint_changes_with_the_name_of_a_file_and_with_the_platform(tmp_path: Path) -> None:
    source = checkout(tmp_path)
    before = source.fingerprint("arm64")
    assert source.fingerprint("x86_64") != before
    (source.package / "handlers" / "cipher.py").rename(source.package / "handlers" / "renamed.py")
    assert source.fingerprint("arm64") != before


def test_sources_are_found_in_this_installation() -> None:
    source = runtime_source()
    assert Path("__init__.py") in source.files()
    assert source.lock.name == "requirements.lock"
    assert "kms_runtime" not in sys.modules or source.package == Path(sys.modules["kms_runtime"].__path__[0])


def test_missing_lock_is_an_incomplete_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout(tmp_path).lock.unlink()
    spec = type("Spec", (), {"submodule_search_locations": [str(tmp_path / "kms_runtime")]})
    monkeypatch.setattr(module, "find_spec", lambda _: spec)
    with pytest.raises(FileNotFoundError, match=r"requirements\.lock is neither in .* nor beside it: reinstall"):
        runtime_source()


def test_missing_package_is_an_incomplete_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match="kms_runtime is missing: reinstall"):
        runtime_source()
