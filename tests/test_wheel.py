"""The distribution as its users get it: built, installed away from the sources, used by an app in another folder."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
CONSUMER_APP = """
from aws_cdk import App, Stack
from kms_patterns import EncryptedBucket, EncryptionKey, SecretCipher

app = App(outdir="cdk.out", context={"aws:cdk:bundling-stacks": []})
stack = Stack(app, "Consumer")
key = EncryptionKey(stack, "Key", alias="consumer/data")
EncryptedBucket(stack, "Bucket", encryption_key=key)
SecretCipher(stack, "Secrets", encryption_key=key, required_context=["tenant"])
app.synth()
"""
WHERE = "import kms_patterns, kms_runtime; print(kms_patterns.__file__); print(kms_runtime.__file__)"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (wheel,) = dist.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def consumer_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with our wheel and what it requires: neither the sources, nor what only tests or extras need."""
    folder = tmp_path_factory.mktemp("consumer-venv")
    venv.create(folder)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in required("cdk-kms-patterns") - {"cdk-kms-patterns"}:
        for top in {file.parts[0] for file in distribution(name).files or () if file.parts[0] != ".."}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(sysconfig.get_path("purelib")) / top)
    return python


def required(name: str, seen: frozenset[str] = frozenset()) -> set[str]:
    """Return ``name`` and all that it requires without extras, as installed here."""
    found = {name}
    for requirement in map(Requirement, distribution(name).requires or ()):
        needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if needed and requirement.name not in seen | found:
            found |= required(requirement.name, seen | found)
    return found


def test_wheel_holds_both_typed_packages_and_nothing_compiled(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {
        "kms_patterns/__init__.py",
        "kms_patterns/py.typed",
        "kms_runtime/__init__.py",
        "kms_runtime/py.typed",
        "kms_runtime/requirements.lock",
    } <= set(names)
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"kms_patterns", "kms_runtime"}
    assert [name for name in names if "__pycache__" in name or name.endswith(".pyc")] == []


def test_extras_are_not_needed_and_their_absence_is_explained(consumer_python: Path, tmp_path: Path) -> None:
    command = [str(consumer_python), "-m", "kms_patterns", "local", "start"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'cdk-kms-patterns[local]'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_sdist_holds_the_sources_and_no_environment(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"app.py", "pyproject.toml", "lambda/requirements.lock", "constructs/kms_patterns/__init__.py"} <= names
    assert [name for name in names if name.startswith((".venv", "node_modules", "cdk.out", ".cache"))] == []


def test_wheel_is_used_by_an_app_in_another_folder(consumer_python: Path, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(CONSUMER_APP)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [str(consumer_python), *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    for module in run("-c", WHERE).split():
        assert Path(module).is_relative_to(consumer_python.parents[1])
    run("app.py")
    template = json.loads((tmp_path / "cdk.out" / "Consumer.template.json").read_text())
    types = [resource["Type"] for resource in template["Resources"].values()]
    assert types.count("AWS::KMS::Key") == 1
    assert types.count("AWS::Lambda::Function") == 2
