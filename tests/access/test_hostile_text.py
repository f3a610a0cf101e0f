"""Nothing that a template, condition or name holds hides, forges or injects in text, Markdown, HTML or JSON."""

import json
import os
import random
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pyte
import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt

from kms_patterns.access.evaluate.comparison import Difference, Kind, Step
from kms_patterns.access.evaluate.entries import Access, ActionName, Statement, What, Who
from kms_patterns.access.evaluate.expressions import NEVER, Leaf
from kms_patterns.access.findings import RULES, Violation
from kms_patterns.access.live.key_inventory import KeyRecord
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import PrincipalKind, ResourceKind, Unresolved
from kms_patterns.access.report.formats import render, render_difference
from kms_patterns.access.report.html import embedded
from kms_patterns.access.report.markdown import LIMIT, code
from kms_patterns.access.report.sarif import as_sarif
from kms_patterns.access.report.visible import hidden, quoted, visible, visible_json, visible_lines
from kms_patterns.cli import keys, local
from kms_patterns.local import inspection

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
