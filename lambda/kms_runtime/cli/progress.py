"""What the ``encrypt`` and ``decrypt`` commands say of their work: progress, results and failures."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

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

from kms_runtime import MessageResult
from kms_runtime.cli.outputs import named, standard
from kms_runtime.cli.places import Place, shown
from kms_runtime.errors import EncryptionContextMismatch, MessageAuthenticationFailed, MessageFormatError

NOT_GENUINE = (MessageFormatError, MessageAuthenticationFailed, EncryptionContextMismatch)


class Stopped(Exception):
    """The run ends; what is being written is removed."""


@dataclass(frozen=True)
class Failure:
    """Why a file has no result: the error's code, which goes first, its message and notes, and the exit code."""

    code: str
    message: str
    notes: tuple[str, ...] = ()
    exit_code: int = 1

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        """Return the failure that ``error`` is."""
        code = str(getattr(error, "code", type(error).__name__))
        message = str(error) or "the process has no memory left"  # a MemoryError says nothing
        return cls(code, message, tuple(getattr(error, "__notes__", ())), 3 if isinstance(error, NOT_GENUINE) else 1)


class Report:
    """A progress bar per file on standard error, if that is a terminal; failures always, and their exit ``codes``."""

    def __init__(self, console: Console, bar: Progress) -> None:
        self._console = console
        self._bar = bar
        self._whole: TaskID | None = None
        self._begun, self._files, self._read = 0, 0, 0
        self._lock = Lock()
        self._stopped = False
        self.codes: list[int] = []

    def stop(self) -> None:
        """End every file that is being processed, at its next read."""
        self._stopped = True

    def expect(self, files: int, size: int) -> None:
        """Show one bar for so many files, and bytes, in place of one for each."""
        self._files = files
        self._whole = self._bar.add_task("", total=size)

    def started(self, file: Place, size: int | None) -> Any:
        """Show a bar for ``file`` and return the function that moves it."""
        if self._bar.disable:  # a bar that is not shown costs as much as one that is
            return self._count
        if (whole := self._whole) is not None:
            with self._lock:
                self._begun += 1
                self._bar.update(whole, description=f"{self._begun}/{self._files} {shown(file.name)}")
        task = self._bar.add_task(shown(file.name), total=size) if whole is None else whole

        def advance(done: int) -> None:
            self._count(done)
            self._bar.advance(task, done)

        return advance

    def _count(self, done: int) -> None:
        if self._stopped:
            raise Stopped
        with self._lock:
            self._read += done

    def taken(self) -> int:
        """Return how many bytes were read since the last call."""
        with self._lock:
            found, self._read = self._read, 0
        return found

    def settle(self, pair: tuple[Place, Place], outcome: MessageResult | Failure, options: Mapping[str, Any]) -> None:
        """Say what became of a file, and keep the exit code of one that failed."""
        if not isinstance(outcome, Failure):
            try:
                return self.done(*pair, outcome, options)
            except OSError as error:  # of --metadata-output
                outcome = Failure.of(error)
        self.codes.append(outcome.exit_code)
        if options["json"]:
            with self._lock:
                _say({"input": str(pair[0]), "error": outcome.code, "message": outcome.message})
        told = [f"{pair[0]}: {outcome.code}: {outcome.message}", *outcome.notes]
        return self._print("\n  ".join(map(shown, told)), style="red")

    def done(self, source: Place, target: Place, result: MessageResult, options: Mapping[str, Any]) -> None:
        """Say what became of ``source``, wherever ``options`` ask for it."""
        line = {
            "input": str(source),
            "output": str(target),
            "plaintextBytes": result.plaintext_bytes,
            "ciphertextBytes": result.ciphertext_bytes,
            "encryptionContext": dict(result.encryption_context),
            "key": result.key_arn,
            "algorithmSuite": f"0x{result.algorithm_suite:04X}",
        }
        with self._lock:
            if path := options["metadata_output"]:
                with named(path), path.open("a", encoding="utf-8") as opened:
                    opened.write(json.dumps(line) + "\n")
            if options["json"]:
                _say(line)
        if options["verbose"]:
            bytes_ = f"{result.plaintext_bytes} bytes, {result.ciphertext_bytes} encrypted"
            self._print(shown(f"{source} -> {target}: {bytes_}, {result.key_arn}"))

    def _print(self, text: str, style: str | None = None) -> None:
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _say(line: Mapping[str, Any]) -> None:
    """Write a line of JSON to standard output; if it cannot be written, the run ends: its reader would miss results."""
    try:
        stream = standard(sys.stdout, "standard output")
        stream.write(json.dumps(line).encode() + b"\n")
        stream.flush()
    except OSError as error:
        raise click.ClickException(f"--json: {error}") from error


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
