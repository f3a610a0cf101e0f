"""Assemblies that the access tests read: the reference app, the examples, and apps that are not ours."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access.access_matrix import AccessMatrix
from kms_patterns.access.evaluate.evaluation import Evaluation, evaluate
from kms_patterns.access.evaluate.simulator import Simulator, simulator
from kms_patterns.access.model import Model
from kms_patterns.access.project import app_command
from kms_patterns.access.read.reader import read_model
from tests.access.minimality.world import template_of
from tests.synthesis import synthesize

ROOT = Path(__file__).parents[2]
APPS = Path(__file__).parent / "apps"
FOREIGN = sorted(path.stem for path in APPS.glob("*.py"))
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py") if "cdk.App()" in path.read_text())
OURS = ["app", *(f"examples/{name}" for name in EXAMPLES)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test of ``any_app``, ``our_app``, ``foreign_app`` or ``whole_app`` on each of them."""
    whole = ["app", *FOREIGN]  # the examples use what the reference app uses
    groups = {"any_app": [*OURS, *FOREIGN], "our_app": OURS, "foreign_app": FOREIGN, "whole_app": whole}
    for name, apps in groups.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, apps)


@pytest.fixture(scope="session")
def app_names() -> list[str]:
    return [*OURS, *FOREIGN]


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Synthesize an app once, without bundling: ``app``, ``examples/...`` or one of ``apps/``."""
    folder = tmp_path_factory.mktemp("assemblies")
    _, context = app_command(ROOT)

    def of_app(name: str) -> Path:
        if name == "app":
            return Path(request.getfixturevalue("reference_app").synth().directory)
        script = APPS / f"{name}.py" if name in FOREIGN else ROOT / f"{name}.py"
        output = folder / name.replace("/", "-")
        if not output.exists():
            synthesize(script, output, folder=ROOT, context=json.loads(context), validate=False)
        return output

    return of_app


@pytest.fixture(scope="session")
def template_alone(assembly: Callable[[str], Path]) -> Callable[[str], dict[str, Any]]:
    """The template of one stack of the reference app, with construct paths, as if it were all there is.

    A statement for several roles is one for each, so that what is changed or removed is one role's.
    """
    known: dict[str, dict[str, Any]] = {}

    def of_stack(name: str) -> dict[str, Any]:
        if name not in known:
            known[name] = one_role_each(template_of(assembly("app"), name))
        return deepcopy(known[name])

    return of_stack


def one_role_each(template: dict[str, Any]) -> dict[str, Any]:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::KMS::Key":
            policy = resource["Properties"]["KeyPolicy"]
            policy["Statement"] = [one for it in policy["Statement"] for one in _one_role_each(it)]
    return template


def _one_role_each(statement: dict[str, Any]) -> Iterator[dict[str, Any]]:
    named = statement.get("Condition", {}).get("ArnEquals", {}).get("aws:PrincipalArn")
    if not isinstance(named, list):
        yield statement
        return
    for number, arn in enumerate(named):
        one = deepcopy(statement)
        one["Condition"]["ArnEquals"]["aws:PrincipalArn"] = arn
        yield {**one, "Sid": f"{statement['Sid']}Of{number}"}


@pytest.fixture(scope="session")
def matrix(assembly: Callable[[str], Path]) -> Callable[[str], AccessMatrix]:
    """Evaluate an app once."""
    known: dict[str, AccessMatrix] = {}

    def evaluate(name: str) -> AccessMatrix:
        if name not in known:
            known[name] = AccessMatrix.from_assembly(assembly(name), project=ROOT)
        return known[name]

    return evaluate


@pytest.fixture(scope="session", autouse=True)
def running() -> Iterator[Simulator]:
    """The one simulator of all tests: whatever asks for one while it runs shares it."""
    with simulator(ROOT) as process:
        yield process


@pytest.fixture(scope="session")
def evaluated(assembly: Callable[[str], Path], running: Simulator) -> Callable[[str], tuple[Model, Evaluation]]:
    """Read and evaluate an app once, for tests that look at single findings."""
    known: dict[str, tuple[Model, Evaluation]] = {}

    def of_app(name: str) -> tuple[Model, Evaluation]:
        if name not in known:
            model = read_model(assembly(name))
            known[name] = model, evaluate(model, running)
        return known[name]

    return of_app


@pytest.fixture
def template(tmp_path: Path) -> Callable[..., Path]:
    """Write a template of these resources."""

    def write(**resources: Any) -> Path:
        path = tmp_path / "one.json"
        path.write_text(json.dumps({"Resources": resources}, indent=1))
        return path

    return write
