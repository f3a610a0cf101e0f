"""Pages are true: links lead somewhere, samples run, policies are those of the templates, the site is built of them."""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import check_jsonschema
import fastjsonschema
import pytest
import yaml
from click.testing import CliRunner

import kms_patterns
import kms_runtime
from demo.groups import SCENARIOS
from docs.reference import SCHEMAS, example
from kms_patterns.access.baseline import read_baseline
from kms_patterns.cli.main import main
from kms_patterns.local import LocalAws
from kms_runtime import KmsKeyring
from kms_runtime.cli import aws_clients
from kms_runtime.s3 import S3Object, S3Sink
from tests.browser import Browser, started
from tests.pages import (
    EXECUTED_THERE,
    KEYS,
    NOT_EXECUTED,
    OUTPUTS,
    PAGES,
    PASTED,
    PASTED_FROM,
    ROLES,
    Page,
    barriers,
    blocks_of,
    broken,
    command_lines,
    executed,
    kms_runtime_command,
    left_alone,
    own_files,
    read,
    reason,
    refusal,
    samples,
)
from tests.synthesis import stored

ROOT = Path(__file__).parent.parent
TWO_SCREENS = 100  # lines
SOURCES = {"kms_patterns": "constructs", "kms_runtime": "lambda"}
PATTERNS = sorted((ROOT / "docs" / "patterns").glob("*.md"))
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


