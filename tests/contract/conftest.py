"""Where the contract is run: the embedded AWS, or with ``--contract-profile`` a real account."""

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import botocore
import pytest
from botocore.config import Config
from botocore.credentials import SSOProvider
from botocore.tokens import SSOTokenProvider

from kms_patterns.local.server.kms.permissions import PERMISSIONS
from kms_runtime.kms_model import ml_kem_session
from tests.conftest import USERS_AWS
from tests.contract.rows import Bench

# KMS itself is to refuse, not the client; and a real account's throttling is no part of the contract.
CONFIG = Config(parameter_validation=False, retries={"mode": "standard", "max_attempts": 6})
_SETTINGS = (
    "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE", "AWS_REGION", "AWS_DEFAULT_REGION",
    "AWS_LOGIN_CACHE_DIRECTORY", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_STS_REGIONAL_ENDPOINTS",
)  # fmt: skip
REPORT = Path(__file__).parents[2] / "build" / "contract.md"


def users_settings(patch: pytest.MonkeyPatch) -> None:
    """Give back the home folder, which holds profiles and cached tokens (``~/.aws``), and what leads to AWS.

    Proxies and CA bundles whose variables do not begin with ``AWS_`` were never taken. Access keys of the environment
    stay out: the profile alone decides on the account.
    """
    home = os.environ["USERS_HOME"]
    patch.setenv("HOME", home)
    for provider in (SSOProvider, SSOTokenProvider):
        # botocore looks the home folder up when it is imported.
        patch.setattr(provider, "_SSO_TOKEN_CACHE_DIR", f"{home}/.aws/sso/cache")
    for name, value in USERS_AWS.items():
        if name in _SETTINGS:
            patch.setenv(name, value)


def write_report(outcomes: list[tuple[str, str, str, str]], file: Path) -> None:
    """Write a table with pass or fail for each row that was run."""
    names = {*ml_kem_session().get_service_model("kms").operation_names}
    served = names & PERMISSIONS.keys()
    lines = [
        f"botocore {botocore.__version__} with kms_runtime/models: {len(names)} operations of KMS, of which the "
        f"embedded AWS serves {len(served)}",
        "",
    ]
    lines += ["| operation | case | expected | found | |", "|---|---|---|---|---|"]
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
        with pytest.MonkeyPatch.context() as patch:
            users_settings(patch)
            yield from _cleaned(
                Bench(
                    boto3.Session(profile_name=profile, botocore_session=ml_kem_session()).client("kms", config=CONFIG)
                )
            )
        return
    yield from _cleaned(Bench(request.getfixturevalue("aws").client("kms", config=CONFIG)))


def _cleaned(bench: Bench) -> Iterator[Bench]:
    try:
        yield bench
    finally:
        write_report(bench.outcomes, REPORT)
        left = bench.clean_up()
        assert not left, f"delete these keys yourself: {left}"
