"""The sources of the data plane, the fingerprint that names the asset, and the platform of the functions."""

import platform
import sys
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda

from kms_patterns.functions import runtime_source as module
from kms_patterns.functions.lambda_platform import LambdaPlatform, host_platform, lambda_platform
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


def platform_of(context: dict[str, str]) -> LambdaPlatform:
    return lambda_platform(cdk.App(context=context))


def test_default_platform_is_the_newest_managed_python_on_arm64() -> None:
    chosen = platform_of({})
    assert chosen == LambdaPlatform((3, 14), "aarch64")
    assert chosen.architecture.name == aws_lambda.Architecture.ARM_64.name
    assert chosen.runtime.name == aws_lambda.Runtime.PYTHON_3_14.name


def test_x86_64_platform_asks_pip_for_x86_64_wheels_only() -> None:
    chosen = platform_of({"kms-patterns:platform": "x86_64"})
    assert chosen.architecture.name == "x86_64"
    tags = [
        after
        for word, after in zip(chosen.pip_arguments, chosen.pip_arguments[1:], strict=False)
        if word == "--platform"
    ]
    assert tags == ["manylinux_2_34_x86_64", "manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"]


def test_host_platform_is_the_running_interpreter_and_lets_pip_choose() -> None:
    chosen = platform_of({"kms-patterns:platform": "host"})
    assert chosen.runtime.name == f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert chosen.pip_arguments == ()
    assert chosen.compiles_here


@pytest.mark.parametrize(("machine", "architecture"), [("arm64", "arm64"), ("aarch64", "arm64"), ("AMD64", "x86_64")])
def test_host_platform_knows_the_processor(monkeypatch: pytest.MonkeyPatch, machine: str, architecture: str) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert host_platform().architecture.name == architecture


def test_platforms_whose_wheels_may_differ_have_different_tags() -> None:
    platforms = [platform_of({"kms-patterns:platform": name}) for name in ("arm64", "x86_64", "host")]
    assert len({one.tag for one in platforms}) == 3


def test_unknown_platform_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(ValueError, match=r"'riscv' is not a platform: use arm64, x86_64 or host"):
        platform_of({"kms-patterns:platform": "riscv"})
