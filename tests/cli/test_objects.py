"""Objects in Amazon S3 and options of encrypt and decrypt on the command line: all or nothing, nothing overwritten."""

import base64
import json
import multiprocessing
import os
import signal
from contextlib import suppress
from pathlib import Path

import click
import pytest
from botocore.exceptions import ClientError
from rich.console import Console
from rich.progress import Progress

from kms_runtime.cli import options, progress, s3_objects, side_by_side
from kms_runtime.cli.armor import Armored, Dearmored
from kms_runtime.cli.encryption import Encryption
from kms_runtime.cli.places import S3Place
from kms_runtime.errors import MessageFormatError

LARGE = os.urandom(1024) * 1024 * 14
TENANT = ("-c", "tenant=a")


@pytest.fixture(scope="module")
def s3(aws):
    client = aws.session().client("s3")
    client.create_bucket(Bucket="cli-objects")
    return client


@pytest.fixture(autouse=True)
def empty(s3):
    for found in s3.list_objects_v2(Bucket="cli-objects").get("Contents", []):
        s3.delete_object(Bucket="cli-objects", Key=found["Key"])


@pytest.fixture
def keys_of(s3):
    return lambda: [found["Key"] for found in s3.list_objects_v2(Bucket="cli-objects").get("Contents", [])]


def body(s3, key):
    return s3.get_object(Bucket="cli-objects", Key=key)["Body"].read()


def uploads(s3):
    return s3.list_multipart_uploads(Bucket="cli-objects").get("Uploads", [])


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large.bin"
    path.write_bytes(LARGE)
    return path


def test_file_goes_to_an_object_and_comes_back(run, keys, s3, large, keys_of, tmp_path):
    assert run("encrypt", large, "-k", keys.first, *TENANT, "-o", "s3://cli-objects/in/").code == 0
    assert keys_of() == ["in/large.bin.encrypted"]
    assert body(s3, "in/large.bin.encrypted")[:3] == b"\x02\x04\x78"
    done = run("decrypt", "s3://cli-objects/in/large.bin.encrypted", "-k", keys.first, *TENANT, "-o", "back.bin")
    assert done.code == 0
    assert (tmp_path / "back.bin").read_bytes() == LARGE
    assert uploads(s3) == []


def test_object_goes_to_an_object_beside_itself(run, keys, s3, keys_of):
    s3.put_object(Bucket="cli-objects", Key="a/b.txt", Body=b"hello")
    assert run("encrypt", "s3://cli-objects/a/b.txt", "-k", keys.first).code == 0
    assert keys_of() == ["a/b.txt", "a/b.txt.encrypted"]
    assert run("decrypt", "s3://cli-objects/a/b.txt.encrypted", "-k", keys.first, "-o", "s3://cli-objects/c").code == 0
    assert body(s3, "c") == b"hello"


def test_standard_streams_meet_objects(run, keys, s3):
    assert run("encrypt", "-", "-k", keys.first, "-o", "s3://cli-objects/x", stdin=b"hello").code == 0
    assert run("decrypt", "s3://cli-objects/x", "-k", keys.first, "-o", "-").stdout == b"hello"
    assert run("decrypt", "s3://cli-objects/x", "-k", keys.first, "--verify").code == 0


@pytest.mark.parametrize("size", [5, len(LARGE)])
def test_existing_object_is_never_overwritten_without_force(size, run, keys, s3, tmp_path):
    (tmp_path / "f").write_bytes(LARGE[:size])
    s3.put_object(Bucket="cli-objects", Key="taken", Body=b"older")
    command = ("encrypt", "f", "-k", keys.first, "-o", "s3://cli-objects/taken")
    done = run(*command)
    assert (done.code, body(s3, "taken")) == (1, b"older")
    assert "s3://cli-objects/taken exists; --force overwrites it" in done.stderr
    assert run(*command, "--force").code == 0
    assert body(s3, "taken")[:3] == b"\x02\x04\x78"


