"""A server of one's own: started, in the background, and what it leaves behind."""

import json
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

from kms_patterns.cli.main import main
from kms_patterns.local import AssumeRoleRefused, LocalAws, StartFailed, daemon, server_process

EC2 = "ec2.amazonaws.com"


def test_a_service_session_is_the_role_with_the_instance_as_its_name(aws: Any, make_role: Any) -> None:
    role = make_role(path="/app/")
    arn = aws.assume(role, EC2).client("sts").get_caller_identity()["Arn"]
    name = role.rsplit("/", 1)[1]
    assert arn == f"arn:aws:sts::{aws.account}:assumed-role/{name}/i-0123456789abcdef0"
    named = aws.assume(role, EC2, session_name="i-other").client("sts").get_caller_identity()["Arn"]
    assert named.endswith(f"/{name}/i-other")


@pytest.mark.parametrize(("effect", "principal", "action"), [
    ("Allow", {"Service": "lambda.amazonaws.com"}, "sts:AssumeRole"), ("Allow", {"AWS": "*"}, "sts:AssumeRole"),
    ("Deny", {"Service": EC2}, "sts:AssumeRole"), ("Allow", {"Service": EC2}, "sts:TagSession"),
])  # fmt: skip
def test_a_role_that_does_not_trust_the_service_is_refused(
    aws: Any, make_role: Any, effect: str, principal: Any, action: str
) -> None:
    trust = {"Effect": effect, "Principal": principal, "Action": action}
    with pytest.raises(AssumeRoleRefused, match=f"does not allow {EC2}"):
        aws.assume(make_role(trust=trust), EC2)


def test_a_role_that_does_not_exist_or_has_another_path_is_refused(aws: Any, make_role: Any) -> None:
    role = make_role(path="/app/")
    for missing in (role + "x", role.replace("/app/", "/")):
        with pytest.raises(AssumeRoleRefused, match="does not exist"):
            aws.assume(missing, EC2)


def test_without_a_service_the_role_must_trust_the_account(aws: Any, make_role: Any) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{aws.account}:root"}, "Action": "sts:AssumeRole"}
    role = make_role(trust=trust)
    assert (
        aws.assume(role).client("sts").get_caller_identity()["Arn"].endswith(f"{role.rsplit('/', 1)[1]}/kms-patterns")
    )
    with pytest.raises(AssumeRoleRefused, match=f"does not allow arn:aws:iam::{aws.account}:root"):
        aws.assume(make_role())


def test_the_path_for_credentials_needs_the_folders_token(aws: Any, make_role: Any) -> None:
    body = json.dumps({"roleArn": make_role(), "service": EC2, "sessionName": "x"}).encode()
    context = ssl.create_default_context(cafile=str(aws.ca_bundle))
    for headers in ({}, {"x-kms-patterns-token": "guessed"}):
        request = urllib.request.Request(f"{aws.endpoint_url}/_kms-patterns/role-session", body, headers)
        with pytest.raises(HTTPError, match="403"):
            urllib.request.urlopen(request, context=context)


def test_the_call_log_tells_who_did_what_on_which_key_and_why(
    aws: Any, make_key: Any, make_role: Any, allow: Any, code_of: Any
) -> None:
    key, role = make_key(), make_role(allow("kms:Encrypt", "*"))
    kms, before = aws.assume(role, EC2).client("kms"), len(aws.kms_calls())
    kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"tenant": "a"})
    code_of(kms.decrypt, KeyId=key, CiphertextBlob=b"x" * 100)
    code_of(kms.encrypt, KeyId=key, Plaintext=b"x", EncryptionAlgorithm="RSAES_OAEP_SHA_256")
    common = {
        "principal": f"arn:aws:sts::{aws.account}:assumed-role/{role.rsplit('/', 1)[1]}/i-0123456789abcdef0",
        "keyArn": key, "viaService": None,
    }  # fmt: skip
    allowed = common | {"action": "kms:Encrypt", "decision": "allow", "reason": "key policy and identity policy"}
    allowed["statement"] = {"policy": "policy", "sid": "", "position": 0, "effect": "Allow"}
    denied = {
        "decision": "deny",
        "reason": "because no identity-based policy allows the kms:Decrypt action",
        "statement": None,
    }
    unlike = {"time", "requestId"}
    found = [{name: value for name, value in call.items() if name not in unlike} for call in aws.kms_calls()[before:]]
    assert found == [
        allowed | {"encryptionContext": {"tenant": "a"}, "errorCode": None},
        common | denied | {"action": "kms:Decrypt", "encryptionContext": {}, "errorCode": "AccessDeniedException"},
        allowed | {"encryptionContext": {}, "errorCode": "InvalidKeyUsageException"},
    ]


