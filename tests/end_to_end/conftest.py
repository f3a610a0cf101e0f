"""The reference app, deployed once by the real CDK command line for all end-to-end tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from demo.runner import default_input, deployed_stage
from demo.scenario import Stage
from tests.end_to_end.deployment import Family, deployed_family

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    with deployed_stage(ROOT, default_input(), Console()) as stage:
        yield stage


@pytest.fixture(scope="session")
def family(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Family:
    return deployed_family(stage.aws, tmp_path_factory.mktemp("family"))
