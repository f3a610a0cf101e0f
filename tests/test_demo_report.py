"""The demo's report: rows that failed stand at the end, nothing observed is taken for markup, the exit code tells."""

from pathlib import Path

import pytest
from rich.console import Console

from demo import report, runner
from demo.scenario import Row, Scenario

CALL = {
    "action": "kms:Decrypt",
    "keyArn": "arn:aws:kms:us-east-1:111122223333:key/1",
    "principal": "arn:aws:sts::111122223333:assumed-role/reader/1",
    "encryptionContext": {"tenant": "<b>"},
    "viaService": "s3.us-east-1.amazonaws.com",
    "decision": "deny",
    "reason": "no resource-based policy allows it",
    "statement": {"policy": "key policy", "sid": "DenyAll", "position": 1, "effect": "Deny"},
}


def row(observed: str, expected: str = "refused") -> Row:
    return Row(Scenario("1. Group", "reader", "reads <script>", expected, lambda _: observed), observed, [CALL])


def text(*rows: Row, width: int) -> str:
    console = Console(width=width, record=True)
    console.print(report.table("Group", rows, narrow=width < runner.WIDE))
    return console.export_text()


def test_page_has_each_call_with_the_statement_that_decided_and_no_markup_of_others(tmp_path: Path) -> None:
    page = report.write([row("refused"), row("<img src=x>")], tmp_path).read_text()
    assert "1 of 2 rows as expected" in page
    assert page.count("no resource-based policy allows it (key policy DenyAll)") == 2
    assert "<script>" not in page
    assert "<img" not in page
    assert "{&quot;tenant&quot;: &quot;&lt;b&gt;&quot;}" in page
    assert "| ✗ | reader | reads <script> | refused | <img src=x> |" in (tmp_path / "report.md").read_text()


def test_at_80_columns_what_was_expected_is_said_where_it_was_not_observed() -> None:
    narrow = " ".join(text(row("refused"), row("read"), width=80).split())
    assert "Expected" not in narrow
    assert "read, not:" in narrow
    assert "Expected" in text(row("refused"), width=170)


def test_groups_are_chosen_by_module_or_title_with_those_that_they_build_on() -> None:
    chosen = runner.chosen(["without each permission"])
    assert {scenario.act.__module__ for scenario in chosen} == {"demo.groups.documents"}
    assert len({scenario.group for scenario in chosen}) > 1
    assert len(runner.chosen([])) > len(runner.chosen(["documents", "macs"])) > len(chosen)


def test_group_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(runner.UnknownGroup, match=r"'nosuch'.*documents, .*tokens"):
        runner.chosen(["nosuch"])