@pytest.mark.parametrize("size", [5, len(LARGE)])
def test_object_that_appears_meanwhile_is_not_overwritten_either(size, run, keys, s3, tmp_path, monkeypatch):
    (tmp_path / "f").write_bytes(LARGE[:size])
    monkeypatch.setattr(s3_objects, "_refuse_existing", lambda *_: None)
    s3.put_object(Bucket="cli-objects", Key="taken", Body=b"older")
    done = run("encrypt", "f", "-k", keys.first, "-o", "s3://cli-objects/taken")
    assert (done.code, body(s3, "taken"), uploads(s3)) == (1, b"older", [])
    assert "exists; --force overwrites it" in done.stderr


def test_message_that_is_not_genuine_leaves_no_object_and_no_upload(run, keys, s3, large, keys_of):
    assert run("encrypt", large, "-k", keys.first, "-o", "message").code == 0
    message = large.with_name("message").read_bytes()
    s3.put_object(Bucket="cli-objects", Key="bad", Body=message[:-1] + bytes([message[-1] ^ 1]))
    done = run("decrypt", "s3://cli-objects/bad", "-k", keys.first, "-o", "s3://cli-objects/plain")
    assert (done.code, keys_of(), uploads(s3)) == (3, ["bad"], [])
    assert "MessageAuthenticationFailed" in done.stderr


def test_missing_object_is_exit_code_1(run, keys):
    done = run("decrypt", "s3://cli-objects/none", "-k", keys.first)
    assert done.code == 1
    assert "SourceNotReadable" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("encrypt", "s3:///key"), "s3://BUCKET/KEY is expected"),
        (("encrypt", "s3://bucket"), "names no object"),
        (("encrypt", "s3://bucket/folder/"), "names no object"),
        (("encrypt", "letter.txt", "-o", "s3://bucket/key", "--verify"), "decrypt --verify"),
        (("encrypt", "s3://bucket/key", "--verify"), "decrypt --verify"),
        (("encrypt", "letter.txt", "s3://bucket/key", "-o", "s3://bucket/key"), "must be an existing folder"),
        (("encrypt", "a/letter.txt", "letter.txt", "-o", "s3://bucket/x/"), "would both go to"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, reason, run, keys, letter):
    (letter.parent / "a").mkdir()
    (letter.parent / "a" / "letter.txt").write_bytes(b"")
    done = run(*arguments, "-k", keys.first)
    assert done.code == 2
    assert reason in done.stderr


def test_places_are_named_as_files_are():
    at = S3Place("b", "x/y")
    assert (at.name, str(at.with_name("z")), at.is_dir()) == ("y", "s3://b/x/z", False)
    assert (str(S3Place("b", "") / "z"), S3Place("b", "x/").is_dir()) == ("s3://b/z", True)


def test_no_credentials_for_the_bucket_is_not_taken_for_a_free_name():
    class Forbidden:
        def head_object(self, **_):
            raise ClientError({"Error": {"Code": "403"}}, "HeadObject")

    s3_objects._refuse_existing(Forbidden(), S3Place("b", "k"))


def test_object_to_object_keeps_headers_metadata_and_on_request_tags(run, keys, s3):
    described = {"ContentType": "text/plain", "CacheControl": "no-store", "Metadata": {"owner": "billing"}}
    s3.put_object(Bucket="cli-objects", Key="in", Body=b"hello", Tagging="team=a", **described)
    encrypt = ("encrypt", "s3://cli-objects/in", "-k", keys.first, "-o", "s3://cli-objects/out")
    refused = run(*encrypt)
    assert (refused.code, "has 1 tags" in refused.stderr) == (1, True)
    assert run(*encrypt, "--tags", "carry").code == 0
    assert (
        run("decrypt", "s3://cli-objects/out", "-k", keys.first, "-o", "s3://cli-objects/back", "--tags", "drop").code
        == 0
    )
    for key, tags in (("out", [{"Key": "team", "Value": "a"}]), ("back", [])):
        found = s3.get_object(Bucket="cli-objects", Key=key)
        assert {name: found[name] for name in described} == described
        assert s3.get_object_tagging(Bucket="cli-objects", Key=key)["TagSet"] == tags
    assert body(s3, "back") == b"hello"


