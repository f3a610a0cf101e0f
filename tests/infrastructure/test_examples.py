"""The example CDK apps are what the README shows: each is run as its user would run it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
CONSTRUCTS = {
    "documents_bucket.py": {"AWS::KMS::Key": 1, "AWS::S3::Bucket": 1, "AWS::Lambda::Function": 0},
    "secret_cipher.py": {"AWS::KMS::Key": 1, "AWS::S3::Bucket": 0, "AWS::Lambda::Function": 2},
    "code_signer.py": {"AWS::KMS::Key": 2, "AWS::S3::Bucket": 1, "AWS::Lambda::Function": 1},
    "signer.py": {"AWS::KMS::Key": 1, "AWS::S3::Bucket": 0, "AWS::Lambda::Function": 2},
    "public_key.py": {"AWS::KMS::Key": 1, "AWS::S3::Bucket": 1, "AWS::Lambda::Function": 4},
    "rsa_envelope.py": {"AWS::KMS::Key": 2, "AWS::S3::Bucket": 3, "AWS::Lambda::Function": 3},
    "envelope_cipher.py": {"AWS::KMS::Key": 2, "AWS::S3::Bucket": 3, "AWS::Lambda::Function": 2},
    "data_key_pairs.py": {"AWS::KMS::Key": 1, "AWS::S3::Bucket": 0, "AWS::Lambda::Function": 2},
    "key_agreement.py": {"AWS::KMS::Key": 1, "AWS::S3::Bucket": 0, "AWS::Lambda::Function": 2},
    "re_encryptor.py": {"AWS::KMS::Key": 2, "AWS::S3::Bucket": 0, "AWS::Lambda::Function": 1},
    "token_issuer.py": {"AWS::KMS::Key": 2, "AWS::S3::Bucket": 0, "AWS::Lambda::Function": 2},
    "message_authenticator.py": {"AWS::KMS::Key": 1, "AWS::S3::Bucket": 0, "AWS::Lambda::Function": 2},
}


def test_every_example_app_is_run() -> None:
    apps = {path.name for path in EXAMPLES.glob("*.py") if "aws_cdk" in path.read_text()}
    assert apps == set(CONSTRUCTS)


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_example_synthesizes_in_another_folder(name: str, tmp_path: Path) -> None:
    context = {"aws:cdk:bundling-stacks": []}
    roots = [str(EXAMPLES.parent / "constructs"), str(EXAMPLES.parent / "lambda")]
    environment = os.environ | {
        "CDK_OUTDIR": str(tmp_path / "cdk.out"),
        "CDK_CONTEXT_JSON": json.dumps(context),
        "PYTHONPATH": os.pathsep.join(roots),
    }
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (template,) = (tmp_path / "cdk.out").glob("*.template.json")
    kinds = [item["Type"] for item in json.loads(template.read_text())["Resources"].values()]
    assert {kind: kinds.count(kind) for kind in CONSTRUCTS[name]} == CONSTRUCTS[name]


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_example_fits_on_a_screen(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) <= 35
