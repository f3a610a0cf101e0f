"""Pages are true: links lead somewhere, samples run, policies are those of the templates, the site is built of them."""

import importlib.util
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import click
import fastjsonschema
import pytest
from click.testing import CliRunner

import kms_patterns
from demo.groups import SCENARIOS
from docs.event_reference import SCHEMAS, example
from kms_patterns.cli.init import FILES
from kms_patterns.cli.main import main
from kms_patterns.local import LocalAws
from kms_runtime.cli import aws_clients
from tests.browser import started
from tests.synthesis import stored

ROOT = Path(__file__).parent.parent
FIRST_PAGES = [ROOT / "README.md", ROOT / "docs" / "quick-start.md"]
TWO_SCREENS = 100  # lines
ALL_PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
SOURCES = {"kms_patterns": "constructs", "kms_runtime": "lambda"}
PAGES = sorted((ROOT / "docs" / "patterns").glob("*.md"))
REFERENCE_APP = ROOT / "tests" / "infrastructure" / "reference_app"
DOCUMENTS = ("KeyPolicy", "PolicyDocument", "AssumeRolePolicyDocument")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def readable(value: Any) -> Any:
    """Write the references of a template the way the pages do."""
    match value:
        case list():
            return [readable(item) for item in value]
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name[:-8]}.{attribute}>"
        case {"Fn::Join": [separator, parts]}:
            return separator.join(readable(parts))
        case dict():
            return {name: readable(item) for name, item in value.items()}
    return value


def statements() -> Iterator[Any]:
    for template in stored(REFERENCE_APP).values():
        for resource in template["Resources"].values():
            for name in DOCUMENTS:
                document = resource["Properties"].get(name) if "Properties" in resource else None
                yield from (readable(statement) for statement in (document or {}).get("Statement", []))


@pytest.fixture(scope="module")
def synthesized() -> list[Any]:
    return list(statements())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_policies_shown_are_those_of_the_reference_app(page: Path, synthesized: list[Any]) -> None:
    shown = [json.loads(block) for block in blocks(page, "json")]
    policies = [statement for statement in shown if "Effect" in statement]
    assert policies, "a page shows the policy that its pattern produces"
    assert [statement for statement in policies if statement not in synthesized] == []


@pytest.mark.parametrize("page", [*FIRST_PAGES, *PAGES], ids=lambda page: page.stem)
def test_samples_are_parts_of_files_that_a_test_runs(page: Path) -> None:
    run = [*(path.read_text() for path in (ROOT / "examples").glob("*.py")), *FILES.values()]
    samples = blocks(page, "python")
    assert samples
    assert [sample for sample in samples if not any(sample in text for text in run)] == []


def test_policy_that_nobody_produces_would_be_found(synthesized: list[Any]) -> None:
    assert synthesized
    assert {"Action": "kms:*", "Effect": "Allow", "Resource": "*"} not in synthesized


def test_answers_in_ten_minutes_are_those_of_the_embedded_aws() -> None:
    spec = importlib.util.spec_from_file_location("write_ten_minutes", ROOT / "docs" / "write_ten_minutes.py")
    assert spec
    assert spec.loader
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    text = writer.PAGE.read_text()
    assert len(writer.SAMPLE.findall(text)) == text.count("<!-- ")
    assert writer.page() == text