def test_re_encrypt_is_logged_as_from_and_to(aws: Any, make_key: Any, root_kms: Any) -> None:
    source, destination = make_key(), make_key()
    blob = root_kms.encrypt(KeyId=source, Plaintext=b"x")["CiphertextBlob"]
    before = len(aws.kms_calls())
    root_kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=destination)
    found = [(call["action"], call["keyArn"]) for call in aws.kms_calls()[before:]]
    assert found == [("kms:ReEncryptFrom", source), ("kms:ReEncryptTo", destination)]


def test_a_refusal_by_the_emulators_part_is_logged_with_its_code(
    aws: Any, root_kms: Any, make_key: Any, code_of: Any
) -> None:
    assert code_of(root_kms.get_public_key, KeyId=make_key()) == "UnsupportedOperationException"
    assert aws.kms_calls()[-1]["errorCode"] == "UnsupportedOperationException"


@pytest.mark.parametrize(("operation", "request_", "code"), [
    ("encrypt", {"Plaintext": b"x", "GrantTokens": ["of no grant"]}, "InvalidGrantTokenException"),
    ("decrypt", {"CiphertextBlob": bytes(6145)}, "ValidationException"),
])  # fmt: skip
def test_a_call_that_is_refused_before_its_decision_is_logged(
    aws: Any, key: str, session_of: Any, allow: Any, code_of: Any, operation: str, request_: Any, code: str
) -> None:
    kms, before = session_of(allow("kms:*", "*")).client("kms"), len(aws.kms_calls())
    named = {"KeyId": key} if operation == "encrypt" else {}
    assert code_of(getattr(kms, operation), **named, **request_) == code
    [call] = aws.kms_calls()[before:]
    assert (call["action"], call["decision"], call["errorCode"]) == (f"kms:{operation.title()}", "deny", code)
    assert (call["keyArn"], call["reason"]) == (None, "refused before it was authorized")


def test_a_child_process_reaches_it_by_the_environment_alone_and_past_the_users_settings(
    aws: LocalAws, make_role: Any, tmp_path: Path
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[default]\nregion = eu-west-3\nendpoint_url = http://127.0.0.1:1\n")
    script = "import boto3; c = boto3.client('sts'); print(c.meta.region_name, c.get_caller_identity()['Arn'])"
    for session in (aws.session(), aws.assume(make_role(), EC2)):
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HTTPS_PROXY": "http://127.0.0.1:1"}
        command = [sys.executable, "-c", script]
        printed = subprocess.check_output(command, env=environment | session.environment(), text=True).split()
        assert printed == [aws.region, session.client("sts").get_caller_identity()["Arn"]]
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".aws", "config"]


def test_the_users_profile_does_not_disturb_clients(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "that-does-not-exist")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1")
    assert aws.client("kms").list_keys()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_failed_start_tells_why_and_leaves_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "shadow" / "ministack").mkdir(parents=True)
    (tmp_path / "shadow" / "ministack" / "__init__.py").touch()
    (tmp_path / "servers").mkdir()
    shadowed = {"PYTHONPATH": str(tmp_path / "shadow")}
    monkeypatch.setattr(server_process, "server_environment", lambda *_args, **_named: shadowed)
    with pytest.raises(StartFailed, match=r"did not start: [\s\S]*No module named 'ministack\.app'"):
        LocalAws.start(directory=tmp_path / "servers")
    assert list((tmp_path / "servers").iterdir()) == []


CREATE_KEY = "import boto3; boto3.client('kms').create_key()"


@pytest.fixture
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    daemon.stop()


