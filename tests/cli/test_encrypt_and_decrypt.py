"""Files and streams through the command line: what is written, what is never overwritten, special files, settings."""

import errno
import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

import kms_runtime
from kms_runtime.cli import file_streams, outputs, progress, side_by_side, trees
from kms_runtime.cli.places import shown
from kms_runtime.message import EncryptedDataKey, MessageKeys, serialize_context
from kms_runtime.message.header import serialize_data_keys
from kms_runtime.message.suite import suite_of

TENANT = ("-c", "tenant=a")


@pytest.fixture
def names(tmp_path):
    return lambda: sorted(path.name for path in tmp_path.iterdir())


@pytest.fixture
def encrypted(run, keys, letter):
    assert run("encrypt", letter, "-k", keys.first, *TENANT).code == 0
    return letter.with_name("letter.txt.encrypted")


def test_file_is_encrypted_beside_itself_and_comes_back(run, keys, letter, encrypted, names):
    plaintext = letter.read_bytes()
    assert encrypted.read_bytes()[:3] == b"\x02\x04\x78"
    assert b"Meet me" not in encrypted.read_bytes()
    letter.unlink()
    assert run("decrypt", encrypted, "-k", keys.first, *TENANT).code == 0
    assert letter.read_bytes() == plaintext
    assert names() == ["letter.txt", "letter.txt.encrypted"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (letter, encrypted)} == {0o600}


def test_existing_output_is_never_overwritten_without_force(run, keys, letter, encrypted, names):
    letter.write_bytes(b"newer")
    done = run("decrypt", encrypted, "-k", keys.first)
    assert (done.code, letter.read_bytes()) == (1, b"newer")
    assert "letter.txt exists; --force overwrites it" in done.stderr
    assert run("decrypt", encrypted, "-k", keys.first, "--force").code == 0
    assert letter.read_bytes().startswith(b"Meet me")
    assert names() == ["letter.txt", "letter.txt.encrypted"]


def test_standard_input_goes_to_standard_output(run, keys):
    message = run("encrypt", "-", "-k", keys.first, *TENANT, stdin=b"hello")
    assert (message.code, message.stdout[:3]) == (0, b"\x02\x04\x78")
    assert run("decrypt", "-", "-k", keys.first, *TENANT, stdin=message.stdout).stdout == b"hello"


def test_quoted_pattern_and_folder(run, keys, tmp_path):
    (tmp_path / "out").mkdir()
    for number in range(3):
        (tmp_path / f"{number}.bin").write_bytes(bytes([number]))
    assert run("encrypt", "*.bin", "-k", keys.first, "-o", "out").code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{n}.bin.encrypted" for n in range(3)]
    assert run("decrypt", "out/*.encrypted", "-k", keys.first).code == 0
    assert (tmp_path / "out" / "2.bin").read_bytes() == b"\x02"


def test_name_without_the_suffix_gets_another_one(run, keys, letter, encrypted, tmp_path):
    renamed = encrypted.rename(tmp_path / "message")
    assert run("decrypt", renamed, "-k", keys.first).code == 0
    assert (tmp_path / "message.decrypted").read_bytes() == letter.read_bytes()


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "MessageAuthenticationFailed"),
        (lambda data: data[:-1], "MessageTruncated"),
        (lambda data: data + b"x", "MessageFormatError"),
        (lambda data: b"hello", "MessageFormatError"),
        (lambda data: b"", "MessageTruncated"),
    ],
)
def test_message_that_is_not_genuine_is_exit_code_3_and_leaves_nothing(
    damage, code, run, keys, letter, encrypted, names
):
    letter.unlink()
    encrypted.write_bytes(damage(encrypted.read_bytes()))
    done = run("decrypt", encrypted, "-k", keys.first)
    assert done.code == 3
    assert f"letter.txt.encrypted: {code}: " in done.stderr
    assert names() == ["letter.txt.encrypted"]


def test_wrong_context_is_exit_code_3_without_a_kms_call(run, keys, letter, encrypted, aws):
    calls = len(aws.kms_calls())
    done = run("decrypt", encrypted, "-k", keys.first, "-c", "tenant=b", "-o", "x")
    assert (done.code, "EncryptionContextMismatch" in done.stderr) == (3, True)
    assert len(aws.kms_calls()) == calls


