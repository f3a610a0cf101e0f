"""Builds the documentation site in build/site from the pages, examples, schemas and docstrings of this checkout.

Pages stay where a reader of the repository finds them. This script copies them to build/docs, turns each link to a file
of the checkout into a link to a page of the site, adds what is generated (reference of both packages, of the commands,
of events and responses), and lets Zensical render it. Nothing is loaded from elsewhere, by the script or by the site.
"""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

from docs.reference import GENERATED

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
SETTINGS = Path(__file__).with_name("zensical.toml")
MODULES = ROOT / "node_modules"
SCRIPTS = "assets/javascripts"
# What the theme loads from elsewhere: for the search of a page that was opened as a file, and for diagrams.
SHIM = ("https://unpkg.com/iframe-worker/shim", MODULES / "iframe-worker" / "shim" / "index.js", "iframe-worker.js")
DIAGRAMS = (
    '"https://unpkg.com/mermaid@12/dist/mermaid.min.js"',
    MODULES / "@mermaid-js" / "tiny" / "dist" / "mermaid.tiny.js",
    "mermaid.js",
)
HOME = {"README.md": "index.md", "lambda/README.md": "kms-runtime.md"}
PAGES_ELSEWHERE = {*HOME, "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"}
LANGUAGES = {".py": "python", ".mjs": "javascript", ".sh": "bash", ".json": "json", ".yml": "yaml", ".toml": "toml"}
# What the theme lacks for readers with a keyboard or weak sight: code and tables that scroll take the focus, on devices
# without a mouse also, and the menu's current entry has contrast. On a phone tables scroll before words are broken.
FOCUS = ('?e.setAttribute("tabindex","0"):e.removeAttribute("tabindex")', ',e.setAttribute("tabindex","0")')
WRAPPED = ('{class:"md-typeset__scrollwrap"}', '{class:"md-typeset__scrollwrap",tabindex:"0"}')
CONTRAST = (
    "</head>",
    "<style>.md-nav__link--active>.md-ellipsis{color:var(--md-default-fg-color);font-weight:600}"
    ".md-typeset td code{word-break:normal;overflow-wrap:normal}@media(max-width:600px)"
    "{.md-typeset table:has(th:nth-child(4)) td:not([style*=right]){min-width:7rem}}</style></head>",
)
LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)]*)?\)")
LIST = re.compile(r"(?m)^(?![-|#>\s`]|\d+\. )(.+)\n(?=(?:-|\d+\.) )")
# A name in a docstring, as editors follow it.
ROLE = re.compile(r":[a-z]+:`~?(?:\w+\.)*(\w+)`")
# Where a long name in a cell of a table may go on in the next line.
CELL, NAME = re.compile(r"(?s)<td.*?</td>"), re.compile(r"(?<=<code>)[^<]+(?=</code>)")
BREAKS = re.compile(r"[_./:](?=\w)|(?<=[a-z])(?=[A-Z])")
PICTURE = re.compile(r"(?m)^!\[[^]]*\]\(([^)\s]+)\)$")


