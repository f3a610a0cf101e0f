"""The deployed EnvelopeCipher, its buckets, and the processes that run its functions."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from demo.scenario import Stage
from kms_runtime import KmsKeyring, decrypt_bytes
from tests.soak.deliveries import Message
from tests.soak.weather import DISTURBED_SECONDS

CONTEXT = {"tenant": "soak"}
SUFFIX = ".encrypted"
# The driver must get through; an invocation is delivered again by the queue, not by the SDK.
PATIENT = Config(retries={"mode": "standard", "total_max_attempts": 20})
UNDISTURBED = Config(retries={"total_max_attempts": 1}, read_timeout=120, max_pool_connections=20)
ATTEMPTS = 50
KIBIBYTES_PER_MEBIBYTE = 1024


class Plant:
    """The Envelope stack of the reference app, driven as an event source would drive it."""

    def __init__(self, stage: Stage) -> None:
        self.aws = stage.aws
        names = ("InboxName", "VaultName", "RestoredName")
        self.inbox, self.vault, self.restored = (stage.output("Envelope", name) for name in names)
        self.encrypt, self.decrypt = (
            stage.output("Envelope", f"{verb}FunctionName") for verb in ("Encrypt", "Decrypt")
        )
        self.content_key = stage.output("Envelope", "KeyArn")
        self.s3, self.kms = self.aws.client("s3", config=PATIENT), self.aws.client("kms", config=PATIENT)
        self.functions = self.aws.client("lambda", config=UNDISTURBED)
        rules = self.s3.get_bucket_encryption(Bucket=self.vault)["ServerSideEncryptionConfiguration"]["Rules"]
        self.storage_key: str = rules[0]["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"]
        self.killed = 0
        self.killed_with: set[str] = set()

    @contextmanager
    def limited_to(self, seconds: int) -> Iterator[None]:
        """Give the functions a time limit, and the encryption context that an event of S3 cannot name."""
        before = [self.functions.get_function_configuration(FunctionName=name) for name in (self.encrypt, self.decrypt)]
        for found in before:
            variables = found["Environment"]["Variables"] | {"ENCRYPTION_CONTEXT": json.dumps(CONTEXT)}
            self._configure(found, seconds, variables)
        try:
            yield
        finally:
            for found in before:
                self._configure(found, found["Timeout"], found["Environment"]["Variables"])

    def _configure(self, found: Any, seconds: int, variables: dict[str, str]) -> None:
        name = found["FunctionName"]
        self.functions.update_function_configuration(
            FunctionName=name, Timeout=seconds, Environment={"Variables": variables}
        )
        self.functions.get_waiter("function_updated_v2").wait(FunctionName=name)

    def put(self, key: str, content: bytes) -> None:
        """Store a source object, as a writer that does not give up."""
        for _ in range(ATTEMPTS):
            with suppress(ClientError):
                self.s3.put_object(Bucket=self.inbox, Key=key, Body=content)
                return
            time.sleep(DISTURBED_SECONDS / 2)
        raise TimeoutError(f"{key} could not be stored in {ATTEMPTS} attempts")

    def created(self, key: str) -> str:
        """Return S3's notification about a source object."""
        about = {"bucket": {"name": self.inbox}, "object": {"key": key}}
        return json.dumps({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": about}]})

    def wanted(self, key: str) -> str:
        """Return the request to decrypt what became of a source object."""
        return json.dumps({"sourceKey": key + SUFFIX, "encryptionContext": CONTEXT})

    def deliver(self, function: str, messages: Sequence[Message]) -> list[Message]:
        """Invoke a function with a batch; return the messages that it did not take care of."""
        if not messages:
            return []
        named = {str(number): message for number, message in enumerate(messages)}
        records = [{"messageId": n, "body": m.body, "eventSource": "aws:sqs"} for n, m in named.items()]
        answer = self.functions.invoke(FunctionName=function, Payload=json.dumps({"Records": records}).encode())
        content = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            assert content["errorType"] == "Sandbox.Timedout", content
            self.killed += 1
            self.killed_with |= {message.subject for message in messages}
            return list(messages)
        return [named[failure["itemIdentifier"]] for failure in content["batchItemFailures"]]

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """Return the keys of a bucket's objects."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def stored(self, bucket: str, key: str) -> bytes:
        """Return an object's content."""
        content: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def opened(self, key: str) -> bytes:
        """Return the plaintext of an encrypted object, not read by the functions."""
        keyring = KmsKeyring(self.content_key, kms_client=self.kms)
        return decrypt_bytes(self.stored(self.vault, key), keyring=keyring, encryption_context=CONTEXT)

    def abort_uploads(self) -> Iterator[tuple[str, bool]]:
        """Do what the lifecycle rules do to unfinished uploads; yield each path, and whether a rule covers it."""
        for bucket in (self.vault, self.restored):
            rules = self.s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
            covered = any("AbortIncompleteMultipartUpload" in rule and rule["Status"] == "Enabled" for rule in rules)
            for upload in self.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
                self.s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
                yield f"/{bucket}/{upload['Key']}", covered

    def remove(self, prefix: str) -> None:
        """Remove every version of the objects below ``prefix``: the embedded AWS keeps them in memory."""
        for bucket in (self.inbox, self.vault, self.restored):
            for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
                for version in page.get("Versions", []):
                    self.s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])

    def forget_peaks(self) -> None:
        """Have the kernel measure the peak memory of the functions' processes anew."""
        for process in self._processes():
            with suppress(OSError):
                (process / "clear_refs").write_text("5")

    def peak_mebibytes(self) -> float:
        """Return the largest peak of resident memory among the functions' processes."""
        return max((_peak(process) for process in self._processes()), default=0) / KIBIBYTES_PER_MEBIBYTE

    def _processes(self) -> list[Path]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (process / "cwd").readlink().is_relative_to(self.aws.folder / "tmp"):
                    found.append(process)
        return found


def _peak(process: Path) -> int:
    with suppress(OSError):
        for line in (process / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
