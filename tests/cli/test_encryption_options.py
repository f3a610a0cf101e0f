"""Options of the encrypt and decrypt commands and their defaults, results under another key, and the end of a run."""

import base64
import json
import os
from contextlib import suppress

import click
import pytest
from rich.console import Console
from rich.progress import Progress

from kms_runtime.cli import encrypt_decrypt, options, progress
from kms_runtime.cli.armor import Armored, Dearmored
from kms_runtime.errors import MessageFormatError

TENANT = ("-c", "tenant=a")


@pytest.fixture
def plain(tmp_path):
    folder = tmp_path / "plain"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.mark.parametrize("change", [("-k", "second"), ("-k", "first", "-c", "tenant=b"), ("-k", "first", "--sign")])
def test_result_under_another_key_context_or_kind_is_noticed(change, run, keys, plain):
    arguments = [vars(keys).get(each, each) for each in change]
    assert run("encrypt", "-r", plain, "-o", "out", "-k", keys.first, *TENANT).code == 0
    done = run("encrypt", "-r", plain, "-o", "out", *arguments)
    assert (done.code, done.stderr.count("exists; --force overwrites it")) == (1, 2)
    assert run("encrypt", "-r", plain, "-o", "out", *arguments, "-f").code == 0
    assert "2 there already" in run("encrypt", "-r", plain, "-o", "out", *arguments).stderr


def test_required_pair_does_not_make_results_look_foreign(run, keys, plain):
    arguments = ("encrypt", "-r", plain, "-o", "out", "-k", keys.first, *TENANT, "--required-context", "tenant")
    assert run(*arguments).code == 0
    assert "2 there already" in run(*arguments).stderr


@pytest.mark.timeout(30)
def test_interrupted_run_ends_within_a_file():
    report = progress.Report(Console(quiet=True), Progress(disable=True))
    ended = []

    def process(pair):
        if pair == "interrupted":
            raise SystemExit(143)
        move = report.started(pair, None)
        try:
            while True:
                move(1)
        finally:
            ended.append(pair.name)

    with pytest.raises(SystemExit):
        encrypt_decrypt._side_by_side(process, ["interrupted", *map(encrypt_decrypt.Path, "abc")], report.stop)
    assert set(ended) <= set("abc")


