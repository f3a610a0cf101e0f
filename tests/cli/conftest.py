"""The command as a user runs it, with an embedded AWS behind it."""

import os
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from kms_patterns.cli.main import main
from kms_runtime.cli import aws_clients


@pytest.fixture(scope="session")
def keys(aws):
    """ARNs of two symmetric keys and one RSA key."""
    kms = aws.session().client("kms")

    def make(**specification):
        return kms.create_key(**specification)["KeyMetadata"]["Arn"]

    return SimpleNamespace(first=make(), second=make(), rsa=make(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT"))


@pytest.fixture
def environment(aws):
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | aws.environment()


@pytest.fixture
def run(environment, tmp_path, monkeypatch):
    """Run the command in an empty folder; return exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments, stdin=b"", **settings):
        for cached in (aws_clients.kms_client, aws_clients.s3_client, aws_clients._session):
            cached.cache_clear()
        done = CliRunner().invoke(main, [str(each) for each in arguments], input=stdin, env=environment | settings)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return SimpleNamespace(code=done.exit_code, stdout=done.stdout_bytes, stderr=done.stderr)

    return call


@pytest.fixture
def letter(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_bytes(b"Meet me at noon. " * 40_000)
    return path
