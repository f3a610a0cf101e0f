"""The public surface of the construct library, pinned, and what must be there for each pattern of it."""

import re
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

import kms_patterns

ROOT = Path(__file__).parents[2]
PATTERNS = [
    name for name in kms_patterns.__all__ if getattr(kms_patterns, name).__module__.startswith("kms_patterns.patterns.")
]
PLACES = ["README.md", "docs/**/*.md", "stacks/*.py", "examples/*.py", "tests/infrastructure/test_*.py"]
# KeyGrant is deployed by tests/end_to_end/apps, the issuer with an HMAC key shown beside the TokenIssuer.
SHOWN_ELSEWHERE = {("KeyGrant", "stacks/*.py"), ("KeyGrant", "examples/*.py"), ("MacTokenIssuer", "examples/*.py")}


def test_exported_names_are_these_and_all_of_them_load(snapshot: SnapshotAssertion) -> None:
    homes = {name: getattr(kms_patterns, name).__module__ for name in sorted(kms_patterns.__all__)}
    assert homes == snapshot.use_extension(JSONSnapshotExtension)
    assert set(kms_patterns.__all__) <= set(dir(kms_patterns))
    with pytest.raises(AttributeError, match="has no attribute 'Cipher'"):
        kms_patterns.Cipher  # noqa: B018


def test_every_pattern_is_exported() -> None:
    folder = ROOT / "constructs" / "kms_patterns" / "patterns"
    exported = {getattr(kms_patterns, name).__module__.rpartition(".")[2] for name in PATTERNS}
    inner = {"public_bucket"}  # made by PublicKeyExport alone
    assert {path.stem for path in folder.glob("*.py")} - inner - {"__init__"} == exported


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", PATTERNS)
def test_pattern_is_documented_shown_deployed_and_tested(name: str, place: str) -> None:
    files = [path for path in ROOT.glob(place) if re.search(rf"\b{name}\b", path.read_text())]
    assert bool(files) is ((name, place) not in SHOWN_ELSEWHERE), f"{place}: {name}"
