"""``kms-patterns local``: servers in the background, by name, and what people ask them."""

import json
import os
import re
import shlex
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest


def local(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [str(Path(sys.executable).with_name("kms-patterns")), "local", *words]
    environment |= {"TMPDIR": str(folder), "HOME": str(folder), "AWS_ENDPOINT_URL_S3": "https://elsewhere.example"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)


def python(source: str, variables: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", source, *arguments]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)


def exports(printed: str) -> dict[str, str]:
    return dict(re.findall(r"^export (\w+)='?([^'\n]*)'?$", printed, re.MULTILINE))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    """The folder of a server, and what four starts at the same time printed."""
    folder = tmp_path_factory.mktemp("background")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: local(folder, "start").stdout, range(4)))
    yield folder, found
    local(folder, "stop", "--all")


def test_four_starts_at_the_same_time_leave_one_server(started: tuple[Path, list[str]]) -> None:
    folder, printed = started
    assert len({exports(one)["AWS_ENDPOINT_URL"] for one in printed}) == 1
    assert len(local(folder, "list").stdout.splitlines()) == 1
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _readable(path)]
    assert sum(b"kms_patterns.local.server" in one and str(folder).encode() in one for one in commands) == 1


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def test_environment_leaves_behind_what_leads_elsewhere(started: tuple[Path, list[str]]) -> None:
    unset = local(started[0], "env").stdout.splitlines()[0].split()
    assert unset[0] == "unset"
    assert {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"} <= set(unset[1:])


def test_environment_of_none_leads_nowhere(tmp_path: Path) -> None:
    found = local(tmp_path, "env")
    assert found.returncode != 0
    shell = f"eval {shlex.quote(found.stdout)}; echo rc=$? $AWS_ENDPOINT_URL"
    result = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    assert result.stdout == "rc=1 https://127.0.0.1:1\n"


def test_other_options_of_a_running_one_are_refused(started: tuple[Path, list[str]]) -> None:
    found = local(started[0], "start", "--region", "eu-west-1")
    assert "runs with Region us-east-1 (asked for: eu-west-1)" in found.stderr
    assert exports(found.stdout)["AWS_ENDPOINT_URL"] == "https://127.0.0.1:1"


def test_fixed_port_gives_the_same_address_and_credentials(started: tuple[Path, list[str]]) -> None:
    folder = started[0]
    port = re.search(r":(\d+)", exports(started[1][0])["AWS_ENDPOINT_URL"].removeprefix("https"))
    assert port is not None
    taken = local(folder, "start", "--name", "other", "--port", port[1])
    assert "cannot be used" in taken.stderr
    options = ("start", "--name", "other", "--port", "43117", "--account", "111122223333", "--region", "eu-west-1")
    first = exports(local(folder, *options).stdout)
    assert "other  https://127.0.0.1:43117" in local(folder, "list").stdout
    assert local(folder, "stop", "--name", "other").stdout == "stopped\n"
    assert exports(local(folder, *options).stdout) == first
    identity = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    found = subprocess.run(
        [sys.executable, "-c", identity], env=os.environ | first, capture_output=True, text=True, check=True
    )
    assert found.stdout == "111122223333\n"
    local(folder, "stop", "--name", "other")


def test_command_as_a_role_its_calls_and_why(started: tuple[Path, list[str]]) -> None:
    folder, printed = started
    statement = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    create = f"import boto3; boto3.client('iam').create_role(RoleName='app', AssumeRolePolicyDocument={trust!r})"
    assert python(create, exports(printed[0])).returncode == 0
    denied = "import boto3\nboto3.client('{}').{}()"
    for service, call in (("kms", "list_keys"), ("s3", "list_buckets")):
        found = local(folder, "as", "app", "--", sys.executable, "-c", denied.format(service, call))
        assert "assumed-role/app/kms-patterns is not authorized" in found.stderr
    lines = local(folder, "calls", "--denied").stdout.splitlines()
    assert [line.split()[3] for line in lines] == ["kms:ListKeys", "s3:ListAllMyBuckets"]
    why = local(folder, "why", lines[0].rpartition("[")[2].rstrip("]")).stdout
    assert "missing    an Allow of kms:ListKeys on * in a policy of the principal" in why
    assert "there is no role" in local(folder, "as", "nobody", "true").stderr


def test_page_needs_its_token_and_escapes_what_requests_name(started: tuple[Path, list[str]]) -> None:
    folder, printed = started
    context = ssl.create_default_context(cafile=exports(printed[0])["AWS_CA_BUNDLE"])
    address = local(folder, "page").stdout.strip()
    create = "import boto3; boto3.client('kms').describe_key(KeyId='alias/<script>')"
    subprocess.run(
        [sys.executable, "-c", create], env=os.environ | exports(printed[0]), capture_output=True, check=False
    )
    with urllib.request.urlopen(address, context=context) as answer:
        assert "<script>" not in answer.read().decode()
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(address.partition("?")[0], context=context)


BEFORE = """
import boto3, json
kms, s3, iam = (boto3.client(name) for name in ("kms", "s3", "iam"))
key = kms.create_key()["KeyMetadata"]["KeyId"]
s3.create_bucket(Bucket="kept")
s3.put_object(Bucket="kept", Key="o", Body=b"body", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
iam.create_user(UserName="reader")
policy = {"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=json.dumps(policy))
user = iam.create_access_key(UserName="reader")["AccessKey"]
print(user["AccessKeyId"], user["SecretAccessKey"], kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"].hex())
"""
AFTER = """
import boto3, sys
print(boto3.client("kms").decrypt(CiphertextBlob=bytes.fromhex(sys.argv[3]))["Plaintext"])
print(boto3.client("s3").get_object(Bucket="kept", Key="o")["Body"].read())
boto3.Session(*sys.argv[1:3]).client("s3").get_object(Bucket="kept", Key="o")
"""


def test_what_is_kept_is_as_protected_as_before(tmp_path: Path) -> None:
    start = ("start", "--persist", str(tmp_path / "kept"))
    made = python(BEFORE, exports(local(tmp_path, *start).stdout)).stdout.split()
    local(tmp_path, "stop")
    found = python(AFTER, exports(local(tmp_path, *start).stdout), *made)
    local(tmp_path, "stop")
    assert found.stdout == "b'x'\nb'body'\n"
    assert "user/reader is not authorized to perform: kms:Decrypt" in found.stderr
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0