def tracked() -> list[str]:
    """Return the files of the checkout, as paths relative to it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def address(name: str) -> str:
    """Return the place of the file ``name`` among the pages of the site."""
    if name.endswith(".md"):
        return HOME.get(name) or name.removeprefix("docs/")
    if name.startswith("docs/") and Path(name).suffix in {".png", ".svg"}:
        return name.removeprefix("docs/")
    return f"source/{name}.md"


class Site:
    """The pages of the site, written below ``folder``.

    A page that links to a file of the checkout brings that file along as a page of its own, and so does a folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = tracked()
        self.written: set[str] = set()

    def write(self, place: str, text: str) -> None:
        """Write the page ``place``."""
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def add(self, name: str) -> None:
        """Add the file or folder ``name`` of the checkout, and all that it links to."""
        if name in self.written:
            return
        self.written.add(name)
        source = ROOT / name
        if source.is_dir():
            self.write(f"source/{name}/index.md", self._listing(name))
        elif name.endswith(".md"):
            self.write(address(name), self._linked(name, _for_the_site(source.read_text(encoding="utf-8"))))
        elif source.suffix in {".png", ".svg"}:
            target = self.folder / address(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        else:
            code = source.read_text(encoding="utf-8")
            self.write(address(name), f"# {name}\n\n`````{LANGUAGES.get(source.suffix, 'text')}\n{code}`````\n")

    def _listing(self, name: str) -> str:
        inside = [each for each in self.files if each.startswith(f"{name}/") and "/." not in each]
        for each in inside:
            self.add(each)
        here = f"source/{name}/index.md"
        lines = [f"- [{each.removeprefix(f'{name}/')}]({_relative(here, address(each))})" for each in inside]
        return f"# {name}\n\n" + "\n".join(lines) + "\n"

    def _linked(self, name: str, text: str) -> str:
        def site_link(match: re.Match[str]) -> str:
            opening, target, fragment = match[1], match[2], match[3] or ""
            if re.match(r"[a-z]+:", target):
                return match[0]
            path = os.path.normpath(str(PurePosixPath(name).parent / target))
            self.add(path)
            place = f"source/{path}/index.md" if (ROOT / path).is_dir() else address(path)
            return f"{opening}{_relative(address(name), place)}{fragment})"

        return LINK.sub(site_link, text)


def _for_the_site(text: str) -> str:
    """Return ``text`` with a line before each list, and pictures that lead to themselves, to be read on a phone."""
    parts = re.split(r"(?ms)(^```.*?^```$)", PICTURE.sub(r"[\g<0>](\1)", text))
    return "".join(part if part.startswith("```") else LIST.sub(r"\1\n\n", part) for part in parts)


def _relative(page: str, target: str) -> str:
    return os.path.relpath(target, str(PurePosixPath(page).parent))


CLIENT = ROOT / "examples" / "clients" / "encrypt.html"
_MODULE = re.compile(r"(?<=// envelope\.mjs, as written by docs/write_site\.py\n).*?(?=// The page\n)", re.DOTALL)
_SCRIPT = re.compile(r"<script type=\"module\">(.*?)</script>", re.DOTALL)
_HASH = re.compile(r"(?<=script-src 'sha256-)[^']*")


def client_page() -> str:
    """Return the client's page with envelope.mjs as it is now: a page that is opened as a file imports no module.

    Its Content-Security-Policy has the hash of the script.
    """
    module = CLIENT.with_name("envelope.mjs").read_text(encoding="utf-8").replace("export async", "async")
    page = _MODULE.sub(lambda _: module, CLIENT.read_text(encoding="utf-8"))
    [script] = _SCRIPT.findall(page)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _HASH.sub(lambda _: digest, page)


TOLD = {"docs", *HOME, "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"}


def gather(folder: Path) -> None:
    """Write all pages of the site, as Markdown, below ``folder``."""
    shutil.rmtree(folder, ignore_errors=True)
    site = Site(folder)
    for name in site.files:
        if name.endswith(".md") and name.split("/")[0] in TOLD:
            site.add(name)
    site.add("lambda/README.md")
    for place, page in GENERATED.items():
        site.write(place, page())


def build(folder: Path) -> None:
    """Gather the pages in ``folder``/docs and render them to ``folder``/site."""
    gather(folder / "docs")
    for package in ("constructs/kms_patterns", "lambda/kms_runtime"):
        _copy_package(ROOT / package, folder / "src" / Path(package).name)
    settings = SETTINGS.read_text(encoding="utf-8")
    (folder / SETTINGS.name).write_text(_with_pages(settings, folder / "docs"), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "zensical", "build", "--clean", "--strict"], cwd=folder, check=True)
    _bring_scripts(folder / "site")


def _copy_package(package: Path, copy: Path) -> None:
    """Copy the modules of ``package``, with the ``__init__.py`` that the reader of docstrings needs in each folder."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for module in [*copy.rglob("*.py")]:
        (module.parent / "__init__.py").touch()
        module.write_text(ROLE.sub(r"``\1``", module.read_text(encoding="utf-8")), encoding="utf-8")


def _with_pages(settings: str, pages: Path) -> str:
    """Return the settings with the pages that each pattern of the menu stands for."""
    for pattern in re.findall(r'"([^"]*\*\.md)"', settings):
        found = sorted(path.relative_to(pages).as_posix() for path in pages.glob(pattern))
        settings = settings.replace(
            f'"{pattern}"', ", ".join(f'"{name}"' for name in found if f'"{name}"' not in settings)
        )
    return settings


def _bring_scripts(site: Path) -> None:
    elsewhere, source, name = SHIM
    shutil.copyfile(source, site / SCRIPTS / name)
    for page in site.rglob("*.html"):
        _replace(page, elsewhere, os.path.relpath(site / SCRIPTS / name, page.parent))
        _replace(page, *CONTRAST)
        page.write_text(CELL.sub(_breakable, page.read_text(encoding="utf-8")), encoding="utf-8")
    elsewhere, source, name = DIAGRAMS
    shutil.copyfile(source, site / SCRIPTS / name)
    (bundle,) = (site / SCRIPTS).glob("bundle.*.js")
    _replace(bundle, elsewhere, f"""new URL("{name}",document.querySelector("script[src*='/bundle.']").src).href""")
    _replace(bundle, *FOCUS)
    _replace(bundle, *WRAPPED)


def _breakable(cell: re.Match[str]) -> str:
    return NAME.sub(lambda name: BREAKS.sub(r"\g<0><wbr>", name[0]), cell[0])


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    if old not in text:
        raise ValueError(f"{path.name} does not have {old}: the theme changed, see what it has now")
    path.write_text(text.replace(old, new), encoding="utf-8")


if __name__ == "__main__":
    CLIENT.write_text(client_page(), encoding="utf-8")
    build(BUILD)