@pytest.fixture
def prefix(s3):
    """Objects below a prefix, one of them a folder's marker and one with the name of a message."""
    for key, data in (("in/a", b"a"), ("in/deep/er/b", b"b"), ("in/deep/c.encrypted", b"c"), ("in/deep/", b"")):
        s3.put_object(Bucket="cli-objects", Key=key, Body=data, Metadata={"name": key.replace("/", "-")})
    s3.put_object(Bucket="cli-objects", Key="inside", Body=b"not below the prefix")
    return "s3://cli-objects/in/"


def test_prefix_is_mirrored_in_a_prefix_and_in_a_folder(run, keys, s3, prefix, keys_of, tmp_path):
    vault = "s3://cli-objects/vault/"
    done = run("encrypt", "-r", prefix, "-o", vault, "-k", keys.first, *TENANT)
    assert (done.code, done.stderr) == (0, "3 files done, 0 failed, 0 there already, 1 passed over\n")
    results = ["vault/a.encrypted", "vault/deep/c.encrypted.encrypted", "vault/deep/er/b.encrypted"]
    assert [key for key in keys_of() if key.startswith("vault")] == results
    assert s3.head_object(Bucket="cli-objects", Key=results[0])["Metadata"] == {"name": "in-a"}
    for _ in range(2):
        done = run("decrypt", "-r", vault, "-o", "back", "-k", keys.first, *TENANT)
        assert done.code == 0
    assert "0 files done, 0 failed, 3 there already" in done.stderr
    assert (tmp_path / "back/deep/er/b").read_bytes() == b"b"
    assert sorted(path.name for path in (tmp_path / "back").rglob("*")) == ["a", "b", "c.encrypted", "deep", "er"]


def test_object_is_there_already_only_if_it_was_written_in_a_later_second(run, keys, prefix, monkeypatch):
    command = ("encrypt", "-r", prefix, "-o", "s3://cli-objects/vault/", "-k", keys.first)
    assert run(*command).code == 0
    listed = s3_objects.listed

    def of_an_hour_ago(folder):
        hour = 0 if folder.key == "vault/" else 3600 * 10**9
        return ((key, size, modified - hour) for key, size, modified in listed(folder))

    monkeypatch.setattr(s3_objects, "listed", of_an_hour_ago)
    assert "0 files done, 0 failed, 3 there already" in run(*command).stderr
    monkeypatch.setattr(s3_objects, "listed", lambda folder: ((key, size, 0) for key, size, _ in listed(folder)))
    done = run(*command)
    assert (done.code, done.stderr.count("exists; --force overwrites it")) == (1, 3)


def test_folder_goes_to_a_prefix_and_results_inside_of_the_source_are_left_alone(run, keys, tmp_path, keys_of):
    for name in ("a", "deep/b"):
        path = tmp_path / "plain" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert run("encrypt", "-r", "plain", "-o", "s3://cli-objects/in/", "-k", keys.first).code == 0
    assert keys_of() == ["in/a.encrypted", "in/deep/b.encrypted"]
    assert run("decrypt", "-r", "s3://cli-objects/in/", "-o", "s3://cli-objects/in/plain/", "-k", keys.first).code == 0
    assert run("encrypt", "-r", "s3://cli-objects/in/", "-o", "s3://cli-objects/in/plain/", "-k", keys.first).code == 0
    assert len([key for key in keys_of() if key.startswith("in/plain/")]) == 4


