"""The functions' code asset, really bundled, and the fingerprint and platform that name it."""

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda
from click.testing import CliRunner

from kms_patterns.cli.main import main
from kms_patterns.functions import bundling
from kms_patterns.functions import function_code as module
from kms_patterns.functions.bundling import BundlingError, WheelBundling, altered_assets, install_wheels, runtime_code
from kms_patterns.functions.function_code import (
    LambdaPlatform,
    RuntimeSource,
    host_platform,
    lambda_platform,
    runtime_source,
)

ARM = LambdaPlatform((3, 14), "aarch64")


def functions_with_code(outdir: Path, platform: str) -> cdk.Stack:
    app = cdk.App(outdir=str(outdir), context={"kms-patterns:platform": platform})
    stack = cdk.Stack(app, "Stack")
    for name in ("One", "Two"):
        aws_lambda.Function(
            stack, name, runtime=aws_lambda.Runtime.PYTHON_3_14, handler="x.y", code=runtime_code(stack)
        )
    return stack


@pytest.fixture(scope="module")
def package_index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where no package index can be reached: shown by one pure-Python wheel, which fits every platform."""
    folder = tmp_path_factory.mktemp("index")
    lock = folder / "requirements.lock"
    lines = runtime_source().lock.read_text().splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.startswith("fastjsonschema=="))
    end = next((n for n, line in enumerate(lines) if n > start and not line.startswith(" ")), len(lines))
    lock.write_text("".join(lines[start:end]))
    try:
        install_wheels(lock, folder / "target", ARM)
    except BundlingError as error:
        pytest.skip(f"no package index: {error}")


@pytest.fixture(scope="module")
def arm_asset(package_index: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The asset of an app with two functions; its folder holds nothing else than the assembly."""
    out = tmp_path_factory.mktemp("out")
    cdk.App.of(functions_with_code(out, "arm64")).synth()  # type: ignore[union-attr]
    (asset,) = out.glob("asset.*")
    return asset


