"""Reports as text, Markdown and pages; whatever text a template holds is shown as text."""

import json
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyte
import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt

from kms_patterns.access import AccessMatrix
from kms_patterns.access.evaluate.access_conditions import ALWAYS, NEVER, Leaf
from kms_patterns.access.evaluate.comparison import Difference, Kind, Step, compare
from kms_patterns.access.evaluate.entries import Access, ActionName, Statement, What, Who
from kms_patterns.access.findings import RULES, Violation
from kms_patterns.access.live.key_inventory import KeyRecord
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import PrincipalKind, ResourceKind, Unresolved
from kms_patterns.access.questions import quantum_readiness
from kms_patterns.access.questions.explanation import Explanation, Part
from kms_patterns.access.questions.quantum_readiness import KeyReadiness, Urgency
from kms_patterns.access.report.formats import as_sarif, render, render_difference, render_explanation
from kms_patterns.access.report.html import difference_as_html, embedded, matrix_as_html
from kms_patterns.access.report.markdown import LIMIT, code
from kms_patterns.access.report.text import as_text
from kms_patterns.access.report.wording import hidden, mapped, quoted, visible, visible_json, visible_lines
from kms_patterns.cli import keys, local, re_encryption
from kms_patterns.local import inspection
from kms_runtime.handlers import bulk_report
from tests.access import test_questions as asked
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
    lists = ["list-Who-may-assume-the-roles", "list-Who-can-come-to-use-a-key"]
    assert kinds == ["kind-key", "kind-bucket", "kind-function", *lists]
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


PIECES = (
    *"`|\\\n\r\t \"'<>&*_[]()!#@~:%-=+$^{}\0\x1b\x07\x08\x7f\x85\x9b\xa0\xad",
    *("\u200b\u200e\u202e\u2028\u2066\ufeff\u3164\u0301\ue000\U000e0041\ud800"),
    *(
        "``",
        "```",
        "<!--",
        "-->",
        "</script>",
        "<script>",
        "]]>",
        "&lt;",
        "&#64;",
        "https://evil.invalid",
        "@org/team",
        "#1",
    ),
    *(
        "\x1b[2J",
        "\x1b[8m",
        "\x1b]0;x\x07",
        "\x9b2K",
        "%SCRIPT%",
        "%DATA%",
        "a",
        "Zed",
        "é",
        "文",
        " or ",
        " and ",
        "\\|",
        "\\x1b",
    ),
    *(
        "![i](https://evil.invalid/p.png)",
        "</details>",
        "| a | b |\n|---|---|\n",
        ":smile:",
        "${x}",
        "\r\n## Heading\n",
    ),
)
MANY = int(os.environ.get("HOSTILE_TEXTS", "2000"))
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def hostile(count: int, seed: int = 20261125) -> Iterator[str]:
    """Yield texts made of pieces that mean something to a medium; the seed is kept."""
    picks = random.Random(seed)
    yield from PIECES
    for _ in range(count):
        yield "".join(picks.choices(PIECES, k=picks.randint(1, 8)))


def test_visible_text_is_one_line_of_ink_and_tells_texts_apart() -> None:
    found: dict[str, str] = {}
    for text in hostile(MANY):
        shown = visible(text)
        assert not any(hidden(letter) for letter in shown)
        assert "  " not in shown
        assert found.setdefault(shown, text) == text
        assert visible(text + "/x").startswith(shown)
    assert visible("b\x1b[2A\n") == r"b\x1b[2A\n"
    assert visible("a\\b \u202e") == r"a\\b \u202e"
    assert visible("Grüße, 文字") == "Grüße, 文字"