def test_wrong_key_is_exit_code_1(run, keys, encrypted, names):
    done = run("decrypt", encrypted, "-k", keys.second, "-o", "x")
    assert (done.code, "IncorrectKeyException" in done.stderr) == (1, True)
    assert names() == ["letter.txt", "letter.txt.encrypted"]


def test_other_files_are_done_though_one_failed(run, keys, letter, encrypted, tmp_path):
    (tmp_path / "bad.encrypted").write_bytes(b"hello")
    done = run("decrypt", "bad.encrypted", encrypted, "-k", keys.first, "--force")
    assert (done.code, "bad.encrypted" in done.stderr, letter.read_bytes()[:7]) == (3, True, b"Meet me")


def test_either_of_two_keys_or_any_key_of_the_account_opens_it(run, keys, letter, tmp_path):
    assert run("encrypt", letter, "-k", keys.first, "-k", keys.second).code == 0
    account = keys.first.split(":")[4]
    for number, who in enumerate([("-k", keys.first), ("-k", keys.second), ("--account", account)]):
        assert run("decrypt", "letter.txt.encrypted", *who, "-o", f"copy{number}").code == 0
        assert (tmp_path / f"copy{number}").read_bytes() == letter.read_bytes()


def test_rsa_key_encrypts_without_a_call_and_decrypts_with_one(run, keys, letter, aws, tmp_path):
    public = tmp_path / "public.der"
    public.write_bytes(aws.session().client("kms").get_public_key(KeyId=keys.rsa)["PublicKey"])
    calls = len(aws.kms_calls())
    assert run("encrypt", letter, "-k", keys.rsa, "--public-key", public, *TENANT).code == 0
    assert len(aws.kms_calls()) == calls
    assert run("decrypt", "letter.txt.encrypted", "-k", keys.rsa, "--rsa", *TENANT, "-o", "copy").code == 0
    assert [call["action"] for call in aws.kms_calls()[calls:]] == ["kms:Decrypt"]
    assert (tmp_path / "copy").read_bytes() == letter.read_bytes()


def test_signed_message_is_signed(run, keys, letter):
    assert run("encrypt", letter, "-k", keys.first, "--sign").code == 0
    assert letter.with_name("letter.txt.encrypted").read_bytes()[:3] == b"\x02\x05\x78"
    assert run("decrypt", "letter.txt.encrypted", "-k", keys.first, "--force").code == 0


def test_verify_reads_the_result_back_before_it_takes_its_name(run, keys, letter, aws, names, monkeypatch):
    calls = len(aws.kms_calls())
    assert run("encrypt", letter, "-k", keys.first, "--verify").code == 0
    assert [call["action"] for call in aws.kms_calls()[calls:]] == ["kms:GenerateDataKey", "kms:Decrypt"]
    monkeypatch.setattr("kms_runtime.cli.file_streams.Watched.sha256", b"something else")
    done = run("encrypt", letter, "-k", keys.first, "--verify", "-o", "other")
    assert (done.code, "read back" in done.stderr) == (3, True)
    assert names() == ["letter.txt", "letter.txt.encrypted"]


