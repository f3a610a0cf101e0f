"""Encryption and decryption of one file by the commands, and the report about it."""

import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

import kms_runtime
from kms_runtime.cli import file_streams, outputs
from kms_runtime.cli.aws_clients import kms_client
from kms_runtime.cli.places import Place, S3Place, shown
from kms_runtime.errors import EncryptionContextMismatch, MessageAuthenticationFailed, MessageFormatError
from kms_runtime.key_arn import parse_key_arn
from kms_runtime.keyrings.keyring import Keyring

if TYPE_CHECKING:
    from kms_runtime.s3.transfer import Tags

PUBLIC_KEY_LIMIT = 64 * 1024
"""Bytes that are read of a public key."""
NOT_GENUINE = (MessageFormatError, MessageAuthenticationFailed, EncryptionContextMismatch)


def failures() -> tuple[type[Exception], ...]:
    """Return the errors of one file, after which the next is processed."""
    botocore = sys.modules.get("botocore.exceptions")  # not imported where no call is made
    return (kms_runtime.KmsRuntimeError, OSError, *([botocore.BotoCoreError] if botocore else []))


def encrypting_keyring(keys: Sequence[str], public_key: Path | None) -> Keyring:
    """Return the keyring for one RSA key whose public key is at hand, or for one or more symmetric keys.

    Raises:
        UsageError: No key is given, one is not an ARN, or there are several RSA keys.
    """
    regions = _regions(keys)
    if public_key is None:
        return _symmetric(regions)
    if len(keys) > 1:
        raise click.UsageError("--public-key goes with one --key")
    try:
        found = file_streams.read_limited(public_key, PUBLIC_KEY_LIMIT)
        return kms_runtime.KmsRsaKeyring(keys[0], public_key=found)
    except kms_runtime.KmsRuntimeError as error:
        raise click.UsageError(f"--public-key {shown(public_key)}: {error}") from error


def decrypting_keyring(keys: Sequence[str], accounts: Sequence[str], *, rsa: bool) -> Keyring:
    """Return the keyring for an RSA key, for symmetric keys, or for any key of ``accounts``.

    Raises:
        UsageError: There is neither key nor account or there are both, or one of them is not of the right form.
    """
    if accounts:
        if keys or rsa:
            raise click.UsageError("--account takes the key that the message names: leave --key and --rsa out")
        try:
            return kms_runtime.KmsDiscoveryKeyring(account_ids=accounts, client_for_region=kms_client)
        except kms_runtime.KmsRuntimeError as error:
            raise click.UsageError(f"--account: {error}") from error
    regions = _regions(keys)
    if not rsa:
        return _symmetric(regions)
    if len(keys) > 1:
        raise click.UsageError("--rsa goes with one --key")
    return kms_runtime.KmsRsaKeyring(keys[0], kms_client=kms_client(regions[keys[0]]))


def _regions(keys: Sequence[str]) -> dict[str, str]:
    if not keys:
        raise click.UsageError("--key is missing")
    parsed = {key: parse_key_arn(key) for key in keys}
    wrong = [key for key, arn in parsed.items() if arn is None]
    if wrong:
        raise click.UsageError(
            f"--key {shown(wrong[0])}: the ARN of a key is expected (an alias can be moved to another key)"
        )
    return {key: arn.region for key, arn in parsed.items() if arn}


def _symmetric(regions: Mapping[str, str]) -> kms_runtime.KmsKeyring:
    (first, client), *others = ((key, kms_client(region)) for key, region in regions.items())
    return kms_runtime.KmsKeyring(first, kms_client=client, additional_keys=dict(others))


@dataclass(frozen=True)
class Encryption:
    """The ``encrypt`` command."""

    keyring: Keyring
    context: Mapping[str, str]
    sign: bool
    verify: bool
    tags: "Tags"
    required: Collection[str] = ()
    keep_time: bool = False

    def wants(self, name: str, suffix: str, *, beside: bool) -> bool:
        """Tell whether ``name`` in a folder is encrypted: where results go beside sources, one of them is not."""
        return not (beside and name.endswith(suffix))

    def run(self, source: Place, target: Place, report: "Report", *, force: bool) -> kms_runtime.MessageResult:
        """Encrypt ``source`` into ``target``, and compare if asked to."""
        signed = kms_runtime.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384
        suite: dict[str, Any] = {"algorithm_suite": signed} if self.sign else {}
        common: dict[str, Any] = {"keyring": self.keyring, "encryption_context": self.context}
        with (
            file_streams.reading(source, tags=_applicable(self.tags, target)) as given,
            outputs.writing(target, size=given.size, force=force, attributes=given.attributes) as output,
        ):
            watched = file_streams.Watched(given.stream, report.started(source, given.size), digest=self.verify)
            result = kms_runtime.encrypt(
                watched, output.sink, required_encryption_context_keys=self.required, **common, **suite
            )
            if self.verify and output.partial:
                _compare(output.partial, watched.sha256, common)
            if self.keep_time:
                _keep_time(given, output)
            return result