@pytest.mark.parametrize("page", PATTERNS, ids=lambda page: page.stem)
def test_policies_shown_are_those_of_the_reference_app(page: Path, synthesized: list[Any]) -> None:
    shown = [json.loads(block) for block in blocks(page, "json")]
    policies = [statement for statement in shown if "Effect" in statement]
    assert policies, "a page shows the policy that its pattern produces"
    assert blocks(page, "python"), "and a sample"
    assert [statement for statement in policies if statement not in synthesized] == []


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[)#]", page.read_text())
    assert [link for link in links if not re.match("https?:", link) and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_named_exist(page: Path) -> None:
    text = page.read_text()
    folders = "benchmarks|constructs|demo|docs|examples|lambda|stacks|tests"
    files = [ROOT / name for name in re.findall(rf"`((?:{folders})/[\w./-]+)(?:::\w+)?`", text)]
    modules = re.findall(r"`(kms_(?:patterns|runtime)(?:\.[a-z_]+)+)", text)
    # The last part may be a function.
    files += [ROOT / SOURCES[name.partition(".")[0]] / name.rpartition(".")[0].replace(".", "/") for name in modules]
    assert [str(file) for file in files if not file.exists() and not file.with_suffix(".py").exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_command_lines_are_understood(page: Path) -> None:
    assert [(line, why) for line in command_lines(page) if (why := refusal(line))] == []


@pytest.mark.parametrize(
    "line",
    [
        "make tests", "kms-patterns accesses x", "kms-patterns keys list --days 3", "kms-runtime access x",
        "kms-runtime encrypt x --keys y", "pip install 'kms-runtime[cmd]'", "pip install kms-runtimes",
        "npm install aws-cdk@1", "aws kms create-keys", "aws kms create-key --key-specs x", "python -m tests.nothing",
        "pytest tests/nothing.py", 'eval "$(kms-patterns local begin)"', "brew install it",
    ],
)  # fmt: skip
def test_command_line_that_would_not_be_understood_is_found(line: str) -> None:
    assert refusal(line)


# What stands for a user's own words, in the folder where the lines run.
OWN_WORDS = {
    "arn:aws:kms:…:key/…": "{key}", "--key …": "--key {key}", "KEY-ARN --public": "{rsa} --public",
    "KEY-ARN": "{external}", "KEY --bucket BUCKET": "{key} --bucket vault", "FOLDER": "app", "https://…": "{address}",
}  # fmt: skip
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


@pytest.fixture(scope="module")
def files(aws: LocalAws) -> dict[str, bytes]:
    """What the command lines of the pages are about: files, public keys, an artifact with its signatures."""
    made = own_files(aws)
    made["cdk.out/Data.yaml"] = DATA.encode()
    documents = stored(REFERENCE_APP)["test_stack_matches_its_snapshot[KmsPatterns-S3][test_stacks]"]
    # The roles and the key by the names of their constructs, which stored templates do not have.
    made["cdk.out/Documents.template.json"] = re.sub(r"(\w)[0-9A-F]{8}\b", r"\1", json.dumps(documents)).encode()
    return made


@pytest.fixture
def place(aws: LocalAws, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Make a folder with the files the current one, and return what stands for a user's own words in it."""
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    keys = {name: files[f"{name}.arn"].decode() for name in KEYS}
    keys["external"] = aws.client("kms").create_key(Origin="EXTERNAL")["KeyMetadata"]["Arn"]
    variables = {"KEY_ARN": keys["key"], "RSA_KEY_ARN": keys["rsa"], "IMPORTED_KEY_ARN": keys["external"]}
    for name, value in {**aws.environment(), **variables, "KMS_RUNTIME_CONFIG": "config.toml"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CURL_CA_BUNDLE", aws.environment()["AWS_CA_BUNDLE"])
    monkeypatch.chdir(tmp_path)
    return keys | {"address": f"{aws.environment()['AWS_ENDPOINT_URL']}/published"}


def execute(line: str) -> tuple[int, str]:
    """Run a command line: ours in this process, others as they are."""
    words = shlex.split(os.path.expandvars(line))
    for cached in (aws_clients.kms_client, aws_clients.s3_client, aws_clients._session):
        cached.cache_clear()
    if words[0].startswith("kms-"):
        done = CliRunner().invoke(main if words[0] == "kms-patterns" else kms_runtime_command(), words[1:])
        return done.exit_code, done.output
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stderr


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if executed(page) and page.stem != "CHANGELOG"],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_command_lines_and_programs_do_what_they_say(
    page: Path, aws: LocalAws, place: dict[str, str], tmp_path: Path
) -> None:
    kms, s3 = aws.client("kms"), aws.client("s3")
    if page.stem in {"data-plane", "bucket-re-encryption"}:
        s3.create_bucket(Bucket="vault")
    if any("curl" in line for line in executed(page)):
        s3.create_bucket(Bucket="published")
        s3.delete_public_access_block(Bucket="published")
        anyone = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::published/*"}
        s3.put_bucket_policy(Bucket="published", Policy=json.dumps({"Version": "2012-10-17", "Statement": anyone}))
        for file in (tmp_path / "published").iterdir():
            s3.put_object(Bucket="published", Key=file.name, Body=file.read_bytes())
    configured = [text for language, text in samples(page) if language == "toml" and "context" in text]
    (tmp_path / "config.toml").write_text("".join(configured).replace("111122223333:key/…", "111122223333:key/0-0"))
    for line in executed(page):
        for own, value in OWN_WORDS.items():
            line = line.replace(own, value.format(**place))  # noqa: PLW2901
        code, said = execute(line)
        assert code == int(FAILING in line), f"{line}\n{said}"
        if (written := tmp_path / "access-baseline.toml").exists():
            written.write_text(
                re.sub('(owner|reason) = ""', r'\1 = "x"', written.read_text()).replace('= ""', "= 9999-12-31")
            )
    if str(page.relative_to(ROOT)) in EXECUTED_THERE:
        given = {"path": tmp_path / "report.pdf", "place": S3Object("vault", "it"), "size": 32, "s3": s3, "context": {}}
        given |= {"KEY_ARN": place["key"], "keyring": KmsKeyring(place["key"], kms_client=kms)}
        for text in blocks(page, "python"):
            exec(compile(text, str(page), "exec"), {**vars(kms_runtime), "S3Sink": S3Sink, **given})


def test_samples_that_commands_read_are_of_their_form(tmp_path: Path) -> None:
    action = yaml.safe_load((ROOT / "docs/access/review-action/action.yml").read_text())
    for page in PAGES:
        for language, text in samples(page):
            (tmp_path / "sample.yml").write_text(text)
            if language == "toml" and "[[finding]]" in text:
                assert read_baseline(tmp_path / "sample.yml")
            elif language == "yaml" and "uses" in text:
                (step,) = [it for it in yaml.safe_load(text)["steps"] if "review-action" in it.get("uses", "")]
                assert step["with"].keys() <= action["inputs"].keys()
            elif language == "yaml":
                arguments = ["--builtin-schema", "vendor.gitlab-ci", str(tmp_path / "sample.yml")]
                done = CliRunner().invoke(check_jsonschema.main, arguments)
                assert done.exit_code == 0, done.output
            elif language in {"toml", "yaml"}:
                assert "context" in text, f"{page}: nothing reads this sample\n{text}"


def test_every_sample_is_executed_or_listed_with_a_reason() -> None:
    reasons = [left_alone(page, *sample) for page in PAGES for sample in samples(page)]
    assert len(reasons) > 150
    assert len([why for why in reasons if why]) < len(reasons) / 8


@pytest.mark.parametrize(("language", "text"), [("python", "print('x')"), ("", "hello"), ("rust", "")])
def test_sample_that_no_test_runs_would_be_found(language: str, text: str) -> None:
    with pytest.raises(LookupError):
        left_alone(ROOT / "README.md", language, text)


def test_every_reason_not_to_execute_a_command_line_is_one_of_a_page() -> None:
    found = {reason(line) for page in PAGES for line in command_lines(page)}
    assert set(NOT_EXECUTED.values()) == found - {None}
    ours = [name for why in [*NOT_EXECUTED.values(), *OUTPUTS.values()] for name in re.findall(r"tests/[\w./]*\w", why)]
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
    return read(built / "site")


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
    assert broken(site) == []
    assert sum(len(page.links) for page in site.values()) > len(site)


def test_link_to_a_page_or_anchor_that_is_not_there_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="b.html#there">x</a><a href="#here">x</a><a href="c.html">x</a>')
    (tmp_path / "b.html").write_text('<h1 id="there">x</h1>')
    assert broken(read(tmp_path)) == ["a.html: #here", "a.html: c.html"]


def test_nothing_is_loaded_from_elsewhere(site: dict[Path, Page]) -> None:
    elsewhere = {url for page in site.values() for url in page.loaded if urlsplit(url).scheme in {"http", "https"}}
    assert elsewhere == set()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with started(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def test_page_opened_as_a_file_draws_its_diagrams_and_asks_no_other_machine(built: Path, browser: Browser) -> None:
    script = """(async () => {
        for (let tries = 0; tries < 200 && document.querySelector('pre.mermaid'); tries++)
            await new Promise(resolve => setTimeout(resolve, 50))
        const loaded = performance.getEntriesByType('resource').map(entry => entry.name)
        const count = selector => document.querySelectorAll(selector).length
        return {left: count('pre.mermaid'), drawn: count('div.mermaid'),
                elsewhere: loaded.filter(name => !name.startsWith('file:'))}
    })()"""
    found = browser.run((built / "site" / "patterns" / "secret-cipher.html").as_uri(), script)
    assert found == {"left": 0, "drawn": 1, "elsewhere": []}


# All pages at both widths and in both themes: make docs-axe.
@pytest.mark.parametrize(
    ("page", "width", "scheme"),
    [("index", 1400, "dark"), ("patterns/envelope-cipher", 400, "light"), ("quick-start", 400, "dark")],
)
def test_page_has_no_serious_barrier(page: str, width: int, scheme: str, built: Path, browser: Browser) -> None:
    with browser.opened("about:blank") as tab:
        assert barriers(built / "site" / f"{page}.html", tab, [(width, scheme)]) == []


@pytest.mark.parametrize("role", ROLES)
def test_lines_of_a_quick_start_are_on_its_page_as_they_are_pasted(role: str, built: Path) -> None:
    page, headings = ROLES[role]
    found = blocks_of((built / "site" / page).read_text())
    pasted = [line for heading in headings for line in found[heading].splitlines() if line.startswith(PASTED)]
    written = [line for text in map(Path.read_text, PASTED_FROM) for line in text.splitlines()]
    assert len(pasted) > 3
    assert [line for line in pasted if line not in written] == []


def test_barrier_would_be_found(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<html lang=en><title>x</title><main><h1>x</h1><img src=x></main>")
    with browser.opened("about:blank") as tab:
        found = barriers(tmp_path / "a.html", tab, [(400, "dark")])
    assert found == ['400 px, dark: image-alt: <img src="x">']


def test_link_that_leads_nowhere_would_be_found(writer: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        writer.Site(tmp_path).add("docs/page-that-does-not-exist.md")


def test_reference_has_every_public_name(built: Path) -> None:
    text = (built / "docs" / "reference" / "kms-patterns.md").read_text()
    assert [name for name in kms_patterns.__all__ if f".{name}\n" not in text] == []


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