@pytest.fixture
def wheels_at_hand(arm_asset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lays out what pip installed once, with the modes that the umask gives, in place of a further installation."""

    def install(_lock: Path, folder: Path, _platform: LambdaPlatform) -> None:
        for path in arm_asset.rglob("*"):
            target = folder / path.relative_to(arm_asset)
            if path.is_dir():
                target.mkdir(exist_ok=True)
            else:
                shutil.copyfile(path, target)

    monkeypatch.setattr(bundling, "install_wheels", install)


@pytest.fixture(scope="module")
def host_asset(package_index: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle for this machine, alone in its folder."""
    output = tmp_path_factory.mktemp("host") / "output"
    output.mkdir()
    assert WheelBundling(runtime_source(), host_platform()).try_bundle(str(output))
    return output


def test_two_functions_share_one_asset_without_leftovers(arm_asset: Path) -> None:
    assert [
        path.name for path in arm_asset.parent.iterdir() if "bundling" in path.name or "building" in path.name
    ] == []
    assert (arm_asset / "kms_runtime" / "__init__.py").is_file()


@pytest.mark.parametrize("umask", [0o077, 0o000])
@pytest.mark.usefixtures("wheels_at_hand")
def test_files_are_readable_by_lambda_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        assert WheelBundling(runtime_source(), ARM).try_bundle(str(tmp_path))
    finally:
        os.umask(before)
    modes = {(path.is_dir(), path.stat().st_mode & 0o777) for path in (tmp_path, *tmp_path.rglob("*"))}
    assert modes == {(True, 0o755), (False, 0o644)}


def test_arm64_asset_holds_arm64_binaries_only(arm_asset: Path) -> None:
    binaries = list(arm_asset.rglob("*.so"))
    assert len(binaries) >= 2
    # e_machine of the ELF header: 183 is AArch64.
    assert {int.from_bytes(binary.read_bytes()[18:20], "little") for binary in binaries} == {183}
    assert {path.name for path in binaries if "cpython" in path.name} == {
        "_cffi_backend.cpython-314-aarch64-linux-gnu.so"
    }


def test_asset_holds_no_installation_records_tests_or_lock(arm_asset: Path) -> None:
    names = {path.name for path in arm_asset.rglob("*")}
    assert names.isdisjoint(
        {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "tests", "bin", "requirements.lock"}
    )
    assert "METADATA" in names


def test_byte_code_is_left_out_when_the_interpreter_has_another_version(arm_asset: Path) -> None:
    compiled = list(arm_asset.rglob("*.pyc"))
    assert bool(compiled) is (sys.version_info[:2] == (3, 14))


def test_asset_that_was_altered_after_synthesis_is_noticed(
    arm_asset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        WheelBundling, "try_bundle", lambda _, folder: shutil.copytree(arm_asset, folder, dirs_exist_ok=True)
    )
    asset = Path(shutil.copytree(arm_asset, tmp_path / "asset.1"))
    (tmp_path / "asset.other").mkdir()
    (tmp_path / ".cache").mkdir()
    shutil.make_archive(str(tmp_path / ".cache" / "1"), "zip", arm_asset)
    assert altered_assets(tmp_path, ARM) == {"asset.1": [], ".cache/1.zip": []}

    (asset / "kms_runtime" / "macs.py").write_text("stolen = True")
    (asset / "sitecustomize.py").write_text("import os")
    (asset / "kms_runtime" / "__pycache__").mkdir(exist_ok=True)
    (asset / "kms_runtime" / "__pycache__" / "macs.cpython-314.pyc").write_bytes(b"stolen")
    (asset / "\x1b[2K").write_text("import os")
    (asset / "kms_runtime" / "errors.py").unlink()
    (asset / "kms_runtime" / "backoff.py").unlink()
    (asset / "kms_runtime" / "backoff.py").symlink_to(arm_asset / "kms_runtime" / "backoff.py")
    with zipfile.ZipFile(tmp_path / ".cache" / "1.zip", "a") as archive:
        archive.writestr("boto3.py", "stolen = True")
        archive.writestr("kms_runtime/macs.py", (arm_asset / "kms_runtime" / "macs.py").read_bytes())
    byte_code = "kms_runtime/__pycache__/macs.cpython-314.pyc"
    names = [
        "\x1b[2K",
        byte_code,
        "kms_runtime/backoff.py",
        "kms_runtime/errors.py",
        "kms_runtime/macs.py",
        "sitecustomize.py",
    ]
    assert altered_assets(tmp_path, ARM) == {"asset.1": names, ".cache/1.zip": ["boto3.py", "kms_runtime/macs.py"]}
    done = CliRunner().invoke(main, ["doctor", "--assets", str(tmp_path)])
    shown = ", ".join([r"\x1b[2K", *names[1:5]])
    assert (done.exit_code, done.output.splitlines()[0]) == (1, f"asset.1: 6 files differ: {shown}")


def test_code_that_was_replaced_by_something_that_does_not_look_like_it_is_noticed(
    arm_asset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module beside the package, or hooks alone, take its place: no file is below ``kms_runtime/``."""
    monkeypatch.setattr(
        WheelBundling, "try_bundle", lambda _, folder: shutil.copytree(arm_asset, folder, dirs_exist_ok=True)
    )
    code = {"Handler": "kms_runtime.handlers.signer.handler", "Code": {"S3Key": "1.zip"}}
    resources = {"Function": {"Type": "AWS::Lambda::Function", "Properties": code}}
    stage = tmp_path / "assembly-Stage"
    stage.mkdir()
    (stage / "S.template.json").write_text(json.dumps({"Resources": resources}))
    shutil.copytree(arm_asset, tmp_path / "asset.1")
    for place, differs in (("asset.1", False), ("elsewhere", True), ("absent", True)):
        if place == "elsewhere":
            (tmp_path / place).mkdir()
            (tmp_path / place / "kms_runtime.py").write_text("__path__ = ['/tmp']")
        files = {"1": {"source": {"path": f"../{place}", "packaging": "zip"}}}
        (stage / "S.assets.json").write_text(json.dumps({"files": files}))
        found = altered_assets(tmp_path, ARM)
        assert found.keys() == {"asset.1", place}
        assert (found["asset.1"], found[place] != []) == ([], differs)


def test_host_bundle_is_complete_and_its_byte_code_is_not_checked_against_times(host_asset: Path) -> None:
    compiled = Path(importlib.util.cache_from_source(str(host_asset / "kms_runtime" / "__init__.py")))
    # PEP 552: bit 0 says hash-based, bit 1 says that the hash is checked.
    assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01
    assert str(host_asset.parent).encode() not in compiled.read_bytes()
    check = "import cryptography, fastjsonschema, kms_runtime as k; print(k.__file__, cryptography.__file__)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    printed = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(host_asset)!r}); {check}"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert all(Path(path).is_relative_to(host_asset) for path in printed.split())
    assert [path.name for path in host_asset.parent.iterdir()] == ["output"]


def test_every_module_of_cryptography_works_without_what_the_bundle_leaves_out(host_asset: Path) -> None:
    assert not [name for name in ("cffi", "pycparser") if (host_asset / name).exists()]
    check = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import cryptography
for module in pkgutil.walk_packages(cryptography.__path__, "cryptography."):
    importlib.import_module(module.name)
from cryptography.hazmat.primitives.asymmetric import ec
ec.generate_private_key(ec.SECP384R1())
print(len(sys.modules))
"""
    command = [sys.executable, "-I", "-S", "-c", check, str(host_asset)]
    assert int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) > 100


def test_zip_of_the_function_stays_below_5_mebibytes(arm_asset: Path, tmp_path: Path) -> None:
    packed = Path(shutil.make_archive(str(tmp_path / "function"), "zip", arm_asset))
    assert packed.stat().st_size < 5 * 1024 * 1024


def test_asset_name_is_the_same_for_every_output_folder_and_differs_by_platform(tmp_path: Path) -> None:
    def asset_name(folder: str, platform: str) -> str:
        app = cdk.App(
            outdir=str(tmp_path / folder), context={"kms-patterns:platform": platform, "aws:cdk:bundling-stacks": []}
        )
        stack = cdk.Stack(app, "Stack")
        function = aws_lambda.Function(
            stack, "F", runtime=aws_lambda.Runtime.PYTHON_3_14, handler="x.y", code=runtime_code(stack)
        )
        resource = function.node.default_child
        assert isinstance(resource, aws_lambda.CfnFunction)
        return str(stack.resolve(resource.code)["s3Key"])

    assert asset_name("a", "arm64") == asset_name("b", "arm64")
    assert asset_name("c", "x86_64") != asset_name("d", "arm64")


@pytest.mark.usefixtures("package_index")
def test_wheel_with_another_hash_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"fastjsonschema==2.22.3 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(BundlingError, match=r"not the one in the lock: do not deploy"):
        install_wheels(lock, tmp_path / "target", ARM)


@pytest.mark.usefixtures("package_index")
def test_requirement_without_a_hash_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("fastjsonschema==2.22.3\n")
    with pytest.raises(BundlingError, match="Hashes are required"):
        install_wheels(lock, tmp_path / "target", ARM)


def test_file_of_the_current_folder_does_not_stand_in_for_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('planted')")
    (tmp_path / "requirements.lock").write_text("fastjsonschema==2.22.3\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundlingError, match="Hashes are required"):
        install_wheels(tmp_path / "requirements.lock", tmp_path / "target", ARM)


def test_unreachable_index_is_explained_and_docker_is_not_suggested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(BundlingError, match=r"check the network, PIP_INDEX_URL and the proxy settings.*Docker is not"):
        install_wheels(runtime_source().lock, tmp_path / "target", ARM)


def test_missing_pip_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho '/usr/bin/python: No module named pip' >&2; exit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(bundling.sys, "executable", str(python))
    with pytest.raises(BundlingError, match="this interpreter has no pip: run `python -m ensurepip`"):
        install_wheels(runtime_source().lock, tmp_path / "target", ARM)


def test_pip_cache_is_used_only_where_the_environment_puts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def record(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", record)
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path))
    install_wheels(tmp_path / "lock", tmp_path, ARM)
    monkeypatch.delenv("PIP_CACHE_DIR")
    install_wheels(tmp_path / "lock", tmp_path, ARM)
    assert ["--no-cache-dir" in command for command in commands] == [False, True]
    assert all({"--require-hashes", "--only-binary=:all:", "--no-deps"} <= set(command) for command in commands)


@pytest.mark.usefixtures("wheels_at_hand")
def test_interrupted_bundling_is_not_taken_for_the_asset(arm_asset: Path, tmp_path: Path) -> None:
    half_done = tmp_path / "out" / f"{arm_asset.name}-building"
    half_done.mkdir(parents=True)
    (half_done / "half.py").write_text("")
    cdk.App.of(functions_with_code(tmp_path / "out", "arm64")).synth()  # type: ignore[union-attr]
    (asset,) = (tmp_path / "out").glob("asset.*")
    assert {path.name for path in asset.iterdir()} == {path.name for path in arm_asset.iterdir()}


@pytest.mark.usefixtures("wheels_at_hand")
def test_failed_bundling_leaves_nothing_that_a_later_synth_takes_for_the_asset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as failing:
        failing.setenv("PIP_NO_INDEX", "1")
        failing.setenv("PIP_FIND_LINKS", str(tmp_path))
        failing.setattr(bundling, "install_wheels", install_wheels)
        with pytest.raises(RuntimeError, match="Docker is not needed"):
            functions_with_code(tmp_path / "out", "arm64")
    cdk.App.of(functions_with_code(tmp_path / "out", "arm64")).synth()  # type: ignore[union-attr]
    (asset,) = [path for path in (tmp_path / "out").glob("asset.*") if "-" not in path.name]
    assert (asset / "kms_runtime" / "__init__.py").is_file()
    assert list(asset.glob("_cffi_backend*"))


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
