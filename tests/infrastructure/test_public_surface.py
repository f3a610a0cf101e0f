"""What the library exports, what its errors and examples say: each runs as its user would run it."""

import functools
import importlib
import json
import re
import sys
from pathlib import Path

import aws_cdk as cdk
import pytest

import kms_patterns
from tests.contract.templates import faults
from tests.end_to_end.conftest import APP as FAMILY
from tests.end_to_end.test_successive_deployments import roll_over, two_lives
from tests.synthesis import synthesize

ROOT = Path(__file__).parents[2]
SURFACE = {
    "functions.function_options": "FunctionOptions",
    "keys.encryption_key": "EncryptionKey",
    "keys.imported.imported_types": "ImportedKey",
    "keys.key_agreement_key": "KeyAgreementKey",
    "keys.key_encapsulation_key": "KeyEncapsulationKey",
    "keys.key_options": "KeyAccess KeyLifecycle",
    "keys.mac_key": "MacKey",
    "keys.replica_key": "ReplicaKey",
    "keys.rsa_encryption_key": "RsaEncryptionKey",
    "keys.signing_key": "SigningKey",
    "policy.key_specs": "MlKemSpec",
}
"""Module -> what the library exports of it: pinned, since other apps import it; a pattern is its module's name."""
PATTERNS = [
    name for name in kms_patterns.__all__ if getattr(kms_patterns, name).__module__.startswith("kms_patterns.patterns.")
]
PLACES = ["README.md", "docs/**/*.md", "stacks/*.py", "examples/*.py", "tests/infrastructure/test_*.py"]
# KeyGrant is deployed by tests/end_to_end/apps, the issuer with an HMAC key shown beside the TokenIssuer.
SHOWN_ELSEWHERE = {("KeyGrant", "stacks/*.py"), ("MacTokenIssuer", "examples/*.py")}


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def test_exported_names_are_these_and_all_of_them_load() -> None:
    homes = {name: getattr(kms_patterns, name).__module__ for name in kms_patterns.__all__}
    pinned = {name: f"kms_patterns.{module}" for module, names in SURFACE.items() for name in names.split()}
    assert homes == pinned | {name: f"kms_patterns.patterns.{snake(name)}" for name in PATTERNS}
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


DOCS = Path(__file__).parents[2] / "docs" / "keys"


def module(name):
    sys.path.insert(0, str(DOCS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(DOCS))


CATALOGUE = module("catalogue")
by_title = pytest.mark.parametrize("entry", CATALOGUE.ENTRIES, ids=lambda entry: entry.title)


CATALOGUE.outcome = functools.cache(CATALOGUE.outcome)


@by_title
def test_refused(entry):
    assert CATALOGUE.outcome(entry.refused) is not None


@by_title
def test_neighbour_is_accepted(entry):
    assert CATALOGUE.outcome(entry.accepted) is None


@by_title
def test_without_its_check_it_is_refused_no_more_or_otherwise(entry, monkeypatch):
    message = CATALOGUE.outcome(entry.refused)
    place, _, name = entry.check.rpartition(".")
    original = getattr(importlib.import_module(place), name)
    empty = original("alias/x") if name == "check_alias" else {} if name == "_constraints" else ()
    monkeypatch.setattr(f"{place}.{name}", (lambda given: given) if name == "check_alias" else lambda *_, **__: empty)

    assert CATALOGUE.outcome.__wrapped__(entry.refused) != message


def test_page_is_as_written():
    assert CATALOGUE.page() == (DOCS / "errors.md").read_text(encoding="utf-8")


EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.py") if "aws_cdk" in path.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_example_synthesizes_in_another_folder(name: str, tmp_path: Path) -> None:
    synthesize(EXAMPLES / name, tmp_path / "cdk.out", folder=tmp_path, context={"aws:cdk:bundling-stacks": []})
    (template,) = (tmp_path / "cdk.out").glob("*.template.json")
    assert faults(tmp_path / "cdk.out") == []
    kinds = {item["Type"] for item in json.loads(template.read_text())["Resources"].values()}
    assert kinds & {"AWS::Lambda::Function", "AWS::S3::Bucket", "AWS::SNS::Topic"}
    assert {kind for kind in kinds if "Custom" in kind} <= {"Custom::KmsGrant"}


DEPLOYED = {
    "key family": lambda folder: synthesize(FAMILY, folder / "out", folder=folder, context={}),
    "roll-over": lambda folder: roll_over(2, folder / "out", validate=True),
    "two lives": lambda folder: two_lives(folder / "out", cdk.Environment(), validate=True),
}


@pytest.mark.parametrize("app", DEPLOYED.values(), ids=DEPLOYED)
def test_aws_would_refuse_nothing_of_what_end_to_end_tests_deploy(app, tmp_path, monkeypatch):
    monkeypatch.setenv("CDK_DEFAULT_ACCOUNT", "111122223333")
    assert faults(app(tmp_path)) == []


@pytest.mark.parametrize("name", NAMES)
def test_example_fits_on_a_screen(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) <= 35
