"""What README and pages show is what the code does: samples are parts of examples, policies are synthesized."""

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kms_patterns
from demo.groups import SCENARIOS
from kms_patterns.cli.init import FILES
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


def test_every_cell_of_the_threats_names_what_shows_it() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in text.partition("## Threats")[2].splitlines() if line[:2] == "| "]
    known = set(re.findall(r"^\s*def (test_\w+)", "\n".join(it.read_text() for it in ROOT.glob("tests/**/*.py")), re.M))
    known |= {scenario.what for scenario in SCENARIOS}
    assert (len(rows), {len(row) for row in rows}) == (1 + 9, {1 + 4})
    for attacker, *cells in rows[1:]:
        for cell in cells:
            shown = re.findall(r'`(test_\w+)`|"([^"]+)"', cell)
            assert shown, f"{attacker}: {cell}"
            assert {test or row for test, row in shown} <= known, f"{attacker}: {cell}"
            assert cell.startswith(("stopped", "seen", "not stopped")), f"{attacker}: {cell}"


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
