"""The reference app, built as the CDK command line builds it, without bundling."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import aws_cdk as cdk
import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def app_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_app_module", ROOT / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def build(app_module: ModuleType) -> Callable[..., cdk.App]:
    """Build the app under the context of cdk.json and that of the keyword arguments."""
    settings: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text())["context"]

    def build_app(region: str | None = None, **context: str) -> cdk.App:
        with pytest.MonkeyPatch.context() as environment:
            environment.delenv("CDK_DEFAULT_ACCOUNT", raising=False)
            environment.delenv("CDK_DEFAULT_REGION", raising=False)
            if region:
                environment.setenv("CDK_DEFAULT_REGION", region)
            app = cdk.App(context={**settings, "aws:cdk:bundling-stacks": [], **context})
            app_module.add_stacks(app)
        return app

    return build_app


@pytest.fixture(scope="session")
def reference_app(build: Callable[..., cdk.App]) -> cdk.App:
    return build()


@pytest.fixture(scope="session")
def templates(reference_app: cdk.App) -> dict[str, dict[str, Any]]:
    """The synthesized template of each stack."""
    return {stack.stack_name: stack.template for stack in reference_app.synth().stacks}