@pytest.mark.parametrize("key", ["in/../../x", "in/./x", "in//x", "in/a\\b"])
def test_key_that_would_leave_the_folder_is_refused_before_anything_is_written(key, run, keys, s3, tmp_path):
    s3.put_object(Bucket="cli-objects", Key="in/a", Body=b"a")
    s3.put_object(Bucket="cli-objects", Key=key, Body=b"x")
    done = run("encrypt", "-r", "s3://cli-objects/in/", "-o", "back", "-k", keys.first)
    assert (done.code, "cannot be the name of a file" in done.stderr) == (2, True)
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    ("source", "output"), [("s3://cli-objects/in", "x"), ("s3://cli-objects/in/", "s3://cli-objects/x"), (".", "-")]
)
def test_prefix_must_end_with_a_slash(source, output, run, keys):
    assert run("encrypt", "-r", source, "-o", output, "-k", keys.first).code == 2


def test_prefix_without_objects_is_wrong_usage(run, keys, tmp_path):
    done = run("encrypt", "-r", "s3://cli-objects/no-such/", "-o", "x/", "-k", keys.first)
    assert (done.code, "s3://cli-objects/no-such/: no such object" in done.stderr) == (2, True)


def test_prefix_with_nothing_but_its_own_results_is_done(run, keys, s3):
    s3.put_object(Bucket="cli-objects", Key="left/out/a.encrypted", Body=b"x")
    done = run("encrypt", "-r", "s3://cli-objects/left/", "-o", "s3://cli-objects/left/out/", "-k", keys.first)
    assert (done.code, "no such object" in done.stderr) == (0, False), done.stderr


