"""SIGKILL in the middle of S3 to S3: nothing at the destination, an upload to abort, and a next run that works."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

import kms_runtime
from kms_patterns.local import LocalAws

PLAINTEXT = os.urandom(1024) * 20 * 1024
PLACE = {"Bucket": "vault", "Key": "f.encrypted"}
PROGRAM = """
import sys, time, boto3
import kms_runtime.s3.sink
from kms_runtime import RawAesKeyring
from kms_runtime.s3 import S3Object, encrypt_object

kms_runtime.s3.sink.part_size_for = lambda _: 5 * 1024 * 1024
s3 = boto3.client("s3")
genuine = s3.upload_part

def upload_part(**request):
    if request["PartNumber"] == 3 and sys.argv[1] == "stall":
        print("stalled", flush=True)
        time.sleep(600)
    return genuine(**request)

s3.upload_part = upload_part
keyring = RawAesKeyring("test", "key", wrapping_key=bytes(32))
source, destination = S3Object("inbox", "f"), S3Object("vault", "f.encrypted")
encrypt_object(source, destination, keyring=keyring, encryption_context={}, s3_client=s3)
"""


@pytest.fixture(scope="module")
def aws():
    with LocalAws.start() as started:
        yield started


@pytest.fixture
def run(aws):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= aws.environment() | {"PYTHONPATH": str(Path(kms_runtime.__file__).parents[1])}
    started = []

    def start(how):
        command = [sys.executable, "-c", PROGRAM, how]
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_killed_transfer_shows_nothing_and_the_next_one_works(aws, run):
    s3 = aws.session().client("s3")
    for bucket in ("inbox", "vault"):
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket="inbox", Key="f", Body=PLAINTEXT)
    process = run("stall")
    assert process.stdout.readline() == b"stalled\n"
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    with pytest.raises(ClientError, match="404"):
        s3.head_object(**PLACE)
    (upload,) = s3.list_multipart_uploads(Bucket="vault")["Uploads"]
    assert upload["Key"] == "f.encrypted"
    assert run("through").wait(60) == 0
    # What the bucket's lifecycle rule does; the finished object is untouched by it.
    s3.abort_multipart_upload(**PLACE, UploadId=upload["UploadId"])
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="vault")
    message = s3.get_object(**PLACE)["Body"].read()
    keyring = kms_runtime.RawAesKeyring("test", "key", wrapping_key=bytes(32))
    assert kms_runtime.decrypt_bytes(message, keyring=keyring, encryption_context={}) == PLAINTEXT
