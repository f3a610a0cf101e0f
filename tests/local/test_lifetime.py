"""Nothing outlives the embedded AWS: no process, no port, no folder, however it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kms_patterns.local import LocalAws

SOURCES = Path(__file__).parents[2] / "constructs"
FUNCTION = """
import os, pathlib, time
def handler(event, _):
    if "busy" in event:
        pathlib.Path(event["busy"]).touch()
        time.sleep(600)
    return os.getpid()
"""
# A parent whose embedded AWS runs a function for ten minutes; it says where everything is, then waits.
PARENT = """
import io, json, signal, sys, time, zipfile
from kms_patterns.local import LocalAws
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
aws = LocalAws.start()
code = io.BytesIO()
with zipfile.ZipFile(code, "w") as bundle:
    bundle.writestr("index.py", FUNCTION)
service = {"Service": "lambda.amazonaws.com"}
trust = {"Statement": [{"Effect": "Allow", "Principal": service, "Action": "sts:AssumeRole"}]}
role = aws.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
functions = aws.client("lambda")
source = {"ZipFile": code.getvalue()}
how = {"Runtime": "python3.12", "Handler": "index.handler", "Timeout": 600}
functions.create_function(FunctionName="f", Role=role, Code=source, **how)
functions.get_waiter("function_active_v2").wait(FunctionName="f")
worker = json.load(functions.invoke(FunctionName="f", Payload="{}")["Payload"])
busy = aws.folder / "busy"
functions.invoke(FunctionName="f", Payload=json.dumps({"busy": str(busy)}), InvocationType="Event")
while not busy.exists():
    time.sleep(0.01)
state = json.loads((aws.folder / "server.json").read_text())
found = {"folder": str(aws.folder), "server": state["pid"], "port": state["port"], "worker": worker}
print(json.dumps(found), flush=True)
try:
    time.sleep(300)
finally:
    END
"""


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # A zombie is ended; only its parent has not looked yet.
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except ProcessLookupError:
        return False


def _open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _left(state: dict[str, Any]) -> dict[str, bool]:
    return {
        "server": _alive(state["server"]), "worker": _alive(state["worker"]),
        "port": _open(state["port"]), "folder": Path(state["folder"]).exists(),
    }  # fmt: skip


def _eventually_nothing_left(state: dict[str, Any]) -> None:
    deadline = time.monotonic() + 60
    while any(_left(state).values()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _left(state) == {"server": False, "worker": False, "port": False, "folder": False}


# Who gets which signal, and how the parent then ends.
CASES = {
    "Ctrl-C, stopping": ("parent", signal.SIGINT, "aws.stop()"),
    "Ctrl-C": ("parent", signal.SIGINT, "pass"),
    "SIGTERM": ("parent", signal.SIGTERM, "pass"),
    "SIGKILL": ("parent", signal.SIGKILL, "pass"),
    "Ctrl-C to the server": ("server", signal.SIGINT, "pass"),
    "SIGTERM to the server": ("server", signal.SIGTERM, "pass"),
}
Parents = dict[str, tuple["subprocess.Popen[str]", dict[str, Any]]]


@pytest.fixture(scope="module")
def parents() -> Iterator[Parents]:
    """A parent process for each case, and what it reports; they start all at once, which takes half the time."""
    environment = os.environ | {"PYTHONPATH": str(SOURCES)}
    started = {
        name: subprocess.Popen(
            [sys.executable, "-c", PARENT.replace("FUNCTION", repr(FUNCTION)).replace("END", end)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for name, (_, _, end) in CASES.items()
    }
    try:
        yield {
            name: (process, json.loads((process.stdout or sys.stdin).readline())) for name, process in started.items()
        }
    finally:
        for process in started.values():
            process.kill()
            process.wait()


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_left_after_a_signal(parents: Parents, case: str) -> None:
    (whom, number, _), (process, state) = CASES[case], parents[case]
    assert _left(state) == {"server": True, "worker": True, "port": True, "folder": True}
    os.kill(process.pid if whom == "parent" else state["server"], number)
    if whom == "parent":
        process.wait(60)
    _eventually_nothing_left(state)


def test_nothing_is_left_after_stop_and_stop_may_be_repeated() -> None:
    aws = LocalAws.start()
    state = json.loads((aws.folder / "server.json").read_text())
    found = {"folder": str(aws.folder), "server": state["pid"], "port": state["port"], "worker": state["pid"]}
    assert all(_left(found).values())
    aws.stop()
    aws.stop()
    assert not any(_left(found).values())


def test_two_run_side_by_side_without_seeing_each_other(aws: LocalAws, tmp_path: Path) -> None:
    with LocalAws.start(directory=tmp_path, region="eu-west-1") as two:
        key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
        assert two.client("kms").list_keys()["Keys"] == []
        assert key.startswith("arn:aws:kms:us-east-1:")
        assert two.client("kms").create_key()["KeyMetadata"]["Arn"].startswith("arn:aws:kms:eu-west-1:")
        assert two.folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_stacks_buckets_and_aliases_of_the_same_name_live_side_by_side(
    aws: LocalAws, tmp_path: Path, root_statement: Any
) -> None:
    key_policy = {"Version": "2012-10-17", "Statement": [root_statement]}
    resources = {
        "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": key_policy}},
        "Alias": {
            "Type": "AWS::KMS::Alias",
            "Properties": {"AliasName": "alias/same", "TargetKeyId": {"Ref": "Key"}},
        },
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "of-the-same-name"}},
    }
    template = json.dumps({"Resources": resources})
    with LocalAws.start(directory=tmp_path) as other:
        both = (aws, other)
        for one in both:
            one.client("cloudformation").create_stack(StackName="Same", TemplateBody=template)
            one.client("cloudformation").get_waiter("stack_create_complete").wait(StackName="Same")
        keys = [one.client("kms").describe_key(KeyId="alias/same")["KeyMetadata"]["Arn"] for one in both]
        assert len(set(keys)) == 2
        aws.client("s3").put_object(Bucket="of-the-same-name", Key="k", Body=b"x")
        assert "Contents" not in other.client("s3").list_objects_v2(Bucket="of-the-same-name")
        other.client("cloudformation").delete_stack(StackName="Same")
        other.client("cloudformation").get_waiter("stack_delete_complete").wait(StackName="Same")
        assert aws.client("kms").describe_key(KeyId="alias/same")["KeyMetadata"]["Arn"] == keys[0]
        assert aws.client("s3").get_object(Bucket="of-the-same-name", Key="k")["Body"].read() == b"x"


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's table of sockets")
def test_only_one_loopback_port_listens(aws: LocalAws) -> None:
    state = json.loads((aws.folder / "server.json").read_text())
    assert _listeners(state["pid"]) == [("0100007F", state["port"])]


def _listeners(pid: int) -> list[tuple[str, int]]:
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(str(descriptor.readlink()))
        except FileNotFoundError:
            continue
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            if f"socket:[{fields[9]}]" in sockets and (fields[3] == "0A" or table.startswith("udp")):
                found.append((address, int(port, 16)))
    return found


def test_the_folder_is_readable_by_its_user_only(aws: LocalAws) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in (aws.folder, *aws.folder.iterdir())}
    assert modes[aws.folder.name] == 0o700
    assert modes["server.key"] == modes["server.json"] == 0o600
