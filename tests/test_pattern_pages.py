"""What the pages of the patterns show is what the code does: policies as synthesized, samples from examples, links."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SNAPSHOTS = ROOT / "tests" / "infrastructure" / "reference_app" / "__snapshots__" / "test_stacks"
PAGES = ["data-key-pairs.md", "key-agreement.md", "re-encryptor.md"]


def page(name: str) -> str:
    return (ROOT / "docs" / "patterns" / name).read_text()


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page(name), re.MULTILINE | re.DOTALL)


def readable(value: Any) -> Any:
    """Write the references of a template the way the pages do."""
    if isinstance(value, list):
        return [readable(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "Ref" in value:
        return f"<{value['Ref']}>"
    if "Fn::GetAtt" in value:
        name, attribute = value["Fn::GetAtt"]
        return f"<{name[:-8]}.{attribute}>"
    if "Fn::Join" in value:
        return "".join(readable(value["Fn::Join"][1]))
    return {name: readable(item) for name, item in value.items()}


@pytest.fixture(scope="module")
def statements() -> list[Any]:
    """Every statement of the reference app, as its snapshots have it."""
    found = []
    for path in SNAPSHOTS.glob("*.json"):
        for resource in json.loads(path.read_text())["Resources"].values():
            properties = resource.get("Properties", {})
            document = properties.get("KeyPolicy") or properties.get("PolicyDocument")
            found += [readable(statement) for statement in document["Statement"]] if document else []
    return found


@pytest.mark.parametrize("name", PAGES)
def test_policies_shown_are_those_synthesized(name: str, statements: list[Any]) -> None:
    shown = [json.loads(block) for block in blocks(name, "json")]
    assert shown
    assert [policy for policy in shown if policy not in statements] == []


@pytest.mark.parametrize("name", PAGES)
def test_samples_are_parts_of_examples(name: str) -> None:
    examples = [path.read_text() for path in (ROOT / "examples").glob("*.py")]
    samples = blocks(name, "python")
    assert samples
    assert [sample for sample in samples if not any(sample in example for example in examples)] == []


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    folder = ROOT / "docs" / "patterns"
    links = re.findall(r"\]\(([^)#]+)\)", page(name))
    assert [link for link in links if not link.startswith("https:") and not (folder / link).exists()] == []


@pytest.mark.parametrize("name", PAGES)
def test_page_says_when_who_what_costs_and_what_not(name: str) -> None:
    headings = re.findall(r"^## (.*)$", page(name), re.MULTILINE)
    demanded = [
        "When to use it",
        "Who calls what",
        "The policy it produces",
        "KMS calls, cost and quota",
        "What it does not promise",
    ]
    assert [heading for heading in headings if heading in demanded] == demanded