def test_bucket_that_is_not_there_is_one_line(run, keys):
    done = run("encrypt", "-r", "s3://cli-objects-none/in/", "-o", "x", "-k", keys.first)
    assert (done.code, "NoSuchBucket" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


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
        side_by_side.on_threads(process, ["interrupted", *map(Path, "abc")], report.stop, 8)
    assert set(ended) <= set("abc")


@pytest.fixture
def many(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(12):
        (folder / str(number)).write_bytes(b"x")
    return folder


@pytest.fixture(params=[0, 2], ids=["threads", "processes"])
def workers(request, monkeypatch):
    monkeypatch.setattr(side_by_side, "AT_A_TIME", {"files": 1 if request.param else 2})
    monkeypatch.setattr(side_by_side, "processes", lambda _files: request.param)


@pytest.mark.usefixtures("workers")
def test_run_after_an_interrupted_one_calls_kms_for_the_unfinished_files_only(run, keys, aws, many, monkeypatch):
    genuine, made, out = progress.Report.done, [], many.parent / "out"

    def done(self, *arguments):
        genuine(self, *arguments)
        made.append(arguments)
        if len(made) == 4:
            raise SystemExit(143)

    monkeypatch.setattr(progress.Report, "done", done)
    before = len(aws.kms_calls())
    arguments = ("encrypt", "-r", many, "-o", "out", "-k", keys.first)
    assert run(*arguments).code == 143
    there, interrupted = len(list(out.iterdir())), len(aws.kms_calls())
    # Those of the other thread or process may have been under way: its call was made, and its file is not there.
    assert 4 <= there <= interrupted - before <= there + 2
    assert [path.suffix for path in out.iterdir()] == [".encrypted"] * there
    done = run(*arguments)
    assert done.stderr == f"{12 - there} files done, 0 failed, {there} there already, 0 passed over\n"
    assert len(aws.kms_calls()) - interrupted == 12 - there
    assert len(list(out.iterdir())) == 12


@pytest.mark.usefixtures("workers")
def test_every_result_and_failure_of_a_tree_is_told_whoever_made_it(run, keys, many):
    assert run("encrypt", "-r", many, "-o", "out", "-k", keys.first, *TENANT).code == 0
    (many.parent / "out" / "7.encrypted").write_bytes(b"no message")
    (many.parent / "out" / "8.encrypted").chmod(0o600)
    done = run("decrypt", "-r", "out", "-o", "back", "-k", keys.first, "--json", "--metadata-output", "said")
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    failed = [(line["input"], line["error"]) for line in lines if "error" in line]
    assert (done.code, failed) == (3, [("out/7.encrypted", "MessageFormatError")])
    assert sorted(line["output"] for line in lines if "output" in line) == sorted(
        f"back/{number}" for number in range(12) if number != 7
    )
    assert len((many.parent / "said").read_text().splitlines()) == 11
    assert "11 files done, 1 failed, 0 there already" in done.stderr


@pytest.mark.parametrize("workers", [2], indirect=True)
@pytest.mark.usefixtures("workers")
def test_files_of_a_process_that_was_killed_are_failures_and_the_others_are_done(run, keys, many, monkeypatch):
    genuine = Encryption.run
    arguments = ("encrypt", "-r", many, "-o", "out", "-k", keys.first)

    def killed(self, source, *others, **options):
        if source.name == "0":
            os.kill(os.getpid(), signal.SIGKILL)
        return genuine(self, source, *others, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Encryption, "run", killed)
        done = run(*arguments)
    assert (done.code, "ProcessEnded: its process ended with -9" in done.stderr) == (1, True)
    assert int(done.stderr.splitlines()[-1].split()[0]) >= 6
    assert run(*arguments).code == 0
    assert len([path for path in (many.parent / "out").iterdir() if path.suffix == ".encrypted"]) == 12


@pytest.mark.parametrize("workers", [2], indirect=True)
@pytest.mark.usefixtures("workers")
def test_configuration_that_one_process_cannot_use_is_one_line(run, keys, many, monkeypatch):
    def refuse(*_arguments, **_options):
        raise click.ClickException("the AWS SDK cannot be used")

    monkeypatch.setattr(Encryption, "run", refuse)
    done = run("encrypt", "-r", many, "-o", "out", "-k", keys.first)
    assert (done.code, done.stderr) == (1, "Error: the AWS SDK cannot be used\n")


@pytest.mark.usefixtures("workers")
def test_file_that_memory_does_not_suffice_for_is_one_line(run, keys, many, monkeypatch):
    genuine = Encryption.run

    def exhausted(self, source, *others, **options):
        if source.name == "0":
            raise MemoryError
        return genuine(self, source, *others, **options)

    monkeypatch.setattr(Encryption, "run", exhausted)
    done = run("encrypt", "-r", many, "-o", "out", "-k", keys.first)
    first, last = done.stderr.splitlines()
    assert (done.code, first) == (1, f"{many / '0'}: MemoryError: the process has no memory left")
    assert last == "11 files done, 1 failed, 0 there already, 0 passed over"


def test_thread_that_cannot_be_started_is_one_line(run, keys, many, monkeypatch):
    def refuse(*_arguments):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(side_by_side.ThreadPoolExecutor, "submit", refuse)
    done = run("encrypt", "-r", many, "-o", "out", "-k", keys.first)
    assert (done.code, done.stderr) == (1, "Error: a thread cannot be started: can't start new thread\n")


@pytest.mark.parametrize(("cores", "files", "count"), [({5}, 10**4, 0), ({5, 6}, 10**4, 2), ({*range(64)}, 149, 2)])
def test_a_process_is_for_each_core_that_this_one_may_use(cores, files, count, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores, raising=False)
    monkeypatch.setattr(side_by_side.sys, "platform", "linux")
    assert side_by_side.processes(files) == count


def test_process_whose_starter_is_gone_ends_within_a_file(monkeypatch):
    monkeypatch.setattr(side_by_side.signal, "signal", lambda *_: None)
    reader, writer = multiprocessing.Pipe(duplex=False)
    attempted = []
    side_by_side._work(lambda pair, _: attempted.append(pair), dict.fromkeys(range(1000), "x"), writer, [reader])
    assert len(attempted) < 1000


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
