"""What README and pages show is what the code does: samples are parts of examples, policies are synthesized."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.synthesis import stored, synthesize

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
ALL_PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_samples_are_parts_of_examples(page: Path) -> None:
    examples = [path.read_text() for path in (ROOT / "examples").glob("*.py")]
    assert [sample for sample in blocks(page, "python") if not any(sample in text for text in examples)] == []


def test_policy_that_nobody_produces_would_be_found(synthesized: list[Any]) -> None:
    assert synthesized
    assert {"Action": "kms:*", "Effect": "Allow", "Resource": "*"} not in synthesized


@pytest.fixture(scope="module")
def statements_of_the_example(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    assembly = tmp_path_factory.mktemp("assembly")
    synthesize(ROOT / "examples" / "documents_bucket.py", assembly, folder=assembly, context={})
    template = json.loads((assembly / "Documents.template.json").read_text())
    policies = [
        resource["Properties"].get("KeyPolicy") or resource["Properties"].get("PolicyDocument")
        for resource in template["Resources"].values()
    ]
    return [readable(statement) for policy in policies if policy for statement in policy["Statement"]]


def test_every_sample_of_the_readme_is_part_of_an_example() -> None:
    examples = [path.read_text() for path in (ROOT / "examples").glob("*.py")]
    samples = blocks(README, "python")
    assert len(samples) == 2
    assert [sample for sample in samples if not any(sample in example for example in examples)] == []


def test_policies_of_the_readme_are_those_synthesized(statements_of_the_example: list[Any]) -> None:
    shown = [json.loads(block) for block in blocks(README, "json")]
    assert len(shown) == 2
    assert [policy for policy in shown if policy not in statements_of_the_example] == []


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[)#]", page.read_text())
    assert [link for link in links if not re.match("https?:", link) and not (page.parent / link).exists()] == []
