"""``kms-patterns init``: a small CDK app with a key, a bucket and two roles, and a test that asserts its access."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

APP: Final = '''"""A bucket for documents: one role uploads, another downloads, and no other principal reads."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from kms_patterns import EncryptedBucket, EncryptionKey


def build(app: cdk.App) -> cdk.Stack:
    """Add the stack to ``app``."""
    stack = cdk.Stack(app, "Documents")
    instances = iam.ServicePrincipal("ec2.amazonaws.com")
    key = EncryptionKey(stack, "Key", alias="documents")
    bucket = EncryptedBucket(stack, "Bucket", encryption_key=key)
    uploader = iam.Role(stack, "Uploader", assumed_by=instances)
    downloader = iam.Role(stack, "Downloader", assumed_by=instances)
    bucket.grant_upload(uploader, multipart=True)
    bucket.grant_download(downloader)
    cdk.CfnOutput(stack, "BucketName", value=bucket.bucket_name)
    cdk.CfnOutput(stack, "UploaderName", value=uploader.role_name)
    cdk.CfnOutput(stack, "DownloaderName", value=downloader.role_name)
    return stack


if __name__ == "__main__":
    app = cdk.App()
    build(app)
    app.synth()
'''
TEST: Final = '''"""Who can use the key is asserted here: a change that lets another principal in fails this test."""

from pathlib import Path

import aws_cdk as cdk
import pytest
from app import build
from kms_patterns.access import AccessMatrix


@pytest.fixture(scope="module")
def access(tmp_path_factory: pytest.TempPathFactory) -> AccessMatrix:
    folder: Path = tmp_path_factory.mktemp("cdk.out")
    app = cdk.App(outdir=str(folder))
    build(app)
    app.synth()
    return AccessMatrix.from_assembly(folder)


def test_only_the_two_roles_use_the_key(access: AccessMatrix) -> None:
    access.assert_nobody_else("Documents/Key", allowed=["Uploader", "Downloader"])


def test_administrators_manage_the_key_and_cannot_use_it(access: AccessMatrix) -> None:
    access.assert_administrator_cannot_use("Documents/Key")
'''
FILES: Final[Mapping[str, str]] = {
    "app.py": APP,
    "test_access.py": TEST,
    "cdk.json": '{"app": "python app.py"}\n',
    "requirements.txt": "cdk-kms-patterns[access,local]\npytest\n",
    "package.json": '{"private": true, "dependencies": {"@cloud-copilot/iam-simulate": "0.1.173", "aws-cdk": "^2"}}\n',
    ".gitignore": "cdk.out/\nnode_modules/\n.venv/\n",
}
"""The files of the app, by name."""


@click.command()
@click.argument("folder", default=".", type=click.Path(path_type=Path, file_okay=False))
def init(folder: Path) -> None:
    """Write a small CDK app with a test of its access into FOLDER, the current one by default.

    Files that exist are never changed: the command stops before it writes anything.
    """
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        raise click.ClickException(f"{folder} has {', '.join(there)} already; choose an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    inside = "" if folder == Path() else f"  cd {shlex.quote(str(folder))}\n"
    click.echo(
        f"Written to {folder}: {', '.join(FILES)}\n\n{inside}"
        "  pip install -r requirements.txt && npm install\n"
        "  kms-patterns cdk synth --quiet && kms-patterns access cdk.out && pytest      # who can use the key\n"
        '  eval "$(kms-patterns local start)" && kms-patterns cdk bootstrap && kms-patterns cdk deploy\n'
    )
