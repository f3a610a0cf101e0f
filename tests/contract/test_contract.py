"""Every row of the contract; and docs/embedded-aws.md lists them all."""

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.contract.bench import Bench
from tests.contract.rows import ROWS, Row

DOCUMENT = Path(__file__).parents[2] / "docs" / "embedded-aws.md"


def shown(expected: object) -> str:
    return f"`{expected}`" if isinstance(expected, str) else "as sent" if isinstance(expected, bytes) else f"{expected}"


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.operation}: {row.case}" for row in ROWS])
def test_row(bench: Bench, row: Row) -> None:
    try:
        outcome = row.call(bench)
    except ClientError as refused:
        outcome = refused.response["Error"]["Code"]
    bench.outcomes.append((row.operation, row.case, shown(row.expected), shown(outcome)))
    assert outcome == row.expected, row.page


def test_every_row_has_its_own_name() -> None:
    names = [(row.operation, row.case) for row in ROWS]
    assert len(names) == len(set(names))


def test_the_document_lists_every_row() -> None:
    lines = [f"| [{row.operation}]({row.page}) | {row.case} | {shown(row.expected)} |" for row in ROWS]
    document = DOCUMENT.read_text(encoding="utf-8")
    assert [line for line in lines if line not in document] == []