def test_readme_has_at_most_two_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= TWO_SCREENS


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[)#]", page.read_text())
    assert [link for link in links if not re.match("https?:", link) and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_named_exist(page: Path) -> None:
    text = page.read_text()
    folders = "benchmarks|constructs|demo|docs|examples|lambda|stacks|tests"
    files = [ROOT / name for name in re.findall(rf"`((?:{folders})/[\w./-]+)(?:::\w+)?`", text)]
    modules = re.findall(r"`(kms_(?:patterns|runtime)(?:\.[a-z_]+)+)", text)
    # The last part may be a function.
    files += [ROOT / SOURCES[name.partition(".")[0]] / name.rpartition(".")[0].replace(".", "/") for name in modules]
    assert [str(file) for file in files if not file.exists() and not file.with_suffix(".py").exists()] == []


def commands(page: Path) -> Iterator[str]:
    """Yield the command lines of a page: those of its blocks, and those in a sentence."""
    text = page.read_text()
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        lines = [line.strip().removeprefix("$ ") for line in block.replace("\\\n", " ").splitlines()]
        yield from (line for line in lines if line.startswith(("kms-patterns ", "make ")))
    for span in re.findall(r"`([^`\n]+)`", text):
        words = span.split()
        if words[:1] == ["make"] or (words[:1] == ["kms-patterns"] and words[1:2] and words[1] in main.commands):
            yield span


def refusal(line: str) -> str | None:
    """Return why a command line would not be understood: no such target, command or option, or too many words."""
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return next((word for word in words[1:] if "=" not in word and word not in targets), None)
    command: click.Command = main
    context, rest = click.Context(main, info_name=words[0]), words[1:]
    try:
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            name, found, rest = command.resolve_command(context, rest)
            assert found
            command, context = found, click.Context(found, parent=context, info_name=name)
        if not isinstance(command, click.Group):
            command.make_parser(context).parse_args(list(rest))
    except click.UsageError as error:
        return error.format_message()
    return None


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_command_lines_are_understood(page: Path) -> None:
    assert [(line, why) for line in commands(page) if (why := refusal(line))] == []


@pytest.mark.parametrize("line", ["make tests", "kms-patterns accesses x", "kms-patterns keys list --days 3"])
def test_command_line_that_would_not_be_understood_is_found(line: str) -> None:
    assert refusal(line)


# Command lines of the pages that no test of this module executes, and why.
NOT_EXECUTED = {
    r"make\b": "a target of the Makefile: continuous integration runs those that need no account",
    r".* cdk (bootstrap|deploy)": "deploys: tests/end_to_end",
    r"kms-patterns [a-z -]+$(?<!doctor)": "names a command in a sentence",
    r".*(\[|\||\b(OLD|ROLE|UPLOADER)\b|diff … )": "a synopsis",
    r".* local\b": "acts on a server that a shell started: tests/local/test_local_aws.py",
    r".*\b(main HEAD|report HEAD)": "synthesizes revisions of a repository: tests/access/test_command.py",
    r".*\b(live|--live)\b": "reads an account: tests/access/test_live.py",
    r".* verify app": "takes an artifact that CodeSigner signed: tests/cli/test_commands_without_aws.py",
    r".* --assets ": "makes the functions' code anew: tests/infrastructure/test_bundling.py",
    r".* still-needed ": "reads all objects of a bucket: tests/cli/test_keys.py",
}
# What stands for a user's own words, in the folder where the lines run.
OWN_WORDS = {"arn:aws:kms:…:key/…": "{key}", "--key …": "--key {key}", "KEY-ARN": "{external}", "FOLDER": "app"}
FAILING = "--fail-on AdministratorUsesKey"  # The template breaks this rule: exit code 1.
DATA = """
Resources:
  Key:
    Type: AWS::KMS::Key
    Properties:
      KeyPolicy:
        Statement:
          - Effect: Allow
            Principal: {AWS: !Sub "arn:aws:iam::${AWS::AccountId}:root"}
            Action: kms:*
            Resource: "*"
  Bucket: {Type: AWS::S3::Bucket}
  ReaderRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: [{Effect: Allow, Principal: {Service: ec2.amazonaws.com}, Action: "sts:AssumeRole"}]
      Policies:
        - PolicyName: read
          PolicyDocument: {Statement: [{Effect: Allow, Action: "kms:Decrypt", Resource: !GetAtt Key.Arn}]}
"""


def reason(line: str) -> str | None:
    return next((why for form, why in NOT_EXECUTED.items() if re.match(form, line)), None)


def executed(page: Path) -> list[str]:
    return [line for whole in commands(page) if not reason(line := whole.partition(" #")[0].strip())]


@pytest.mark.parametrize(
    "page",
    [page for page in ALL_PAGES if executed(page) and page.stem != "CHANGELOG"],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_command_lines_do_what_they_say(
    page: Path, aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    kms, s3 = aws.client("kms"), aws.client("s3")
    words = {
        "key": kms.create_key()["KeyMetadata"]["Arn"],
        "external": kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["Arn"],
    }
    if page.stem == "data-plane":
        s3.create_bucket(Bucket="vault")
        (tmp_path / "report.pdf").write_text("report")
        (tmp_path / "reports").mkdir()
        (tmp_path / "reports" / "one.pdf").write_text("one")
    (tmp_path / "cdk.out").mkdir()
    (tmp_path / "cdk.out" / "Data.yaml").write_text(DATA)
    for line in executed(page):
        for own, value in OWN_WORDS.items():
            line = line.replace(own, value.format(**words))  # noqa: PLW2901
        for cached in (aws_clients.kms_client, aws_clients.s3_client, aws_clients._session):
            cached.cache_clear()
        done = CliRunner().invoke(main, shlex.split(line)[1:])
        assert done.exit_code == int(FAILING in line), f"{line}\n{done.output}"
        if (written := tmp_path / "access-baseline.toml").exists():
            written.write_text(
                re.sub('(owner|reason) = ""', r'\1 = "x"', written.read_text()).replace('= ""', "= 9999-12-31")
            )


def test_every_reason_not_to_execute_a_command_line_is_one_of_a_page() -> None:
    found = {reason(line.partition(" #")[0].strip()) for page in ALL_PAGES for line in commands(page)}
    assert set(NOT_EXECUTED.values()) == found - {None}
    ours = [why.rpartition(" ")[2] for why in NOT_EXECUTED.values() if "tests/" in why]
    assert [name for name in ours if not (ROOT / name).exists()] == []


def test_notes_answer_as_many_statements_as_they_say_and_each_row_leads_somewhere() -> None:
    text = (ROOT / "docs" / "notes.md").read_text()
    rows = [re.split(r" \| ", line.strip("| \n")) for line in text.splitlines() if re.match(r"\| \d", line)]
    assert {len(row) for row in rows} == {4}
    assert [sum(int(count) for count, *_ in rows)] == [int(it) for it in re.findall(r"in (\d+) statements", text)]
    # That the page and the anchor exist is asked of every link of the site.
    assert [said for _, said, _, here in rows if "](" not in here] == []


def threats() -> list[list[str]]:
    text = (ROOT / "SECURITY.md").read_text()
    return [line.strip("| ").split(" | ") for line in text.partition("## Threats")[2].splitlines() if line[:2] == "| "]


def test_every_cell_of_the_threats_names_what_shows_it() -> None:
    rows = threats()
    known = set(re.findall(r"^\s*def (test_\w+)", "\n".join(it.read_text() for it in ROOT.glob("tests/**/*.py")), re.M))
    known |= {scenario.what for scenario in SCENARIOS}
    assert (len(rows), {len(row) for row in rows}) == (1 + 10, {1 + 4})
    for attacker, *cells in rows[1:]:
        for cell in cells:
            shown = re.findall(r'`(test_\w+)`|"([^"]+)"', cell)
            assert shown, f"{attacker}: {cell}"
            assert {test or row for test, row in shown} <= known, f"{attacker}: {cell}"
            assert cell.startswith(("stopped", "seen", "not stopped")), f"{attacker}: {cell}"


# A claim of the README: the attacker and the goal of the cell that stops it, and what shows it there.
CLAIMS = {
    "least privilege is a test result": (
        "compromised function", "Read", "test_roles_have_exactly_this_and_nobody_else_uses_the_key"),
    "enforces key, IAM and bucket policies": (
        "neighbour on the machine", "Forge", "test_anonymous_wrongly_signed_and_unknown_credentials_are_refused"),
    "whose every object is under it": ("uploader", "Read", "uploads under another key"),
    "Two policies must agree": (
        "holder of `iam:CreateRole`", "Deny service", "test_every_operation_that_was_not_granted_is_denied"),
    "Either alone is refused, and an administrator with `*:*` can manage the key and read no object as themselves": (
        "administrator", "Read", "downloads"),
    "What cannot be known counts as allowed": (
        "author of a branch", "Hide", "test_unknown_deny_takes_nothing_away_for_certain"),
    "one may only encrypt, one only decrypt": ("compromised function", "Read", "reads the vault"),
    "verified offline": ("uploader", "Forge", "writes a signature itself"),
    "moves ciphertexts to another key or context, unread": (
        "compromised function", "Read", "decrypts a value of the old key"),
}  # fmt: skip
# What such words say of other things than what is stopped; that a key does not leave KMS, AWS says.
NO_CLAIMS = (
    "so that two stacks never want", "Something was refused", "which needs no network", "no CDK", "with IAM enforced",
    "which statement refused", "safe from a later quantum computer", "without an outage", "that never leaves KMS",
    "without a role", "what is promised, and what is not",
)  # fmt: skip
CLAIMING = re.compile(
    r"(?i)\b(only|never|no|nobody|not|nothing|none|cannot|refus\w+|denie[ds]|unread|exact\w*|prov\w+|least privilege|"
    r"enforce\w*|safe\w*|secure\w*|every|always|must|verified|without|protect\w*|guarantee\w*|unauthorized)\b"
)


def claiming(page: str) -> list[str]:
    """Return the sentences and cells of a page that may claim that something is stopped."""
    prose = re.sub(r"\]\([^)]*\)", "]", re.sub(r"```.*?```", "", page, flags=re.DOTALL))
    parts = [" ".join(part.split()) for part in re.split(r"\n\n|\n(?=[-|])", prose)]
    return [it for part in parts for it in re.split(r"(?<=[.:;])\s", part) if CLAIMING.search(it)]


def test_readme_claims_nothing_that_the_threats_do_not() -> None:
    (_attacker, *goals), *rows = threats()
    sentences = claiming((ROOT / "README.md").read_text())
    unknown = [it for it in sentences if not any(known in it for known in (*CLAIMS, *NO_CLAIMS))]
    assert unknown == [], "add the claim with the cell that stops it, or say less"
    assert [known for known in (*CLAIMS, *NO_CLAIMS) if not any(known in it for it in sentences)] == []
    for claim, (attacker, goal, shown) in CLAIMS.items():
        (cell,) = [row[1 + goals.index(goal)] for row in rows if row[0].startswith(attacker)]
        stopped = [part for part in re.split(r"(?i)(?=not stopped|(?<!not )stopped|seen:)", cell) if shown in part]
        assert stopped, f"{claim}: {cell}"
        assert not stopped[0].lower().startswith("not"), f"{claim}: {cell}"


def test_claim_that_no_threat_stops_would_be_found() -> None:
    assert claiming("Nobody reads it. It is nice; keys are safe:\nalways") == [
        "Nobody reads it.",
        "keys are safe:",
        "always",
    ]


def test_secret_events_of_every_pattern_are_listed() -> None:
    (listed,) = re.findall(r"^- A dead-letter queue holds.*?(?=^- )", (ROOT / "SECURITY.md").read_text(), re.M | re.S)
    modules = (ROOT / "constructs" / "kms_patterns" / "patterns").glob("*.py")
    functions = [it.read_text() for it in modules if re.search(r"_function\(|DataPlaneFunction\(", it.read_text())]
    patterns = {
        name for text in functions for name in re.findall(r"^class (\w+)\(", text, re.M) if name in kms_patterns.__all__
    }
    # A pattern's own page may say it instead.
    kebab = {name: re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower() for name in patterns}
    pages = {name: ROOT / "docs" / "patterns" / f"{stem}.md" for name, stem in kebab.items()}
    saying = {name for name, page in pages.items() if page.exists() and "dead-letter queue" in page.read_text()}
    assert {name for name in patterns - saying if f"`{name}`" not in listed} == set()
    assert len(patterns) > 8


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
    assert {page for page in pages if not page.startswith("source/")} == listed


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


@pytest.mark.parametrize("page", ["index", "keys/errors", "patterns/envelope-cipher", "reference/events"])
def test_page_has_no_serious_barrier(page: str, built: Path, tmp_path: Path) -> None:
    script = (
        AXE.read_text()
        + """;axe.run({resultTypes: ['violations']}).then(found => found.violations
        .filter(each => ['serious', 'critical'].includes(each.impact)).map(each => [each.id, each.nodes[0].html]))"""
    )
    with started(
        tmp_path, ["--window-size=400,900"] if page == "reference/events" else ["--window-size=1400,900"]
    ) as browser:
        assert browser.run((built / "site" / f"{page}.html").as_uri(), script) == []


def test_link_that_leads_nowhere_would_be_found(writer: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        writer.Site(tmp_path).add("docs/page-that-does-not-exist.md")


def test_reference_has_every_public_name(built: Path, writer: ModuleType) -> None:
    text = (built / "docs" / "reference" / "kms-patterns.md").read_text()
    assert [name for name in writer.kms_patterns.__all__ if f".{name}\n" not in text] == []


def test_examples_of_events_and_responses_are_accepted_by_their_schemas() -> None:
    accepted = 0
    for path in sorted(SCHEMAS.glob("*.json")):
        document = json.loads(path.read_text())
        for name, schema in document.get("definitions", {}).items():
            if schema.get("type") == "object" and "title" in schema:
                whole = {**schema, "definitions": document["definitions"]}
                assert fastjsonschema.compile(whole)(example(schema, document)), (path.stem, name)
                accepted += 1
    assert accepted > 30
