"""The documentation site: every page is found from its menu, and no link in it leads nowhere or elsewhere by itself."""

import importlib.util
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.browser import started

ROOT = Path(__file__).parent.parent
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
LOADING = {"img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href"}
STATED = {"canonical", "prev", "next", "alternate"}  # what a <link> only states: the browser does not load it


class Page(HTMLParser):
    """Anchors, links and loaded addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.ids |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        address = attributes.get(LOADING.get(tag, ""))
        if address and attributes.get("rel") not in STATED:
            self.loaded.append(address)


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_site", ROOT / "docs" / "write_site.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built(writer: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    writer.build(folder)
    return folder


@pytest.fixture(scope="module")
def site(built: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text()) for path in sorted((built / "site").rglob("*.html"))}


def menu(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            yield from menu(list(value.values()))
        case list():
            for item in value:
                yield from menu(item)


def test_menu_has_every_page_and_no_other(built: Path, writer: ModuleType) -> None:
    pages = {str(path.relative_to(built / "docs")) for path in (built / "docs").rglob("*.md")}
    listed = set(menu(tomllib.loads((built / writer.SETTINGS.name).read_text())["project"]["nav"]))
    assert {page for page in pages if not page.startswith(("source/", "decisions/"))} == listed


def test_no_link_leads_nowhere(site: dict[Path, Page]) -> None:
    broken = []
    for path, page in site.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            there = site.get(target)
            if not target.is_file() or (parts.fragment and there and unquote(parts.fragment) not in there.ids):
                broken.append(f"{path.name}: {link}")
    assert broken == []
    assert sum(len(page.links) for page in site.values()) > len(site)


def test_nothing_is_loaded_from_elsewhere(site: dict[Path, Page]) -> None:
    elsewhere = {url for page in site.values() for url in page.loaded if urlsplit(url).scheme in {"http", "https"}}
    assert elsewhere == set()


def test_page_opened_as_a_file_draws_its_diagrams_and_asks_no_other_machine(
    built: Path, site: dict[Path, Page], tmp_path: Path
) -> None:
    script = """(async () => {
        for (let tries = 0; tries < 200 && document.querySelector('pre.mermaid'); tries++)
            await new Promise(resolve => setTimeout(resolve, 50))
        const loaded = performance.getEntriesByType('resource').map(entry => entry.name)
        const count = selector => document.querySelectorAll(selector).length
        return {left: count('pre.mermaid'), drawn: count('div.mermaid'),
                elsewhere: loaded.filter(name => !name.startsWith('file:'))}
    })()"""
    with started(tmp_path) as browser:
        found = browser.run((built / "site" / "patterns" / "secret-cipher.html").as_uri(), script)
    assert found == {"left": 0, "drawn": 1, "elsewhere": []}


@pytest.mark.parametrize("page", ["index", "how-to", "patterns/envelope-cipher", "reference/kms-patterns"])
def test_page_has_no_serious_barrier(page: str, built: Path, tmp_path: Path) -> None:
    script = (
        AXE.read_text()
        + """;axe.run({resultTypes: ['violations']}).then(found => found.violations
        .filter(each => ['serious', 'critical'].includes(each.impact)).map(each => [each.id, each.nodes[0].html]))"""
    )
    with started(tmp_path) as browser:
        assert browser.run((built / "site" / f"{page}.html").as_uri(), script) == []


def test_link_that_leads_nowhere_would_be_found(writer: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        writer.Site(tmp_path).add("docs/page-that-does-not-exist.md")


def test_reference_has_every_public_name(built: Path, writer: ModuleType) -> None:
    text = (built / "docs" / "reference" / "kms-patterns.md").read_text()
    assert [name for name in writer.kms_patterns.__all__ if f".{name}\n" not in text] == []