def test_defaults_come_from_a_file_then_the_environment_then_the_options(run, keys, letter, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(f'key = "{keys.first}"\ncontext = {{ tenant = "file" }}\nsuffix = ".esdk"\n')

    def context(*options, **variables):
        assert run("encrypt", letter, "-f", *options, KMS_RUNTIME_CONFIG=str(config), **variables).code == 0
        found = json.loads(run("inspect", "letter.txt.esdk").stdout)
        return found["encryptionContext"], [key["key"] for key in found["encryptedDataKeys"]]

    assert context() == ({"tenant": "file"}, [keys.first])
    more = {"KMS_RUNTIME_KEY": keys.second, "KMS_RUNTIME_CONTEXT": "tenant=variable app=x"}
    assert context(**more) == ({"tenant": "variable", "app": "x"}, [keys.second])
    assert context("-k", keys.first, "-c", "tenant=option", **more) == ({"tenant": "option"}, [keys.first])
    account = ("--account", keys.first.split(":")[4], "-c", "tenant=option")
    assert run("decrypt", "letter.txt.esdk", "-o", "copy", *account, KMS_RUNTIME_CONFIG=str(config)).code == 0
    assert run("encrypt", letter, KMS_RUNTIME_CONFIG="", XDG_CONFIG_HOME=str(tmp_path)).code == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("keys = 1", "'keys' is not one of key, context, suffix"),
        ("key = 1", "key: an ARN or a list"),
        ("key = [1]", "key: an ARN or a list"),
        ("context = 'a=b'", "context: a table of strings"),
        ("context = { a = 1 }", "context: a table of strings"),
        ("region = 1", "region: a string"),
        ("endpoint-url = []", "endpoint-url: a string"),
        ("suffix = ''", "--suffix ''"),
        ("x", "Expected '=' after a key"),
        ("\ud800", "can't decode"),
        ("a=" + "[" * 30_000, "config.toml"),
        ("#" * 70_000, "more than 65536 bytes"),
        (None, "No such file"),
    ],
)
def test_defaults_that_cannot_be_used_are_one_line(text, reason, run, letter, tmp_path):
    if text is not None:
        (tmp_path / "config.toml").write_bytes(text.encode(errors="surrogatepass"))
    done = run("encrypt", letter, KMS_RUNTIME_CONFIG=str(tmp_path / "config.toml"))
    assert (done.code, reason in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr


def test_armored_message_is_text_and_comes_back(run, keys, letter, tmp_path):
    assert run("encrypt", letter, "-k", keys.first, "--armor", "--verify", *TENANT).code == 0
    text = (tmp_path / "letter.txt.encrypted").read_text("ascii")
    assert max(map(len, text.splitlines())) == 76
    (tmp_path / "raw.encrypted").write_bytes(base64.b64decode(text))
    for name, more in (("letter.txt.encrypted", ["--armor"]), ("raw.encrypted", [])):
        assert run("decrypt", name, "-o", "copy", "-f", "-k", keys.first, *more).code == 0
        assert (tmp_path / "copy").read_bytes() == letter.read_bytes()
    (tmp_path / "bad").write_bytes(b"no Base64!")
    done = run("decrypt", "bad", "--armor", "-k", keys.first)
    assert (done.code, "not the Base64 text of a message" in done.stderr) == (3, True)


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 57 * 1024, 200_001])
@pytest.mark.parametrize("piece", [1000, 70_000])
def test_armor_is_base64_whatever_the_pieces(size, piece):
    data, text = bytes(range(251)) * (size // 251 + 1), _Pieces()
    armored = Armored(text)
    for start in range(0, size, piece):
        armored.write(memoryview(data)[start : min(start + piece, size)])
    armored.finish()
    assert bytes(text) == base64.encodebytes(data[:size])
    for spelled in (bytes(text), base64.b64encode(data[:size]), bytes(text).replace(b"\n", b"\r\n \t")):
        source, found = Dearmored(_Pieces(spelled)), bytearray()
        while more := source.read(999):
            found += more
        assert bytes(found) == data[:size]


@pytest.mark.parametrize(
    "text", [b"a", b"abc", b"ab=c", b"\xff", b"====", b"abcd=", b"ab-_", b"YQ==" * 9, b"YWFh" * 7000 + b"YQ==" * 9000]
)
def test_what_is_not_base64_is_refused(text):
    source = Dearmored(_Pieces(b"YWFh" * 20_000 + text))
    with pytest.raises(MessageFormatError, match="not the Base64 text"):
        list(iter(lambda: source.read(50_000), b""))


class _Pieces(bytearray):
    """A binary file object that gives and takes some bytes at a time."""

    def write(self, data):
        self.extend(data)

    def read(self, size):
        found = bytes(self[: min(size, 7001)])
        del self[: len(found)]
        return found


def test_alias_is_taken_only_if_it_is_allowed_and_the_message_names_its_key(run, keys, letter, aws):
    alias = keys.first.rpartition(":")[0] + ":alias/letters"
    aws.session().client("kms").create_alias(AliasName="alias/letters", TargetKeyId=keys.second)
    done = run("encrypt", letter, "-k", alias)
    assert (done.code, "--allow-alias" in done.stderr) == (2, True)
    assert run("encrypt", letter, "-k", alias, "--allow-alias").code == 0
    (key,) = json.loads(run("inspect", "letter.txt.encrypted").stdout)["encryptedDataKeys"]
    assert key["key"] == keys.second
    done = run("encrypt", letter, "-f", "-k", alias + "x", "--allow-alias")
    assert (done.code, "NotFoundException" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


def test_results_and_failures_are_lines_of_json(run, keys, letter):
    done = run("encrypt", letter, "--json", "-v", "-k", keys.first)
    (line,) = map(json.loads, done.stdout.decode().splitlines())
    assert (done.code, line["output"], line["key"]) == (0, f"{letter}.encrypted", keys.first)
    assert f"{letter} -> {letter}.encrypted: 680000 bytes" in done.stderr
    done = run("encrypt", letter, "--json", "-k", keys.first)
    (line,) = map(json.loads, done.stdout.decode().splitlines())
    assert (done.code, line["input"], line["error"]) == (1, str(letter), "FileExistsError")
    assert run("encrypt", "-", "--json", "-k", keys.first).code == 2


@pytest.mark.parametrize("stream", [None, "/dev/full"])
def test_results_that_standard_output_does_not_take_end_the_run(stream, monkeypatch):
    with open(stream or os.devnull, "w") as opened:  # noqa: PTH123
        monkeypatch.setattr("sys.stdout", opened if stream else None)
        with pytest.raises(click.ClickException, match=r"--json: .*(closed|No space left)"):
            progress._say({"input": "a"})
        monkeypatch.undo()
        with suppress(OSError):
            opened.close()


@pytest.mark.parametrize("home", ["/dev/null", "/nowhere", "\0"])
def test_missing_home_has_no_defaults(home):
    assert options._configured({"XDG_CONFIG_HOME": home}) == {}


def test_defaults_that_are_there_and_cannot_be_read_are_an_error(tmp_path):
    (tmp_path / "kms-runtime" / "config.toml").mkdir(parents=True)
    with pytest.raises(click.UsageError, match=r"config\.toml"):
        options._configured({"XDG_CONFIG_HOME": str(tmp_path)})


def test_messages_share_a_data_key_only_if_it_is_asked_for(run, keys, plain, aws):
    counted = []
    for more in ((), ("--messages-per-data-key", "2")):
        before = len(aws.kms_calls())
        assert run("encrypt", "-r", plain, "-o", "out", "-k", keys.first, "-f", *more).code == 0
        counted.append(len(aws.kms_calls()) - before)
    assert counted == [2, 1]


def test_message_with_more_data_keys_than_allowed_is_refused(run, keys, letter):
    assert run("encrypt", letter, "-k", keys.first, "-k", keys.second).code == 0
    done = run("decrypt", "letter.txt.encrypted", "--verify", "-k", keys.first, "--max-encrypted-data-keys", "1")
    assert (done.code, "2 encrypted data keys; this reader accepts 1 to 1" in done.stderr) == (3, True)
