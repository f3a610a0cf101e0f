"""Outputs that are not regular files, names and settings of every kind: nothing is destroyed, no traceback is shown."""

import io
import os
import stat
import subprocess
import sys

import pytest
from rich.console import Console
from rich.progress import Progress

from kms_runtime.cli import encryption, file_streams, outputs
from kms_runtime.cli.places import shown


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
    assert file_streams.decrypted_name(name) == result
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
    with Progress(*encryption.columns(), console=console) as bar:
        encryption.Report(console, bar).started(tmp_path / "[red]letter", 1)
    assert "[red]letter" in console.file.getvalue()
