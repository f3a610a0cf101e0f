"""What the library exports, what its errors and examples say: each runs as its user would run it."""

import functools
import importlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam

import kms_patterns
from kms_patterns import EncryptedBucket, EncryptionKey, RsaEncryptionKey
from tests.contract.templates import faults
from tests.end_to_end.conftest import APP as FAMILY
from tests.end_to_end.test_successive_deployments import roll_over, two_lives
from tests.synthesis import synthesize

ROOT = Path(__file__).parents[2]
SURFACE = {
    "functions.function_options": "FunctionOptions",
    "keys.asymmetric_keys": "KeyAgreementKey KeyEncapsulationKey RsaEncryptionKey SigningKey",
    "keys.imported.imported_types": "ImportedKey",
    "keys.key_options": "KeyAccess KeyLifecycle",
    "keys.replica_key": "ReplicaKey",
    "keys.symmetric_keys": "EncryptionKey MacKey",
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


def test_each_error_and_its_how_to_lead_to_each_other():
    text = (DOCS.parent / "how-to.md").read_text(encoding="utf-8")
    for section in {entry.how_to for entry in CATALOGUE.ENTRIES}:
        linked = re.findall(
            r"errors\.md#([\w-]+)", text.partition(f"### {section}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
        )
        assert sorted(linked) == sorted(entry.anchor for entry in CATALOGUE.ENTRIES if entry.how_to == section), section


EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.py") if "aws_cdk" in path.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_example_synthesizes_in_another_folder(name: str, tmp_path: Path) -> None:
    synthesize(EXAMPLES / name, tmp_path / "cdk.out", folder=tmp_path, context={"aws:cdk:bundling-stacks": []})
    (template,) = (tmp_path / "cdk.out").glob("*.template.json")
    assert faults(tmp_path / "cdk.out") == []
    kinds = {item["Type"] for item in json.loads(template.read_text())["Resources"].values()}
    assert kinds & {"AWS::KMS::Key", "AWS::Lambda::Function", "AWS::S3::Bucket", "AWS::SNS::Topic"}
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


MISTAKES: dict[str, tuple[Callable[[cdk.Stack, Any, Any], object], str]] = {
    "an enum as a text": (
        lambda stack, _key, _role: EncryptionKey(stack, "It", access="named"),  # type: ignore[arg-type]
        "EncryptionKey: access='named': give KeyAccess.NAMED",
    ),
    "an enum of the CDK": (
        lambda stack, _key, _role: EncryptionKey(stack, "It", lifecycle=cdk.RemovalPolicy.DESTROY),  # type: ignore[arg-type]
        "EncryptionKey: lifecycle=<RemovalPolicy.DESTROY: 'DESTROY'>: give KeyLifecycle.RETAIN or "
        "KeyLifecycle.EPHEMERAL",
    ),
    "an ARN for a role": (
        lambda _stack, key, _role: key.grant_decrypt("arn:aws:iam::111122223333:role/orders"),
        "grant_decrypt: grantee='arn:aws:iam::111122223333:role/orders': a text is not a grantee, and no policy can be "
        "attached to an iam.ArnPrincipal; give the role or user itself, such as iam.Role.from_role_arn(scope, id, arn)",
    ),
    "a whole account": (
        lambda _stack, key, _role: key.grant_decrypt(iam.AccountPrincipal("444455556666")),
        "a key policy names single roles and users, and AccountPrincipal is neither: that is every role and user of "
        "the account; for that there is access=KeyAccess.DELEGATED. Allowing it would open the key to more than one "
        "caller, or to none",
    ),
    "an action without its prefix": (
        lambda _stack, key, role: key.grant_operations(role, "Decrypt"),
        "Stack/Key: Decrypt refused: it has no prefix; write 'kms:Decrypt'",
    ),
    "a wildcard": (
        lambda _stack, key, role: key.grant(role, "kms:*"),
        "Stack/Key: wildcard kms:*: name the exact actions, for example kms:GenerateDataKey",
    ),
    "a host name for a service": (
        lambda _stack, key, role: key.grant_decrypt(role, via_service="s3.eu-west-1.amazonaws.com"),
        "Stack/Key: via_service 's3.eu-west-1.amazonaws.com' is a host name, so no request would match; use 's3'",
    ),
    "a text for a list": (
        lambda _stack, key, role: key.grant_decrypt(role, required_context="tenant"),
        "grant_decrypt: required_context='tenant': a string, of which each letter would be a name; give a list: "
        "['tenant']",
    ),
    "a misspelt argument": (
        lambda _stack, key, role: key.grant_decrypt(role, encryption_contxt={"tenant": "a"}),
        "grant_decrypt() has no argument encryption_contxt; it has grantee, via_service, conditions, key_policy_only, "
        "encryption_context, required_context",
    ),
    "a key that does not encrypt at rest": (
        lambda stack, _key, _role: EncryptedBucket(stack, "It", encryption_key=RsaEncryptionKey(stack, "Rsa")),  # type: ignore[arg-type]
        "encryption_key is a RsaEncryptionKey: S3 encrypts under symmetric keys, and grants on an EncryptedBucket name "
        "the users of its key: give an EncryptionKey, or EncryptionKey.from_key_arn(…)",
    ),
    "a service that acts for its callers": (
        lambda _stack, key, _role: key.allow_service("dynamodb"),
        "Stack/Key: dynamodb uses keys for its callers only, it has no principal to allow: call "
        "allow_use_through('dynamodb', role)",
    ),
    "a window that KMS does not take": (
        lambda stack, _key, _role: EncryptionKey(stack, "It", pending_window=cdk.Duration.days(3)),
        "pending_window is 3 days: KMS takes whole days from 7 to 30 (ValidationException); give 7 to 30 days",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_typical_mistake_is_refused_with_what_to_write(
    mistake: str, stack: cdk.Stack, role: Callable[..., iam.Role]
) -> None:
    make, message = MISTAKES[mistake]
    key = EncryptionKey(stack, "Key")

    with pytest.raises((TypeError, ValueError)) as refused:
        make(stack, key, role("Role"))

    assert str(refused.value) == message