def client(variables: dict[str, str], service: str, **credentials: str) -> Any:
    """Return a client that the variables lead to the server, in this process."""
    own = {
        "aws_access_key_id": variables["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": variables["AWS_SECRET_ACCESS_KEY"],
    }
    where = {"endpoint_url": variables["AWS_ENDPOINT_URL"], "verify": variables["AWS_CA_BUNDLE"]}
    return boto3.client(service, region_name=variables["AWS_REGION"], **where, **(credentials or own))


def test_it_runs_until_it_is_stopped_and_leaves_nothing(own_temporary_folder: Path) -> None:
    assert daemon.env() is None
    started = daemon.start()
    assert (daemon.start(), daemon.env()) == (started, started)
    subprocess.run([sys.executable, "-c", CREATE_KEY], env={"PATH": os.environ["PATH"]} | started, check=True)
    assert len(client(started, "kms").list_keys()["Keys"]) == 1
    assert daemon.stop() is True
    assert (daemon.stop(), daemon.env()) == (False, None)
    assert list(own_temporary_folder.iterdir()) == []


def test_the_state_of_a_server_that_was_killed_is_cleared_away_and_who_has_its_process_id_left_alone(
    own_temporary_folder: Path,
) -> None:
    daemon.start()
    [state] = own_temporary_folder.glob("kms-patterns-*/*/server.json")
    server = json.loads(state.read_text())
    os.kill(server["pid"], 9)
    os.waitpid(server["pid"], 0)
    assert daemon.env() is None
    assert client(daemon.start(), "kms").list_keys()["Keys"] == []
    [state] = own_temporary_folder.glob("kms-patterns-*/*/server.json")
    server = json.loads(state.read_text())
    os.kill(server["pid"], 9)
    os.waitpid(server["pid"], 0)
    bystander = subprocess.Popen(["/bin/sleep", "60"])
    try:
        state.write_text(json.dumps(server | {"pid": bystander.pid}))
        assert daemon.env() is None
        assert daemon.stop() is False
        assert bystander.poll() is None
    finally:
        # Also where an assertion fails, or the test would wait for it.
        bystander.kill()
        bystander.wait()


def test_a_folder_of_another_user_is_not_trusted(own_temporary_folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / f"kms-patterns-user-{os.getuid()}"
    link.symlink_to(elsewhere)
    with pytest.raises(daemon.NotOurs, match="belongs to another user"):
        daemon.start()
    link.unlink()
    link.mkdir()
    link.chmod(0o777)
    for command in ("start", "stop", "env", "list"):
        refused = local(tmp_path, command)
        assert isinstance(refused.exception, SystemExit)
        assert "others may write in it" in refused.output
    link.rmdir()


@pytest.mark.parametrize("name", ["../x", "-x", "x" * 65, "", "a\nb"])
def test_name_that_is_not_one_is_refused(own_temporary_folder: Path, name: str) -> None:
    with pytest.raises(StartFailed, match="it names a folder"):
        daemon.start(name)


def local(folder: Path, *words: str) -> Result:
    """Run a command in this process, as a shell with ``folder`` for temporary files and settings of its own would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ENDPOINT_URL_S3", "https://elsewhere.example")
        return CliRunner().invoke(main, ["local", *words])


def local_process(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [str(Path(sys.executable).with_name("kms-patterns")), "local", *words]
    environment |= {"TMPDIR": str(folder), "HOME": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)


def exports(printed: str) -> dict[str, str]:
    return dict(re.findall(r"^export (\w+)='?([^'\n]*)'?$", printed, re.MULTILINE))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    """The folder of a server, and what four starts at the same time printed."""
    folder = tmp_path_factory.mktemp("background")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: local_process(folder, "start").stdout, range(4)))
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
    assert found.exit_code != 0
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
    assert client(first, "sts").get_caller_identity()["Account"] == "111122223333"
    local(folder, "stop", "--name", "other")


def test_command_as_a_role_its_calls_and_why(started: tuple[Path, list[str]]) -> None:
    folder, printed = started
    statement = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client(exports(printed[0]), "iam").create_role(RoleName="app", AssumeRolePolicyDocument=trust)
    denied = "import boto3\nboto3.client('{}').{}()"
    for service, call in (("kms", "list_keys"), ("s3", "list_buckets")):
        found = local_process(folder, "as", "app", "--", sys.executable, "-c", denied.format(service, call))
        assert "assumed-role/app/kms-patterns is not authorized" in found.stderr
    lines = local(folder, "calls", "--denied").stdout.splitlines()
    assert [line.split()[3] for line in lines] == ["kms:ListKeys", "s3:ListAllMyBuckets"]
    why = local(folder, "why", lines[0].rpartition("[")[2].rstrip("]")).stdout
    assert "missing    an Allow of kms:ListKeys on * in a policy of the principal" in why
    assert "does not exist" in local(folder, "as", "nobody", "true").stderr


def test_logs_of_a_function_are_printed_and_followed(started: tuple[Path, list[str]]) -> None:
    folder, printed = started
    logs, where = client(exports(printed[0]), "logs"), {"logGroupName": "/aws/lambda/f"}

    def write(message: str) -> None:
        event = {"timestamp": int(time.time() * 1000), "message": message}
        logs.put_log_events(logStreamName="s", logEvents=[event], **where)

    assert "has not written any log yet" in local(folder, "logs", "f").stderr
    logs.create_log_group(**where)
    logs.create_log_stream(logStreamName="s", **where)
    write("one")
    command = [str(Path(sys.executable).with_name("kms-patterns")), "local", "logs", "f", "--follow"]
    environment = os.environ | {"TMPDIR": str(folder), "HOME": str(folder), "PYTHONUNBUFFERED": "1"}
    following = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert following.stdout is not None
    try:
        assert following.stdout.readline() == "one\n"
        write("two")
        assert following.stdout.readline() == "two\n"
    finally:
        following.kill()
        following.wait()


def test_page_needs_its_token_and_escapes_what_requests_name(started: tuple[Path, list[str]]) -> None:
    folder, printed = started
    context = ssl.create_default_context(cafile=exports(printed[0])["AWS_CA_BUNDLE"])
    address = local(folder, "page").stdout.strip()
    with suppress(ClientError):
        client(exports(printed[0]), "kms").describe_key(KeyId="alias/<script>")
    with urllib.request.urlopen(address, context=context) as answer:
        assert "<script>" not in answer.read().decode()
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(address.partition("?")[0], context=context)


def test_what_is_kept_is_as_protected_as_before(tmp_path: Path) -> None:
    start, kept = ("start", "--persist", str(tmp_path / "kept")), {"Bucket": "kept", "Key": "o"}
    (tmp_path / "kept").mkdir(mode=0o755)
    before = exports(local(tmp_path, *start).stdout)
    kms, s3, iam = (client(before, name) for name in ("kms", "s3", "iam"))
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    s3.create_bucket(Bucket="kept")
    s3.put_object(**kept, Body=b"body", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    iam.create_user(UserName="reader")
    policy = {"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
    iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=json.dumps(policy))
    user = iam.create_access_key(UserName="reader")["AccessKey"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    local(tmp_path, "stop")
    after = exports(local(tmp_path, *start).stdout)
    credentials = {"aws_access_key_id": user["AccessKeyId"], "aws_secret_access_key": user["SecretAccessKey"]}
    try:
        assert client(after, "kms").decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
        assert client(after, "s3").get_object(**kept)["Body"].read() == b"body"
        with pytest.raises(ClientError, match="user/reader is not authorized to perform: kms:Decrypt"):
            client(after, "s3", **credentials).get_object(**kept)
    finally:
        local(tmp_path, "stop")
    files = list((tmp_path / "kept").iterdir())
    assert files
    assert [it for it in files if it.stat().st_mode & 0o077] == []


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
    except (ProcessLookupError, FileNotFoundError):
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
    "SIGTERM": ("parent", signal.SIGTERM, "pass"),
    "SIGKILL": ("parent", signal.SIGKILL, "pass"),
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


def test_two_run_side_by_side_without_seeing_each_other_and_nothing_is_left_after_stop(
    aws: LocalAws, tmp_path: Path
) -> None:
    with LocalAws.start(directory=tmp_path, region="eu-west-1") as two:
        state = json.loads((two.folder / "server.json").read_text())
        found = {"folder": str(two.folder), "server": state["pid"], "port": state["port"], "worker": state["pid"]}
        assert all(_left(found).values())
        key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
        assert two.client("kms").list_keys()["Keys"] == []
        assert key.startswith("arn:aws:kms:us-east-1:")
        assert two.client("kms").create_key()["KeyMetadata"]["Arn"].startswith("arn:aws:kms:eu-west-1:")
        assert two.folder.parent == tmp_path
        two.stop()
        assert not any(_left(found).values())
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
