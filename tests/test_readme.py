"""What the README shows is what the code does: its sample is the example file, its policies are those synthesized."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.synthesis import synthesize
from tests.test_pattern_pages import readable

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def statements(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    assembly = tmp_path_factory.mktemp("assembly")
    synthesize(ROOT / "examples" / "documents_bucket.py", assembly, folder=assembly, context={})
    template = json.loads((assembly / "Documents.template.json").read_text())
    policies = [
        resource["Properties"].get("KeyPolicy") or resource["Properties"].get("PolicyDocument")
        for resource in template["Resources"].values()
    ]
    return [readable(statement) for policy in policies if policy for statement in policy["Statement"]]


def test_every_sample_is_part_of_an_example() -> None:
    examples = [path.read_text() for path in (ROOT / "examples").glob("*.py")]
    samples = blocks("python")
    assert len(samples) == 2
    assert [sample for sample in samples if not any(sample in example for example in examples)] == []


def test_policies_shown_are_those_synthesized(statements: list[Any]) -> None:
    shown = [json.loads(block) for block in blocks("json")]
    assert len(shown) == 2
    assert [policy for policy in shown if policy not in statements] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[)#]", page.read_text())
    assert [link for link in links if not re.match("https?:", link) and not (page.parent / link).exists()] == []
