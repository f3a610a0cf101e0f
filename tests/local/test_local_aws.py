"""The public class and the background server: sessions, environments, assumed roles, the call log, start and stop."""

import json
import os
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

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
        with pytest.raises(AssumeRoleRefused, match="there is no role"):
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


LIST_KEYS = "import boto3; print(len(boto3.client('kms').list_keys()['Keys']))"
CREATE_KEY = "import boto3; boto3.client('kms').create_key()"


@pytest.fixture
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    daemon.stop()


def _run(script: str, environment: dict[str, str]) -> str:
    return subprocess.check_output(
        [sys.executable, "-c", script], env={"PATH": os.environ["PATH"]} | environment, text=True
    )


def test_it_runs_until_it_is_stopped_and_leaves_nothing(own_temporary_folder: Path) -> None:
    assert daemon.env() is None
    started = daemon.start()
    assert (daemon.start(), daemon.env()) == (started, started)
    _run(CREATE_KEY, started)
    assert _run(LIST_KEYS, started) == "1\n"
    assert daemon.stop() is True
    assert (daemon.stop(), daemon.env()) == (False, None)
    assert list(own_temporary_folder.iterdir()) == []


def test_the_state_of_a_server_that_was_killed_is_cleared_away(own_temporary_folder: Path) -> None:
    daemon.start()
    [state] = own_temporary_folder.glob("kms-patterns-*/*/server.json")
    server = json.loads(state.read_text())["pid"]
    os.kill(server, 9)
    os.waitpid(server, 0)
    assert daemon.env() is None
    assert _run(LIST_KEYS, daemon.start()) == "0\n"
    assert len(list(own_temporary_folder.glob("kms-patterns-*/*/server.json"))) == 1


def test_a_process_that_took_over_the_process_id_is_left_alone(own_temporary_folder: Path) -> None:
    daemon.start()
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
