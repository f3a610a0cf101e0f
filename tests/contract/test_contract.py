"""Every row of the contract; and docs/embedded-aws.md lists them all."""

import hashlib
import json
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.conftest import users_settings
from tests.contract.conftest import ROWS, Bench, Row

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


def test_a_profile_of_identity_center_finds_the_token_of_its_users_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = {"startUrl": "https://example.awsapps.com/start", "region": "us-east-1"}
    token = session | {"accessToken": "of-the-user", "expiresAt": "2999-01-01T00:00:00Z"}
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    (cache / f"{hashlib.sha1(b'team').hexdigest()}.json").write_text(json.dumps(token))
    (tmp_path / ".aws" / "config").write_text(
        "[profile team]\nsso_session = team\nsso_account_id = 111122223333\nsso_role_name = r\nregion = us-east-1\n"
        "[sso-session team]\nsso_start_url = https://example.awsapps.com/start\nsso_region = us-east-1\n"
    )
    monkeypatch.setenv("USERS_HOME", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    users_settings(monkeypatch)

    profile = boto3.Session(profile_name="team")
    found = profile._session.get_component("token_provider").load_token()
    assert found.get_frozen_token().token == "of-the-user"
    assert profile.client("sts")._endpoint.http_session._proxy_config.proxy_url_for("https://a") == "http://127.0.0.1:9"
