"""How many random cases the differential test runs."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option; it is known whenever this folder is named on the command line."""
    parser.addoption("--differential-cases", type=int, default=5000, help="random policies to compare (5000)")
