"""The HTML page, opened in a headless browser: it filters, explains a cell on click, and loads nothing else."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.access import AccessMatrix
from kms_patterns.access.evaluate.comparison import compare
from kms_patterns.access.evaluate.entries import Statement
from kms_patterns.access.report.html import difference_as_html, matrix_as_html
from tests.browser import Browser, started

COUNT = """
const visible = () => ({
  sections: [...document.querySelectorAll('section[id^=list] h2, th.resource')].map((item) =>
    item.firstChild.textContent.trim()),
  rows: [...document.querySelectorAll('table.heat tbody th.who')].map((item) => item.textContent),
  reachable: document.querySelectorAll('td.always, td.conditional, td.scoped').length,
  marked: document.querySelectorAll('td.gained, td.widened, td.changed').length,
  detail: document.getElementById('detail').hidden ? null : document.getElementById('detail').innerText,
})
const type = (id, value) => {
  document.getElementById(id).value = value
  document.getElementById(id).dispatchEvent(new Event('input'))
}
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with started(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def drive(tmp_path: Path, browser: Browser) -> Callable[[str, str], Any]:
    """Open a page from a file, and return the value of a script that is run in it."""

    def run(page: str, script: str) -> Any:
        path = tmp_path / "page.html"
        path.write_text(page, encoding="utf-8")
        return browser.run(path.as_uri(), f"{{{COUNT}{script}}}")

    return run


def test_page_shows_every_key_and_bucket(
    matrix: Callable[[str], AccessMatrix], drive: Callable[[str, str], Any]
) -> None:
    seen = drive(matrix_as_html(matrix("convenient_grants")), "visible()")
    assert seen["sections"] == [
        "key Key (alias/orders)",
        "bucket Orders",
        "function Custom::S3AutoDeleteObjectsCustomResourceProvider/Handler",
        "function Report",
        "Who may assume the roles",
    ]
    assert "role Service/Web" in seen["rows"]
    assert seen["detail"] is None


def test_filter_leaves_what_matches(matrix: Callable[[str], AccessMatrix], drive: Callable[[str, str], Any]) -> None:
    page = matrix_as_html(matrix("convenient_grants"))
    everything = drive(page, "visible()")
    found = drive(page, "type('find', 'service/web getobject'); visible()")
    assert found["rows"] == ["role Service/Web"]
    assert found["sections"] == ["bucket Orders"]
    assert 0 < found["reachable"] < everything["reachable"]
    nothing = drive(page, "type('find', 'no such thing'); visible()")
    assert (nothing["rows"], nothing["sections"]) == ([], [])


def test_resource_is_chosen(matrix: Callable[[str], AccessMatrix], drive: Callable[[str, str], Any]) -> None:
    found = drive(matrix_as_html(matrix("convenient_grants")), "type('resource', 'Data/Key'); visible()")
    assert found["sections"] == ["key Key (alias/orders)"]


def test_click_explains_a_cell_and_escape_closes_it(
    matrix: Callable[[str], AccessMatrix], drive: Callable[[str, str], Any]
) -> None:
    click = """
    type('resource', 'KmsPatterns-S3/Key')
    const cell = [...document.querySelectorAll('td.conditional')].find((item) => item.title.includes('kms:Decrypt'))
    cell.click()
    const opened = visible().detail
    document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }))
    ;[opened, visible().detail]
    """
    opened, closed = drive(matrix_as_html(matrix("app")), click)
    assert "kms:Decrypt" in opened
    assert "kms:ViaService = s3.<region>.amazonaws.com" in opened
    assert '"Effect": "Allow"' in opened
    assert closed is None


def test_difference_marks_what_was_gained(
    matrix: Callable[[str], AccessMatrix], drive: Callable[[str, str], Any]
) -> None:
    old = matrix("convenient_grants")
    narrower = [entry for entry in old.entries if entry.principal != "Service/Web"]
    before = AccessMatrix(
        old.stacks, old.principals, old.resources, old.actions, narrower, old.statements, old.unresolved
    )
    difference = compare(before, old)
    seen = drive(difference_as_html(difference), "visible()")
    assert seen["sections"][0] == "Changes"
    assert seen["marked"] == len({(step.entry.resource, step.entry.action) for step in difference.steps} - roles(old))
    assert seen["marked"] > 20


def roles(matrix: AccessMatrix) -> set[tuple[str, str]]:
    return {(what.id, "sts:AssumeRole") for what in matrix.resources if what.kind == "role"}


MEASURE = """
const cut = (item) => item.scrollWidth > item.clientWidth + 1 || item.scrollHeight > item.clientHeight + 1
const overflowing = [...document.querySelectorAll('th, summary, h1, h2, td, a')].filter((item) =>
  getComputedStyle(item).overflow !== 'visible' && cut(item)).map((item) => item.textContent)
const wide = document.documentElement.scrollWidth
"""


def test_every_kind_has_one_header_and_a_place_in_the_contents(
    matrix: Callable[[str], AccessMatrix], drive: Callable[[str, str], Any]
) -> None:
    headers, kinds, links = drive(
        matrix_as_html(matrix("app")),
        """[document.querySelectorAll('main > section > .scroll > table.heat thead').length,
            [...document.querySelectorAll('main > section')].map((item) => item.id),
            [...document.querySelectorAll('#contents a')].map((item) =>
               [item.textContent, Boolean(document.querySelector(item.getAttribute('href')))])]""",
    )
    assert kinds == ["kind-key", "kind-bucket", "kind-function", "list-Who-may-assume-the-roles"]
    assert headers == 3
    assert all(found for _, found in links)
    assert {what.id for what in matrix("app").resources if what.kind != "role"} <= {text for text, _ in links}


def test_functions_that_only_administrators_reach_are_folded_until_looked_for(
    matrix: Callable[[str], AccessMatrix], drive: Callable[[str, str], Any]
) -> None:
    folded = "[...document.querySelectorAll('details.lonely th.resource')].map((item) => item.textContent)"
    page = matrix_as_html(matrix("convenient_grants"))
    assert [text.split()[1] for text in drive(page, folded)] == [
        "Custom::S3AutoDeleteObjectsCustomResourceProvider/Handler",
        "Report",
    ]
    assert drive(page, f"type('find', 'administrator'); {folded}") == []


def test_nothing_is_cut_and_a_telephone_scrolls_only_inside_tables(
    matrix: Callable[[str], AccessMatrix], drive: Callable[[str, str], Any]
) -> None:
    page = matrix_as_html(matrix("app"))
    assert drive(page, f"{MEASURE}; overflowing") == []
    framed = """const frame = document.createElement('iframe')
        frame.style.cssText = 'width:400px;height:800px;border:0'
        document.body.append(frame)
        frame.contentDocument.documentElement.innerHTML = document.documentElement.innerHTML
        frame.contentDocument.documentElement.scrollWidth"""
    assert drive(page, framed) <= 400


def test_page_needs_no_network(matrix: Callable[[str], AccessMatrix]) -> None:
    page = matrix_as_html(matrix("app"))
    assert "default-src 'none'" in page
    assert re.findall(r"(?:src|href)\s*=|@import|url\(", page) == []


def test_data_cannot_end_its_script_element(matrix: Callable[[str], AccessMatrix]) -> None:
    hostile = Statement("</script><script>alert(1)</script>", 1, "{}")
    page = matrix_as_html(replace(matrix("convenient_grants"), statements=[hostile]))
    data = page.split('type="application/json">', 1)[1].split("</script>", 1)[0]
    assert json.loads(data)["statements"] == [[hostile.policy, 1, "{}"]]