def _keep_time(given: file_streams.Input, output: outputs.Output) -> None:
    """Give the result the time that its source had when it was opened: see :mod:`kms_runtime.cli.trees`."""
    if given.modified is not None and output.partial:
        os.utime(output.partial, ns=(given.modified, given.modified))


def _applicable(tags: "Tags", target: Place) -> "Tags":
    """Return ``tags`` if the target can have tags; a file cannot."""
    return tags if isinstance(target, S3Place) else "drop"


def _compare(message: Path, expected: bytes, common: Mapping[str, Any]) -> None:
    """Decrypt what was written, before it takes its name."""
    found = file_streams.Discarding()
    with message.open("rb", buffering=0) as opened:
        kms_runtime.decrypt(opened, found, **common)
    if found.sha256 != expected:
        raise MessageAuthenticationFailed("what was read back is not what was encrypted")


@dataclass(frozen=True)
class Decryption:
    """The ``decrypt`` command."""

    keyring: Keyring
    context: Mapping[str, str]
    verify: bool
    tags: "Tags"
    commitment_policy: kms_runtime.CommitmentPolicy
    keep_time: bool = False

    def wants(self, name: str, suffix: str, *, beside: bool) -> bool:  # noqa: ARG002 - as of Encryption
        """Tell whether ``name`` in a folder is decrypted: what is a message by its name."""
        return name.endswith(suffix)

    def run(self, source: Place, target: Place, report: "Report", *, force: bool) -> kms_runtime.MessageResult:
        """Decrypt ``source`` into ``target``, or nowhere if only to verify."""
        with file_streams.reading(source, tags="drop" if self.verify else _applicable(self.tags, target)) as given:
            watched = file_streams.Watched(given.stream, report.started(source, given.size), digest=False)
            common: dict[str, Any] = {"keyring": self.keyring, "encryption_context": self.context}
            common["commitment_policy"] = self.commitment_policy
            if self.verify:
                return kms_runtime.decrypt(watched, file_streams.Discarding(), **common)
            with outputs.writing(target, size=given.size, force=force, attributes=given.attributes) as output:
                result = kms_runtime.decrypt(watched, output.sink, **common)
                if self.keep_time:
                    _keep_time(given, output)
                return result


class Report:
    """A progress bar per file on standard error, if that is a terminal; failures always."""

    def __init__(self, console: Console, bar: Progress) -> None:
        self._console = console
        self._bar = bar
        self._whole: TaskID | None = None
        self._begun, self._files = 0, 0
        self._lock = Lock()

    def expect(self, files: int, size: int) -> None:
        """Show one bar for so many files, and bytes, in place of one for each."""
        self._files = files
        self._whole = self._bar.add_task("", total=size)

    def started(self, file: Place, size: int | None) -> Any:
        """Show a bar for ``file`` and return the function that moves it."""
        if (whole := self._whole) is not None:
            with self._lock:
                self._begun += 1
                self._bar.update(whole, description=f"{self._begun}/{self._files} {shown(file.name)}")
            return lambda done: self._bar.advance(whole, done)
        task = self._bar.add_task(shown(file.name), total=size)
        return lambda done: self._bar.advance(task, done)

    def record(self, path: Path, source: Place, target: Place, result: kms_runtime.MessageResult) -> None:
        """Append one line of JSON about a result to ``path``."""
        line = {
            "input": str(source),
            "output": str(target),
            "plaintextBytes": result.plaintext_bytes,
            "ciphertextBytes": result.ciphertext_bytes,
            "encryptionContext": dict(result.encryption_context),
            "key": result.key_arn,
            "algorithmSuite": f"0x{result.algorithm_suite:04X}",
        }
        with self._lock, path.open("a", encoding="utf-8") as opened:
            opened.write(json.dumps(line) + "\n")

    def failed(self, file: Place, error: Exception) -> None:
        """Say which file failed and why, with the error's code first."""
        code = getattr(error, "code", type(error).__name__)
        told = [f"{file}: {code}: {error}", *getattr(error, "__notes__", ())]
        self._console.print("\n  ".join(map(shown, told)), style="red", markup=False, highlight=False, soft_wrap=True)


def columns() -> tuple[ProgressColumn, ...]:
    """Return what a bar shows: name, bar, bytes, rate and remaining time."""
    name = TextColumn("{task.description}", markup=False)  # a file's name may look like markup
    return name, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()


@contextmanager
def progress(*, quiet: bool) -> Iterator[Report]:
    """Show progress while the block runs, if standard error is a terminal."""
    console = Console(stderr=True)
    with Progress(*columns(), console=console, disable=quiet or not console.is_terminal) as bar:
        yield Report(console, bar)
