"""Assemblies that the access tests read: the reference app, the examples, and apps that are not ours."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kms_patterns.access.matrix import AccessMatrix
from kms_patterns.access.project import app_command
from kms_patterns.access.simulator import Simulator, simulator

ROOT = Path(__file__).parents[2]
APPS = Path(__file__).parent / "apps"
FOREIGN = sorted(path.stem for path in APPS.glob("*.py"))
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py") if "cdk.App()" in path.read_text())
OURS = ["app", *(f"examples/{name}" for name in EXAMPLES)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test of ``any_app``, ``our_app`` or ``foreign_app`` on each of them."""
    for name, apps in {"any_app": [*OURS, *FOREIGN], "our_app": OURS, "foreign_app": FOREIGN}.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, apps)


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Synthesize an app once, without bundling: ``app``, ``examples/...`` or one of ``apps/``."""
    folder = tmp_path_factory.mktemp("assemblies")
    _, context = app_command(ROOT)

    def synthesize(name: str) -> Path:
        script = APPS / f"{name}.py" if name in FOREIGN else ROOT / f"{name}.py"
        output = folder / name.replace("/", "-")
        if not output.exists():
            variables = {name: value for name, value in os.environ.items() if not name.startswith("CDK_")}
            subprocess.run(
                [shutil.which("python") or "python", str(script)],
                cwd=ROOT,
                env={**variables, "CDK_OUTDIR": str(output), "CDK_CONTEXT_JSON": context},
                check=True,
                capture_output=True,
            )
        return output

    return synthesize


@pytest.fixture(scope="session")
def matrix(assembly: Callable[[str], Path]) -> Callable[[str], AccessMatrix]:
    """Evaluate an app once."""
    known: dict[str, AccessMatrix] = {}

    def evaluate(name: str) -> AccessMatrix:
        if name not in known:
            known[name] = AccessMatrix.from_assembly(assembly(name), project=ROOT)
        return known[name]

    return evaluate


@pytest.fixture(scope="session")
def running() -> Iterator[Simulator]:
    with simulator(ROOT) as process:
        yield process
