"""Where the contract is run: the embedded AWS, or with ``--contract-profile`` a real account."""

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from tests.contract.bench import Bench

# KMS itself is to refuse, not the client; and a real account's throttling is no part of the contract.
CONFIG = Config(parameter_validation=False, retries={"mode": "standard", "max_attempts": 6})


REPORT = Path(__file__).parents[2] / "build" / "contract.md"


def write_report(outcomes: list[tuple[str, str, str, str]], file: Path) -> None:
    """Write a table with pass or fail for each row that was run."""
    lines = ["| operation | case | expected | found | |", "|---|---|---|---|---|"]
    for operation, case, expected, found in outcomes:
        verdict = "pass" if found == expected else "**fail**"
        lines.append(f"| {operation} | {case} | {expected} | {found} | {verdict} |")
    failed = sum(found != expected for _, _, expected, found in outcomes)
    lines.append(f"\n{len(outcomes)} rows, {len(outcomes) - failed} pass, {failed} fail")
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for a real account; ``make contract`` asks before it passes it."""
    parser.addoption("--contract-profile", help="an AWS profile to run the contract against: keys cost money there")


@pytest.fixture(scope="session")
def bench(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """The bench; whatever it made is scheduled for deletion at the end, also after a failure."""
    profile = pytestconfig.getoption("contract_profile", default=None)
    if profile:
        folder = Path(os.environ["USERS_HOME"]) / ".aws"
        os.environ |= {
            "AWS_CONFIG_FILE": str(folder / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        }
        yield from _cleaned(Bench(boto3.Session(profile_name=profile).client("kms", config=CONFIG)))
        return
    yield from _cleaned(Bench(request.getfixturevalue("aws").client("kms", config=CONFIG)))


def _cleaned(bench: Bench) -> Iterator[Bench]:
    try:
        yield bench
    finally:
        write_report(bench.outcomes, REPORT)
        left = bench.clean_up()
        assert not left, f"delete these keys yourself: {left}"
