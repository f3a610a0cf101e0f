"""The house keeps its shape: what must not exist, what must not be imported, what must not be committed."""

import ast
import re
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST_FILE = 260


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def forbidden_imports(folder: str, *forbidden: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in tracked(f"{folder}/*.py")
        for name in imports(path.read_text())
        if any(name == prefix or name.startswith(f"{prefix}.") for prefix in forbidden)
    ]


@pytest.mark.parametrize("folder", ["constructs", "lambda"])
def test_source_root_is_not_a_package(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists(), f"{folder}/__init__.py would shadow the {folder} package"


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("lambda", ("kms_patterns", "aws_cdk", "constructs", "ministack")),
        ("constructs/kms_patterns/policy", ("constructs", "kms_patterns.keys", "kms_patterns.patterns")),
        ("constructs/kms_patterns/keys", ("kms_patterns.patterns", "kms_patterns.local", "kms_runtime")),
        ("constructs/kms_patterns/patterns", ("kms_patterns.local", "demo", "kms_runtime")),
        ("constructs/kms_patterns/local", ("aws_cdk", "constructs", "kms_patterns.keys", "kms_patterns.patterns")),
        ("constructs/kms_patterns/access", ("kms_patterns.keys", "kms_patterns.patterns", "kms_patterns.local")),
        ("demo", ("aws_cdk", "constructs", "kms_patterns.keys", "kms_patterns.patterns")),
    ],
)
def test_arrows_point_one_way(folder: str, forbidden: tuple[str, ...]) -> None:
    assert tracked(f"{folder}/*.py"), f"no file in {folder}"
    assert forbidden_imports(folder, *forbidden) == []


def test_forbidden_import_is_found() -> None:
    assert list(imports("import aws_cdk.aws_kms as kms\nfrom constructs import Construct")) == [
        "aws_cdk.aws_kms",
        "constructs",
    ]


def test_lock_files_name_no_addresses() -> None:
    locks = tracked("*.lock", "package-lock.json")
    assert {path.name for path in locks} == {"requirements.lock", "package-lock.json"}
    assert [path.name for path in locks if re.search(r"https?://", path.read_text())] == []


def test_lambda_lock_agrees_with_the_projects() -> None:
    def pins(path: Path) -> set[str]:
        return set(re.findall(r"^([a-z0-9_.-]+==[^\s;]+)", path.read_text(), re.MULTILINE))

    lambda_pins = pins(ROOT / "lambda" / "requirements.lock")
    assert lambda_pins
    assert lambda_pins <= pins(ROOT / "requirements.lock")


def test_installed_cdk_is_not_half_another_package() -> None:
    module = Path(sysconfig.get_path("purelib")) / "aws_cdk" / "cloud_assembly_schema" / "__init__.py"
    assert "aws-cdk-lib.cloud_assembly_schema" in module.read_text(), "aws-cdk-lib must be installed last: make clean"


def test_files_stay_short() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in tracked("*.py")}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_file_is_compiled_or_large() -> None:
    assert [path for path in tracked() if path.suffix == ".pyc" or path.stat().st_size > 1_000_000] == []
