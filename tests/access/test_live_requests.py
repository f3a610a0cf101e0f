"""Requests to a live account: refusals, throttling, pages, grants as statements, no credentials."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from kms_patterns.access.live.account_keys import statement_of
from kms_patterns.access.live.asking import AccountNotRead, Notes, ask, is_unreadable, pages
from kms_patterns.cli.main import main

ELSEWHERE = "arn:aws:iam::222222222222:role/r"


def test_throttled_to_the_end_is_an_error_and_refusals_are_notes() -> None:
    def fail(code: str) -> Callable[[], Any]:
        def call() -> Any:
            raise ClientError({"Error": {"Code": code, "Message": "later\nplease"}}, "ListKeys")

        return call

    notes = Notes()
    with pytest.raises(AccountNotRead, match=r"kms:ListKeys failed: .*later please"):
        ask("kms:ListKeys", fail("ThrottlingException"), notes.add, what="keys")
    assert is_unreadable(ask("kms:ListKeys", fail("AccessDeniedException"), notes.add, what="keys"))
    assert ask("kms:ListKeys", fail("Gone"), notes.add, what="keys", absent=("Gone",)) is None
    assert notes.found == [("keys", "kms:ListKeys was refused: AccessDeniedException")]


def test_all_pages_are_read() -> None:
    class Client:
        def get_paginator(self, operation: str) -> "Client":
            return self

        def paginate(self, **arguments: str) -> list[dict[str, Any]]:
            return [{"Keys": [1, 2]}, {"Keys": [3]}, {}]

    assert pages(Client(), "list_keys", "Keys")() == [1, 2, 3]


@pytest.mark.parametrize(
    ("grant", "principal", "condition"),
    [
        ({}, {"AWS": ELSEWHERE}, None),
        (
            {"Constraints": {"EncryptionContextEquals": {"a": "1"}}},
            {"AWS": ELSEWHERE},
            {
                "StringEquals": {"kms:EncryptionContext:a": "1"},
                "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["a"]},
            },
        ),
        ({"GranteePrincipal": "rds.eu-west-1.amazonaws.com"}, {"Service": "rds.eu-west-1.amazonaws.com"}, None),
        (
            {"GranteeServicePrincipal": "dynamodb.amazonaws.com", "Constraints": {"SourceArn": "arn:aws:x"}},
            {"Service": "dynamodb.amazonaws.com"},
            {"ArnLike": {"aws:SourceArn": "arn:aws:x"}},
        ),
    ],
)
def test_grant_is_the_statement_that_allows_the_same(
    grant: dict[str, Any], principal: dict[str, str], condition: dict[str, Any] | None
) -> None:
    made = statement_of(
        {"GrantId": "g", "GranteePrincipal": ELSEWHERE, "Operations": ["Decrypt", "DescribeKey"]} | grant
    )
    assert made["Principal"] == principal
    assert made["Action"] == ["kms:Decrypt", "kms:DescribeKey"]
    assert made.get("Condition") == condition


def test_no_credentials_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for words, message in (
        (["--live"], "no Region"),
        (["--live", "--region", "eu-west-1"], "credentials"),
        ([], "give a SOURCE"),
    ):
        result = CliRunner().invoke(main, ["access", "report", *words])
        assert (result.exit_code, message in result.output) == (2, True)