def test_verify_of_decrypt_writes_nothing(run, keys, letter, encrypted, names):
    assert run("decrypt", encrypted, "-k", keys.first, "--verify").code == 0
    encrypted.write_bytes(encrypted.read_bytes()[:-1])
    assert run("decrypt", encrypted, "-k", keys.first, "--verify").code == 3
    assert names() == ["letter.txt", "letter.txt.encrypted"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["encrypt", "missing", "-k", "K"], "missing: no such file"),
        (["encrypt", "*.nothing", "-k", "K"], "no such file"),
        (["encrypt", "letter.txt"], "--key is missing"),
        (["encrypt", "letter.txt", "-k", "alias/x"], "the ARN of a key is expected"),
        (["encrypt", "letter.txt", "-k", "K", "-c", "tenant"], "NAME=VALUE"),
        (["encrypt", "letter.txt", "-k", "K", "-c", "a=1", "-c", "a=2"], "given twice"),
        (["encrypt", "letter.txt", "-", "-k", "K"], "cannot be combined"),
        (["encrypt", ".", "-k", "K"], "is a folder"),
        (["encrypt", "letter.txt", "other.txt", "-k", "K", "-o", "one"], "must be an existing folder"),
        (["encrypt", "letter.txt", "-k", "K", "-o", "vault/"], "vault/: no such folder"),
        (["encrypt", "-", "-k", "K", "-o", "."], "name the output file"),
        (["encrypt", "letter.txt", "-k", "K", "--verify", "-o", "-"], "standard output does not allow"),
        (["encrypt", "letter.txt", "-k", "K", "--public-key", "letter.txt"], "neither DER nor PEM"),
        (["decrypt", "letter.txt", "-k", "K", "--account", "1"], "leave --key"),
        (["decrypt", "letter.txt", "--account", "1"], "12 digits"),
        (["decrypt", "letter.txt", "-k", "K", "--verify", "-o", "x"], "leave --output out"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, reason, run, keys, letter, tmp_path):
    (tmp_path / "other.txt").touch()
    done = run(*[keys.first if each == "K" else each for each in arguments])
    assert (done.code, reason in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_removes_partial_output(number, keys, environment, tmp_path, names):
    command = [sys.executable, "-m", "kms_patterns", "encrypt", "fifo", "-k", keys.first]
    os.mkfifo(tmp_path / "fifo")
    running = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE)
    with (tmp_path / "fifo").open("wb", buffering=0) as source:
        source.write(b"x")
        deadline = time.monotonic() + 30
        while not any(name.endswith(".partial") for name in names()) and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(number)
        running.communicate(timeout=30)
    assert running.returncode not in {0, None}
    assert names() == ["fifo"]


def test_signal_between_a_partial_file_and_its_block_leaves_none(tmp_path):
    writing = outputs.writing(tmp_path / "letter", size=None, force=False)
    # The ``with`` statement that would call __exit__ was not reached.
    writing.__enter__()
    assert [path.suffix for path in tmp_path.iterdir()] == [".partial"]
    with pytest.raises(SystemExit), side_by_side.terminable():
        sys.exit(143)
    assert [*tmp_path.iterdir()] == []


def test_file_system_without_hard_links_is_written_and_not_overwritten(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "new"
    with outputs.writing(target, size=None, force=False) as output:
        output.sink.write(b"hello")
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"hello", 0o600)

    def write_over_another():
        with outputs.writing(tmp_path / "late", size=None, force=False) as output:
            output.sink.write(b"mine")
            (tmp_path / "late").write_bytes(b"another's")

    with pytest.raises(FileExistsError, match="--force"):
        write_over_another()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"new": b"hello", "late": b"another's"}


def test_input_that_has_no_data_yet_is_not_taken_for_its_end():
    source = type("NonBlocking", (), {"readinto": lambda *_: None})()
    with pytest.raises(BlockingIOError):
        file_streams.Watched(source, lambda _: None, digest=False).readinto(memoryview(bytearray(1)))


def test_header_is_shown_without_a_key_or_a_call(run, keys, encrypted, aws):
    calls = len(aws.kms_calls())
    done = run("inspect", encrypted)
    found = json.loads(done.stdout)
    assert (done.code, found["algorithmSuite"], found["encryptionContext"]) == (0, "0x0478", {"tenant": "a"})
    assert [key["key"] for key in found["encryptedDataKeys"]] == [keys.first]
    assert (found["messageBytes"], found["authenticated"]) == (encrypted.stat().st_size, False)
    assert len(aws.kms_calls()) == calls
    assert json.loads(run("inspect", "-", stdin=encrypted.read_bytes()[:500]).stdout)["messageId"] == found["messageId"]


@pytest.mark.parametrize(("name", "code"), [("letter.txt", 3), ("nowhere", 1), ("empty", 3), (".", 1), ("s3://b/", 2)])
def test_file_without_a_header_is_one_line(run, letter, tmp_path, name, code):
    (tmp_path / "empty").write_bytes(b"")
    done = run("inspect", name)
    assert (done.code, "Traceback" in done.stderr) == (code, False)


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"small")
    return path