def test_terminal_shows_visible_text_where_it_was_written() -> None:
    """In batches: a screen of 400 columns, each text on a line of its own between two marks."""
    texts = [visible(text) for text in hostile(MANY // 2)]
    for start in range(0, len(texts), 400):
        batch = texts[start : start + 400]
        screen = pyte.Screen(400, 400)
        pyte.Stream(screen).feed("\r\n".join(f"<{text}>" for text in batch))
        shown = [line.rstrip() for line in screen.display]
        assert shown[: len(batch)] == [f"<{text}>" for text in batch]
        assert screen.title == ""


def cells(markdown: str) -> list[list[tuple[str, str]]]:
    """Return type and content of the inline tokens of every table cell."""
    tokens = MARKDOWN.parse(markdown)
    return [
        [(child.type, child.content) for child in token.children or ()]
        for before, token in pairwise(tokens)
        if before.type == "td_open"
    ]


def test_markdown_cell_is_one_code_span_with_the_text() -> None:
    texts = [visible(text) for text in hostile(MANY)]
    for start in range(0, len(texts), 1000):
        batch = texts[start : start + 1000]
        table = "\n".join(["| a | b |", "|---|---|", *(f"| {code(text)} | x |" for text in batch)])
        found = cells(table)
        assert found[1::2] == [[("text", "x")]] * len(batch)
        assert found[::2] == [[("code_inline", text or " ")] for text in batch]
        listed = MARKDOWN.parse("\n".join(f"- {code(text, in_table=False)}" for text in batch))
        inline = [token for token in listed if token.type == "inline"]
        assert [[child.content for child in token.children or ()] for token in inline] == [
            [text or " "] for text in batch
        ]


class Page(HTMLParser):
    """Collects the elements of a page, and the text of the element that holds the data."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "script"


def test_data_of_a_page_comes_back_as_it_was() -> None:
    texts = [text for text in hostile(MANY) if "\ud800" not in text]
    parsed = Page(f"<script>{embedded(texts)}</script><p>")
    assert parsed.tags == ["script", "p"]
    assert json.loads(parsed.scripts[0]) == texts
    assert "<" not in embedded(texts)
    assert json.loads(visible_json(json.dumps(texts, ensure_ascii=False))) == texts


def test_word_of_a_sentence_cannot_be_taken_for_several() -> None:
    assert quoted("s3.us-east-1.amazonaws.com") == "s3.us-east-1.amazonaws.com"
    assert quoted("b or kms:ViaService = c") == '"b or kms:ViaService = c"'
    assert quoted('"') == r'"\""'
    assert [quoted(text) for text in ("", "or", "absent")] == ['""', '"or"', '"absent"']


def matrix(text: str) -> Matrix:
    """A matrix in which a stranger's text stands wherever a template decides."""
    who = [
        Who("X/Reader", PrincipalKind.ROLE, "role X/Reader", "X"),
        Who(text, PrincipalKind.NAMED, f"{text} (of account 222222222222)", None),
        Who("X/Zed", PrincipalKind.ROLE, "role X/Zed", "X"),
    ]
    what = [
        What(f"X/{text}", ResourceKind.BUCKET, text, "X", None, None),
        What("X/K", ResourceKind.KEY, "K", "X", None, None),
    ]
    leaf = Leaf("StringEquals", f"kms:EncryptionContext:{text}", (text,))
    entries = [Access(item.id, "X/K", "kms:Decrypt", "key", None, leaf, (0,)) for item in who]
    entries.append(Access("X/Zed", f"X/{text}", "s3:GetObject", "object", text, leaf, (0,)))
    actions = {
        ResourceKind.KEY: [ActionName("kms:Decrypt", "key", "use"), ActionName("kms:Sign", "key", "use")],
        ResourceKind.BUCKET: [ActionName("s3:GetObject", "object", "object read")],
    }
    return Matrix(
        ["X"],
        who,
        what,
        actions,
        entries,
        [Statement(text, 1, json.dumps({"Sid": text}))],
        [Unresolved(text, text, text)],
    )


NASTY = [
    "v2`\n\n<!-- more\n",
    "v2\x1b[8m\x1b]0;x\x07",
    "<!--<script>",
    "%SCRIPT%",
    "a`@octo-org/team`b",
    "\u202e",
    "x: nothing\n  role Zed: nothing",
]


@pytest.mark.parametrize("text", NASTY)
def test_no_form_of_a_report_loses_the_rows_after_a_hostile_one(text: str) -> None:
    given = matrix(text)
    steps = [Step(Kind.GAINED, entry, NEVER, entry.condition) for entry in given.entries]
    difference = Difference(matrix("other"), given, steps)
    for form in ("text", "markdown", "json", "html"):
        for output in (render(given, form), render_difference(difference, form)):
            assert not any(hidden(letter) for letter in output if letter != "\n")
            assert "Zed" in output
    for output in (render(given, "markdown"), render_difference(difference, "markdown")):
        tokens = [child for token in MARKDOWN.parse(output) for child in (token.children or [token])]
        assert {token.type for token in tokens}.isdisjoint({"link_open", "image", "fence", "code_block"})
        html = {token.content.strip() for token in tokens if token.type in {"html_block", "html_inline"}}
        assert all(item.startswith(("<details><summary>", "</details>", "<sub>", "</sub>")) for item in html)
        assert any(content in {"role X/Zed", "role Zed"} for cell in cells(output) for _, content in cell)
    assert any(line.startswith("    role Zed, when") for line in render(given, "text").splitlines())


@pytest.mark.parametrize("form", ["text", "markdown", "json", "html"])
def test_hostile_matrix_in_every_form(form: str) -> None:
    for text in hostile(40, seed=7):
        output = render(matrix(text), form)
        assert not any(hidden(letter) for letter in output if letter != "\n"), ascii(text)
        if form == "html":
            assert Page(output).tags.count("script") == 2
        if form == "markdown":
            assert any(content in {"role X/Zed", "role Zed"} for cell in cells(output) for _, content in cell), ascii(
                text
            )


def test_long_comment_is_cut_with_its_summary_whole_and_says_how_much_is_missing() -> None:
    base = matrix("a")
    entries = [
        Access(f"X/Role{number}", "X/K", "kms:Decrypt", "key", None, Leaf("StringEquals", "k", (f"{number}" * 40,)))
        for number in range(900)
    ]
    who = [Who(entry.principal, PrincipalKind.ROLE, f"role {entry.principal}", "X") for entry in entries]
    full = Matrix(["X"], who, base.resources, base.actions, entries, [], [])
    empty = Matrix(["X"], who, base.resources, base.actions, [], [], [])
    difference = Difference(empty, full, [Step(Kind.GAINED, entry, NEVER, entry.condition) for entry in entries])
    for output in (render(full, "markdown"), render_difference(difference, "markdown")):
        assert len(output.encode()) <= LIMIT < 65_536
        assert "further rows found no room here" in output
        assert output.count("<details>") == output.count("</details>")
    assert "**Access was widened.** 900 gained." in render_difference(difference, "markdown")


def test_comment_of_many_warnings_and_stacks_has_room_for_neither() -> None:
    base = matrix("a")
    names = [f"Stack{number}" for number in range(2_000)]
    who = [Who("account administrator", PrincipalKind.ADMINISTRATOR, "account administrator", None)]
    keys = [What(f"{name}/K", ResourceKind.KEY, "K", name, None, None) for name in names]
    use = [Access(who[0].id, what.id, "kms:Decrypt", "key", None, ALWAYS, ()) for what in keys]
    full = Matrix(names, who, keys, base.actions, use, [], [])
    for output in (render(full, "markdown"), render_difference(Difference(base, full, []), "markdown")):
        assert (len(output.encode()) <= LIMIT, "further rows found no room here" in output) == (True, True)


def test_message_of_several_lines_keeps_them_and_nothing_else() -> None:
    assert visible_lines("it failed:\n\x1b[2Jline\rfake") == "it failed:\n\\x1b[2Jline\\rfake"


ESCAPES = "a\x9b2K\x1b[2J\u202e"


def test_key_inventory_shows_what_policies_and_messages_hold_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    record = KeyRecord("arn", stack=ESCAPES, dead_statements=[f"{ESCAPES}\nforged line"], not_read=[ESCAPES])
    monkeypatch.setattr(keys, "_records", lambda **_: [record])
    for words in (["list"], ["unused"], ["cost"]):
        output = CliRunner().invoke(keys.keys, words, catch_exceptions=False).output
        assert not any(hidden(letter) for letter in output if letter != "\n")
        assert "\nforged" not in output


def test_recorded_calls_show_what_requests_hold_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    call = {"action": "kms:Encrypt", "decision": "allow", "requestId": "1", "principal": ESCAPES, "operation": ESCAPES}
    call |= {"context": {ESCAPES: ESCAPES}, "resource": ESCAPES, "time": "t", "service": "kms", "session": ESCAPES}
    monkeypatch.setattr(local, "_running", lambda _: SimpleNamespace(layout=None))
    monkeypatch.setattr(inspection, "recorded_calls", lambda _: [call])
    monkeypatch.setattr(inspection, "line_of", lambda it: it["operation"])
    monkeypatch.setattr(inspection, "explained", lambda it: it["operation"])
    for words in (["calls"], ["why", "1"]):
        output = CliRunner().invoke(local.local, words, catch_exceptions=False).output
        assert not any(hidden(letter) for letter in output if letter != "\n"), ascii(output)


def test_later_reports_show_what_others_wrote_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Jobs of S3, explanations, keys and quantum computers: a line for a line, and nothing that a terminal acts on."""
    texts = list(hostile(MANY // 5))
    for some in (texts[place : place + 10] for place in range(0, len(texts), 10)):
        rows = [{"TaskStatus": "failed", "Key": it, "ErrorCode": it, "ResultMessage": it} for it in some]
        re_encryption._say("1", {"Status": "Complete", "Report": {"Prefix": "p"}}, iter(rows))
        said = capsys.readouterr().out
        assert len(said.splitlines()) == 1 + len({*some}) + len(some), ascii(some)
        for text in some:
            said += re_encryption._reasons({"FailureReasons": [{"FailureCode": text, "FailureReason": text}]})
            given = Explanation(text, text, text, [], [Part(text, text)], [[text]])
            said += "".join(render_explanation(given, form) for form in ("text", "json", "markdown"))
            kinds = {
                it.type for it in MARKDOWN.parse(render_explanation(given, "markdown")) for it in it.children or [it]
            }
            assert kinds.isdisjoint({"link_open", "image", "html_block", "html_inline", "fence"}), ascii(text)
            key = KeyReadiness(text, text, Urgency.NOW, "x", "y", [text])
            said += quantum_readiness._as_text(mapped([key]))
        assert not any(hidden(letter) for letter in said if letter != "\n"), ascii(said)


def test_page_of_a_bulk_run_shows_names_of_objects_as_text() -> None:
    texts = list(hostile(MANY // 5))
    examples = [{"key": it, "error": it, "reason": it} for it in texts]
    found = {"dollars": {}, "failures": dict.fromkeys(texts, 1), "examples": examples, "failedLists": texts}
    output = bulk_report.page({**found, "execution": texts[-1]})
    assert output.isprintable()
    page = Page(output)
    rows = len({*texts}) + len(texts)
    assert Counter(page.tags) == {
        **dict.fromkeys(("html", "meta", "title", "h1", "ul"), 1), "h2": 2, "table": 2,
        "tr": rows + 1, "td": 2 * len({*texts}) + 3 * len(texts) + 2, "li": len(texts),
    }  # fmt: skip


def test_sarif_is_json_whose_messages_are_the_texts(tmp_path: Path) -> None:
    texts = [text for text in hostile(MANY // 10) if "\ud800" not in text]
    rule = next(iter(RULES))
    given = [Violation(rule, "Stack", text, text) for text in texts]
    log = as_sarif(given, {"Stack": tmp_path / "t.json"}, base=tmp_path)
    assert not any(hidden(letter) for letter in log if letter != "\n")
    results = json.loads(log)["runs"][0]["results"]
    assert [it["message"]["text"] for it in results] == [
        visible(f"{RULES[rule][0]}: {text}. {RULES[rule][1]}.") for text in texts
    ]
    assert [it["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] for it in results] == [
        visible(f"Stack/{text}") for text in texts
    ]


SNAPSHOTS = Path(__file__).parent / "snapshots"


def test_access_is_as_committed(
    any_app: str, matrix: Callable[[str], AccessMatrix], request: pytest.FixtureRequest
) -> None:
    found = matrix(any_app)
    text = "\n".join(as_text(found.of_stack(stack)) for stack in sorted(found.stacks))
    if request.config.getoption("update_snapshots"):
        write({**committed(any_app), any_app: text}, snapshot(any_app))
    assert text == committed(any_app).get(any_app), "access changed: review the difference, then `make snapshots`"


def test_every_snapshot_belongs_to_an_app(app_names: list[str]) -> None:
    assert {path.name for path in SNAPSHOTS.iterdir()} == {snapshot(name).name for name in app_names}
    assert {name for app in app_names for name in committed(app)} == set(app_names)


def snapshot(app: str) -> Path:
    """Return the file for an app: one for the reference app, one for the examples, one for apps that are not ours."""
    name = "app" if app == "app" else "examples" if app.startswith("examples/") else "foreign"
    return SNAPSHOTS / f"{name}.access.snapshot"


def committed(app: str) -> dict[str, str]:
    """Return the texts of the file for an app, by app."""
    if not snapshot(app).exists():
        return {}
    parts = re.split(r"^=== (.+)\n\n", snapshot(app).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {name: text[:-1] for name, text in zip(parts[::2], parts[1::2], strict=True)}


def write(texts: dict[str, str], file: Path) -> None:
    file.write_text("".join(f"=== {name}\n\n{text}\n" for name, text in sorted(texts.items())), encoding="utf-8")


def test_filters_keep_the_paths_of_a_principal_and_no_others(template: Callable[..., Path]) -> None:
    method = {"Effect": "Allow", "Action": ["iam:UpdateAssumeRolePolicy", "sts:AssumeRole"], "Resource": "*"}
    user = asked.statement({"Fn::GetAtt": ["Reader", "Arn"]}, "kms:Decrypt")
    path = template(
        Key=asked.key(asked.NOTHING, user), Reader=asked.role(), Ci=asked.role(method), Other=asked.role(method)
    )
    for form in ("text", "markdown"):
        said = asked.access("report", path, "--principal", "Ci", "--format", form).output
        assert ("can become one/Reader" in said, "one/Other" in said) == (True, False)
    saved = json.loads(asked.access("report", path, "--principal", "Ci", "--format", "json").output)
    assert {item["principal"] for item in saved["escalations"]} == {"one/Ci"}


def test_part_of_a_report_is_neither_compared_nor_asked(template: Callable[..., Path], tmp_path: Path) -> None:
    shop = template(Key=asked.key(asked.NOTHING), Docs={"Type": "AWS::S3::Bucket"})
    part = tmp_path / "part.json"
    asked.access("report", shop, "--action", "kms:Decrypt", "--format", "json", "--output", part)
    for words in (("diff", shop, part, "--fail"), ("diff", part, shop), ("readers", "Docs", part)):
        result = asked.access(*words)
        assert (result.exit_code, "holds only --action kms:Decrypt" in result.output) == (2, True)
    assert asked.access("report", part).output.startswith("only --action kms:Decrypt\n")


def test_sarif_address_is_quoted_and_the_line_is_of_the_resource(
    template: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = template(Key=asked.key(asked.statement(asked.ROOT_ARN, "kms:*")))
    place = shop.parent / "my app" / "100%.json"
    place.parent.mkdir()
    place.write_text(json.dumps({"Mappings": {"Key": {"a": {"b": "c"}}}} | json.loads(shop.read_text()), indent=1))
    monkeypatch.chdir(shop.parent)
    run = json.loads(asked.access("report", place, "--format", "sarif").output)["runs"][0]
    found = run["results"][0]["locations"][0]["physicalLocation"]
    assert found["artifactLocation"]["uri"] == "my%20app/100%25.json"
    line = place.read_text().splitlines()[found["region"]["startLine"] - 1 :]
    assert ('"Key"' in line[0], '"Type"' in line[1]) == (True, True)
