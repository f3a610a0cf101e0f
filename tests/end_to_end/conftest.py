"""The reference app, deployed once by the real CDK command line for all end-to-end tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from demo.runner import SMALLEST_INPUT, default_input, deployed_stage
from demo.scenario import Stage
from tests.end_to_end.deployment import Family, deployed_family

ROOT = Path(__file__).parents[2]
SEVERAL_PARTS = 3 * SMALLEST_INPUT
"""Bytes of the demo's own input that are enough: an upload in parts, a message of many frames."""


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    file = tmp_path_factory.mktemp("input") / "beginning"
    with default_input().open("rb") as whole:
        file.write_bytes(whole.read(SEVERAL_PARTS))
    with deployed_stage(ROOT, file, Console()) as stage:
        yield stage


@pytest.fixture(scope="session")
def family(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Family:
    return deployed_family(stage.aws, tmp_path_factory.mktemp("family"))