def test_fifo_is_written_and_stays_a_fifo(run, keys, small, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with os.fdopen(os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        assert run("encrypt", small, "-k", keys.first, "-o", "pipe", "-f").code == 0
        message = reader.read()
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)
    assert run("decrypt", "-", "-k", keys.first, stdin=message).stdout == b"small"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device nodes")
@pytest.mark.parametrize("force", [(), ("-f",)])
def test_device_is_written_and_stays_a_device(run, keys, small, tmp_path, force):
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        device.write_bytes(b"")
    except PermissionError:
        pytest.skip("this machine does not let device nodes be made or opened here")
    assert run("encrypt", small, "-k", keys.first, "-o", "null", *force).code == 0
    assert stat.S_ISCHR(device.lstat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "null"]


def test_symbolic_link_stays_and_its_target_is_replaced(run, keys, small, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "target", tmp_path / "link"
    target.write_bytes(b"keep")
    link.symlink_to(target)
    done = run("encrypt", small, "-k", keys.first, "-o", "link")
    assert (done.code, target.read_bytes()) == (1, b"keep")
    assert run("encrypt", small, "-k", keys.first, "-o", "link", "-f").code == 0
    assert link.is_symlink()
    assert target.read_bytes()[:3] == b"\x02\x04\x78"
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["target"]


def test_link_that_leads_nowhere_is_no_way_to_write_elsewhere(run, keys, small, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    assert run("encrypt", small, "-k", keys.first, "-o", "link").code == 1
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}", "link"])
def test_open_descriptor_is_written_where_it_stands(run, keys, small, tmp_path, name):
    with (tmp_path / "log").open("wb+", buffering=0) as opened:
        opened.write(b"before")
        (tmp_path / "link").symlink_to(f"/dev/fd/{opened.fileno()}")
        assert run("encrypt", small, "-k", keys.first, "-o", name.format(opened.fileno())).code == 0
        opened.write(b"after")
    written = (tmp_path / "log").read_bytes()
    assert (written[:9], written[-5:]) == (b"before\x02\x04\x78", b"after")


@pytest.mark.parametrize("output", ["pipe", "/dev/stdout", "-"])
def test_verify_of_what_cannot_be_read_again_is_wrong_usage(run, keys, small, tmp_path, output):
    os.mkfifo(tmp_path / "pipe")
    done = run("encrypt", small, "-k", keys.first, "-o", output, "--verify")
    assert done.code == 2
    assert "--verify reads the output again" in done.stderr


def test_block_device_needs_force(tmp_path, monkeypatch):
    monkeypatch.setattr(stat, "S_ISBLK", lambda _: True)
    os.mkfifo(tmp_path / "disk")
    with pytest.raises(FileExistsError, match="--force"), outputs.writing(tmp_path / "disk", size=None, force=False):
        pass


@pytest.mark.parametrize(
    ("output", "reason"), [("nowhere/out", "nowhere/out"), ("f/out", "f/out"), ("x" * 250, "x" * 250)]
)
def test_error_names_the_output_and_not_the_temporary_file(run, keys, small, output, reason):
    done = run("encrypt", small, "-k", keys.first, "-o", output)
    assert (done.code, ".partial" in done.stderr) == (0 if output[0] == "x" else 1, False)
    assert done.code == 0 or reason in done.stderr


@pytest.mark.parametrize(
    "patterns", [("f", "nope*.txt"), ("nope*.txt", "f"), ("f", "nope"), ("dangling",), ("n" * 5000,)]
)
def test_pattern_that_matches_nothing_is_wrong_usage(run, keys, small, tmp_path, patterns):
    (tmp_path / "dangling").symlink_to("nowhere")
    done = run("encrypt", *patterns, "-k", keys.first)
    assert done.code == 2
    assert not (tmp_path / "f.encrypted").exists()


@pytest.mark.parametrize(
    ("name", "result"),
    [
        (".encrypted", ".encrypted.decrypted"),
        ("..encrypted", "..encrypted.decrypted"),
        ("...encrypted", "...encrypted.decrypted"),
        ("a.encrypted", "a"),
        ("a", "a.decrypted"),
    ],
)
def test_message_whose_name_is_only_the_suffix_has_a_name_afterwards(run, keys, small, tmp_path, name, result):
    assert file_streams.decrypted_name(name, ".encrypted") == result
    assert run("encrypt", small, "-k", keys.first, "-o", name).code == 0
    assert run("decrypt", name, "-k", keys.first).code == 0
    assert (tmp_path / result).read_bytes() == b"small"


@pytest.mark.parametrize("name", ["[bold]", "a\x1b[2Jb", "line\nbreak", "byte\udcff", "{0}"])
def test_any_name_is_shown_as_text(run, keys, tmp_path, name):
    (tmp_path / name).write_bytes(b"not a message")
    done = run("decrypt", name, "-k", keys.first)
    assert done.code == 3
    assert done.stderr.count("\n") == 1
    assert shown(name) in done.stderr
    assert "\x1b[2J" not in done.stderr


SETTINGS = {
    "unknown profile": {"AWS_PROFILE": "nope"},
    "empty profile": {"AWS_PROFILE": ""},
    "endpoint": {"AWS_ENDPOINT_URL": "foo"},
    "number": {"AWS_MAX_ATTEMPTS": "abc"},
    "mode": {"AWS_DEFAULTS_MODE": "bogus"},
    "half the credentials": {"AWS_SECRET_ACCESS_KEY": ""},
    "credential process": {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_CONFIG_FILE": "process"},
    "credential process without JSON": {
        "AWS_ACCESS_KEY_ID": None,
        "AWS_SECRET_ACCESS_KEY": None,
        "AWS_CONFIG_FILE": "echo",
    },
    "configuration file": {"AWS_CONFIG_FILE": "broken"},
}


@pytest.mark.parametrize("command", [("encrypt", "f", "-o", "o"), ("encrypt", "s3://bucket/key", "-o", "o")])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_unusable_settings_of_the_sdk_are_one_line(run, keys, small, tmp_path, settings, command):
    (tmp_path / "process").write_text("[default]\nregion=us-east-1\ncredential_process=/bin/false\n")
    (tmp_path / "echo").write_text("[default]\nregion=us-east-1\ncredential_process=echo {\n")
    (tmp_path / "broken").write_text("[default\n")
    done = run(*command, "-k", keys.first, **settings)
    assert done.code == 1
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("redirection", "name"), [("<&-", "standard input"), (">&-", "standard output"), ("<&- >&- 2>&-", "")]
)
def test_closed_standard_stream_is_one_line(environment, keys, small, redirection, name):
    source, output = ("-", "out") if "<" in redirection else ("f", "-")
    shell = f'exec "$@" {redirection}'
    command = [sys.executable, "-m", "kms_patterns", "encrypt", source, "-k", keys.first, "-o", output]
    done = subprocess.run(
        ["sh", "-c", shell, "sh", *command],
        cwd=small.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"{name} is closed" in done.stderr or not name


def test_reader_that_leaves_early_is_one_line(environment, keys, small):
    small.write_bytes(bytes(1_000_000))
    shell = '{ "$@"; echo "code $?" >&2; } | head -c 1 >/dev/null'
    command = [sys.executable, "-m", "kms_patterns", "encrypt", "f", "-k", keys.first, "-o", "-"]
    done = subprocess.run(
        ["sh", "-c", shell, "sh", *command],
        cwd=small.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines()[-1] == "code 1"
    assert len(done.stderr.splitlines()) == 2


def test_name_is_no_markup_of_the_progress_bar(tmp_path):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with Progress(*progress.columns(), console=console) as bar:
        progress.Report(console, bar).started(tmp_path / "[red]letter", 1)
    assert "[red]letter" in console.file.getvalue()


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def plain(tmp_path):
    """A tree of files, one of them with the name of a message."""
    for number, name in enumerate(("a", "deep/er/b", "deep/c.encrypted", "empty", ".hidden")):
        path = tmp_path / "plain" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name == "empty" else bytes([number]) * 1000)
    return tmp_path / "plain"


def test_metadata_that_cannot_be_written_is_named_and_the_result_stays(run, keys, small, tmp_path):
    done = run("encrypt", small, "-k", keys.first, "-o", "made", "--metadata-output", "/dev/full")
    assert (done.code, done.stderr.count("\n"), "'/dev/full'" in done.stderr) == (1, 1, True)
    assert (tmp_path / "made").exists()


def test_folder_is_mirrored_and_comes_back(run, keys, plain, tmp_path, monkeypatch):
    (tmp_path / "log").touch()
    with monkeypatch.context() as written_only:
        written_only.setattr(os, "access", lambda _path, mode: mode != os.R_OK)
        done = run("encrypt", "-r", plain, "-o", "out", "-k", keys.first, *TENANT, "--metadata-output", "log")
    assert (done.code, done.stderr) == (0, "5 files done, 0 failed, 0 there already, 0 passed over\n")
    assert set(files_of(tmp_path / "out")) == {f"{name}.encrypted" for name in files_of(plain)}
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert {(line["plaintextBytes"], line["encryptionContext"]["tenant"]) for line in lines} == {(0, "a"), (1000, "a")}
    assert run("decrypt", "-r", "out", "-o", "back", "-k", keys.first, *TENANT).code == 0
    assert files_of(tmp_path / "back") == files_of(plain)


def test_interrupted_folder_is_resumed_and_nothing_is_done_twice(run, keys, plain, aws, tmp_path):
    assert run("encrypt", "-r", plain, "-o", "out", "-k", keys.first).code == 0
    (tmp_path / "out/deep/er/b.encrypted").unlink()
    (tmp_path / "out/.a.encrypted.0123abcd.partial").write_bytes(b"of a process that was killed")
    calls = len(aws.kms_calls())
    done = run("encrypt", "-r", plain, "-o", "out", "-k", keys.first)
    assert (done.code, done.stderr) == (0, "1 files done, 0 failed, 4 there already, 0 passed over\n")
    assert len(aws.kms_calls()) == calls + 1
    done = run("decrypt", "-r", "out", "--verify", "-k", keys.first)
    assert (done.code, done.stderr) == (0, "5 files done, 0 failed, 0 there already, 1 passed over\n")


def test_source_that_changed_is_an_error_and_not_a_stale_result(run, keys, plain):
    assert run("encrypt", "-r", plain, "-o", "out", "-k", keys.first).code == 0
    (plain / "a").write_bytes(b"newer")
    done = run("encrypt", "-r", plain, "-o", "out", "-k", keys.first)
    assert (done.code, "a.encrypted exists; --force overwrites it" in done.stderr) == (1, True)
    assert "0 files done, 1 failed, 4 there already" in done.stderr


@pytest.mark.parametrize("direction", ["encrypt", "decrypt"])
def test_source_that_is_written_while_it_is_read_fails_at_once(direction, run, keys, small, encrypted, monkeypatch):
    source, genuine = small if direction == "encrypt" else encrypted, getattr(kms_runtime, direction)

    def grown(*streams, **options):
        result = genuine(*streams, **options)
        with source.open("ab") as opened:
            opened.write(b"more")
        return result

    monkeypatch.setattr(kms_runtime, direction, grown)
    done = run(direction, source, "-o", "made", "-k", keys.first, *TENANT)
    assert (done.code, done.stderr.startswith(f"{source}: SourceChanged: ")) == (1, True), done.stderr
    assert not Path("made").exists()


def test_results_beside_their_sources_are_not_encrypted_again(run, keys, plain):
    assert run("encrypt", "-r", plain, "-k", keys.first).code == 0
    again = run("encrypt", "-r", plain, "-k", keys.first)
    assert (again.code, again.stderr) == (0, "0 files done, 0 failed, 4 there already, 5 passed over\n")


def test_results_written_into_the_folder_itself_are_not_encrypted_again(run, keys, plain):
    assert run("encrypt", "-r", plain, "-o", plain, "-k", keys.first).code == 0
    before = set(files_of(plain))
    assert run("encrypt", "-r", plain, "-o", plain, "-k", keys.first).code == 0
    assert set(files_of(plain)) == before


def test_file_that_cannot_be_looked_at_is_an_error_and_not_passed_over(plain, monkeypatch):
    stat = Path.stat

    def refused(path, **options):
        if path.name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(PermissionError):
        trees.tree([str(plain)], None, lambda name: f"{name}.encrypted", lambda _: True, lambda _: True, again=False)


def test_damaged_message_does_not_keep_a_folder_from_being_decrypted(run, keys, plain, tmp_path):
    assert run("encrypt", "-r", plain, "-o", "out", "-k", keys.first).code == 0
    (tmp_path / "out/a.encrypted").write_bytes(b"hello")
    done = run("decrypt", "-r", "out", "-o", "back", "-k", keys.first)
    assert (done.code, "4 files done, 1 failed" in done.stderr) == (3, True)
    assert files_of(tmp_path / "back") == {name: data for name, data in files_of(plain).items() if name != "a"}


@pytest.mark.parametrize("arguments", [("letter.txt",), ("s3://b/p",), ("plain", "plain", "-o", "x"), ("-",)])
def test_recursive_takes_folders_only(arguments, run, keys, letter, plain):
    assert run("encrypt", "-r", *arguments, "-k", keys.first).code == 2


def test_pair_of_a_required_name_is_not_stored_and_must_be_given(run, keys, letter):
    done = run("encrypt", letter, "-k", keys.first, *TENANT, "--required-context", "tenant", "--suffix", ".esdk")
    assert (done.code, letter.with_name("letter.txt.esdk").exists()) == (0, True)
    assert json.loads(run("inspect", "letter.txt.esdk").stdout)["encryptionContext"] == {}
    decrypt = ("decrypt", "letter.txt.esdk", "--suffix", ".esdk", "-f", "-k", keys.first)
    assert run(*decrypt).code != 0
    assert run(*decrypt, *TENANT).code == 0


def test_message_without_commitment_is_read_by_choice_only(run, keys, letter, aws):
    """An unsigned message of format version 1, with a data key of this KMS key."""
    data_key = aws.session().client("kms").generate_data_key(KeyId=keys.first, KeySpec="AES_256")
    wrapped = EncryptedDataKey("aws-kms", keys.first.encode(), data_key["CiphertextBlob"])
    head = bytes.fromhex("01 80 0178") + bytes(16) + serialize_context({}) + serialize_data_keys([wrapped])
    head += bytes.fromhex("02 00000000 0c 00001000")
    cipher = MessageKeys.derive(suite_of(0x0178, version=1), bytearray(data_key["Plaintext"]), bytes(16)).cipher
    nonce, body = (1).to_bytes(12, "big"), b"of long ago"
    about = bytes(16) + b"AWSKMSEncryptionClient Final Frame" + (1).to_bytes(4, "big") + len(body).to_bytes(8, "big")
    final = bytes.fromhex("ffffffff 00000001") + nonce + len(body).to_bytes(4, "big")
    tag = cipher.encrypt(bytes(12), b"", head)
    letter.write_bytes(head + bytes(12) + tag + final + cipher.encrypt(nonce, body, about))
    assert run("decrypt", letter, "-o", "-", "-k", keys.first).code == 3
    allowed = run(
        "decrypt", letter, "-o", "-", "-k", keys.first, "--commitment-policy", "require-encrypt-allow-decrypt"
    )
    assert (allowed.code, allowed.stdout) == (0, body)


@pytest.mark.parametrize("output", ["a" * 300, "a" * 300 + "/", "x/" * 3000 + "y"])
@pytest.mark.parametrize("command", ["encrypt", "decrypt"])
def test_output_whose_name_is_too_long_is_one_line(command, output, run, keys, letter, names):
    done = run(command, letter, "-k", keys.first, "-o", output)
    assert done.code in {1, 2, 3}
    assert done.stderr.count("Error: ") + done.stderr.count("letter.txt: ") == 1, done.stderr
    assert names() == ["letter.txt"]
