"""Objects in Amazon S3 through the command line: file to object and back, all or nothing, nothing overwritten."""

import os

import pytest
from botocore.exceptions import ClientError

from kms_runtime.cli import s3_objects
from kms_runtime.cli.places import S3Place

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


def test_bucket_that_is_not_there_is_one_line(run, keys):
    done = run("encrypt", "-r", "s3://cli-objects-none/in/", "-o", "x", "-k", keys.first)
    assert (done.code, "NoSuchBucket" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
