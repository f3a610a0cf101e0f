"""Where the contract is run: the embedded AWS, or with ``--contract-profile`` a real account."""

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from kms_patterns.local import LocalAws
from tests.contract.bench import Bench

# KMS itself is to refuse, not the client; and a real account's throttling is no part of the contract.
CONFIG = Config(parameter_validation=False, retries={"mode": "standard", "max_attempts": 6})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for a real account; ``make contract`` asks before it passes it."""
    parser.addoption("--contract-profile", help="an AWS profile to run the contract against: keys cost money there")


@pytest.fixture(scope="session")
def bench(pytestconfig: pytest.Config) -> Iterator[Bench]:
    """The bench; whatever it made is scheduled for deletion at the end, also after a failure."""
    profile = pytestconfig.getoption("contract_profile", default=None)
    if profile:
        aws = Path(os.environ["USERS_HOME"]) / ".aws"
        os.environ |= {"AWS_CONFIG_FILE": str(aws / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(aws / "credentials")}
        yield from _cleaned(Bench(boto3.Session(profile_name=profile).client("kms", config=CONFIG)))
        return
    with LocalAws.start() as aws:
        yield from _cleaned(Bench(aws.client("kms", config=CONFIG)))


def _cleaned(bench: Bench) -> Iterator[Bench]:
    try:
        yield bench
    finally:
        left = bench.clean_up()
        assert not left, f"delete these keys yourself: {left}"
