"""The outputs of the ``encrypt`` and ``decrypt`` commands: files that appear when they are complete, and special files.

Only regular files are replaced. A device, a FIFO, a terminal or an open descriptor (``/dev/stdout``, ``>(command)``) is
written as it is, and a symbolic link is followed: replacing one of them would destroy it.
"""

import errno
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kms_runtime.cli.places import STREAM, Place, S3Place, exists
from kms_runtime.streams import Sink

_DESCRIPTOR = re.compile(r"(?:/dev/fd|/proc/(?:self|thread-self|[0-9]+)(?:/task/[0-9]+)?/fd)/([0-9]+)")
_MOST_LINKS = 40


@dataclass(frozen=True)
class Output:
    """What is being written, and where it lies until it takes its name; nowhere if it is written as it is."""

    sink: Sink
    partial: Path | None


@contextmanager
def writing(
    file: Place, *, size: int | None, force: bool, attributes: Mapping[str, Any] | None = None
) -> Iterator[Output]:
    """Write a temporary file beside ``file`` and give it that name at the very end; remove it on any failure.

    An object in Amazon S3 is written as a multipart upload that is completed at the end, or aborted.

    Args:
        file: Where to write.
        size: Size of the input, if it is known.
        force: Whether an existing file or object is replaced, or a block device written.
        attributes: Headers and metadata of an object in Amazon S3.

    Raises:
        FileExistsError: ``file`` exists, at the start or at the end, and ``force`` is not set.
        OSError: It cannot be written.
    """
    if isinstance(file, S3Place):
        from kms_runtime.cli.s3_objects import writing_object  # noqa: PLC0415 - files need no Amazon S3

        with writing_object(file, size=size, force=force, attributes=attributes) as sink:
            yield Output(sink, None)
    elif file == STREAM:
        with _standard_output() as sink:
            yield Output(sink, None)
    elif is_written_in_place(file):
        with _in_place(file, force=force) as sink:
            yield Output(sink, None)
    else:
        with _replacing(file, force=force) as output:
            yield output


def is_written_in_place(file: Place) -> bool:
    """Tell whether ``file`` is written as it is, so that it cannot be read again: anything but a regular file."""
    if isinstance(file, S3Place):
        return False
    try:
        if file == STREAM or _descriptor(file) is not None:
            return True
        mode = file.stat().st_mode
    except OSError:  # also a name too long, or a folder that may not be searched: writing says so
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def standard(stream: Any, name: str) -> Any:
    """Return the binary file object of a standard stream.

    Raises:
        OSError: The stream was closed before this process started (``<&-``, ``>&-``).
    """
    if stream is None:
        raise OSError(errno.EBADF, f"{name} is closed")
    return stream.buffer


@contextmanager
def _standard_output() -> Iterator[Sink]:
    output = standard(sys.stdout, "standard output")
    try:
        yield output
        output.flush()
    except BrokenPipeError:
        # What is still buffered would fail again, untyped, when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
        raise


@contextmanager
def _in_place(file: Path, *, force: bool) -> Iterator[Sink]:
    number = _descriptor(file)
    if number is None and stat.S_ISBLK(file.stat().st_mode) and not force:
        raise FileExistsError(f"{file} is a block device; --force writes over its content")
    # A descriptor of this process keeps its position and its mode (>>); opening its name again would not.
    handle = os.dup(number) if number is not None else os.open(file, os.O_WRONLY | os.O_NOCTTY)
    with os.fdopen(handle, "wb", buffering=0) as opened:
        yield opened


@contextmanager
def _replacing(file: Path, *, force: bool) -> Iterator[Output]:
    if not force and os.path.lexists(file):
        raise exists(file)
    target = Path(os.path.realpath(file)) if file.is_symlink() else file
    partial = target.with_name(f".{target.name[:50]}.{secrets.token_hex(4)}.partial")
    _unfinished.add(partial)
    try:
        with named(file):
            # Readable by the owner only, whatever the umask: a decrypted file must not be wider than asked for.
            handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb", buffering=0) as opened:
            yield Output(opened, partial)
            with named(file):
                os.fsync(opened.fileno())
        with named(file):
            _publish(partial, target, file, force=force)
    finally:
        _remove(partial)


def _remove(partial: Path) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        partial.unlink()
    _unfinished.discard(partial)


_unfinished: set[Path] = set()


def remove_unfinished() -> None:
    """Remove partial output whose own clean-up did not run: a signal came between the file and its ``with`` block."""
    for partial in [*_unfinished]:
        _remove(partial)


@contextmanager
def named(file: Path) -> Iterator[None]:
    """Let an error name ``file``, which its reader knows, also where the system names a temporary file or none."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        raise type(error)(error.errno, error.strerror, str(file)) from error


def _publish(partial: Path, target: Path, file: Path, *, force: bool) -> None:
    if force:
        partial.replace(target)
        return
    try:
        _take_name(partial, target)
    except FileExistsError:
        raise exists(file) from None


def _take_name(partial: Path, target: Path) -> None:
    try:
        os.link(partial, target)  # unlike a rename, it fails if the name was taken meanwhile
    except FileExistsError:
        raise
    except OSError:
        # The file system (FAT, some network shares) has no hard links: an empty file takes the name first.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            partial.replace(target)
        except BaseException:
            target.unlink()
            raise


def _descriptor(file: Path) -> int | None:
    """Return the descriptor of this process that ``file`` names, also through links, as ``/dev/stdout`` does."""
    found = Path(os.path.abspath(file))  # noqa: PTH100 - Path.resolve would follow the last link
    for _ in range(_MOST_LINKS):
        if match := _DESCRIPTOR.fullmatch(str(found)):
            ours = not str(found).startswith("/proc/") or found.parts[2] in {"self", "thread-self", str(os.getpid())}
            return int(match[1]) if ours else None
        if not found.is_symlink():
            return None
        found = Path(os.path.normpath(found.parent / found.readlink()))
    return None
