"""Files for the ``encrypt`` and ``decrypt`` commands: which to read, what to write, and never half of it."""

import glob
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from kms_runtime.cli.places import STREAM, Place, S3Place, place
from kms_runtime.streams import Sink

SUFFIX = ".encrypted"


def expand(patterns: Sequence[str]) -> list[Place]:
    """Return what ``patterns`` name; a pattern may be quoted, or come from a shell that does not expand it.

    Raises:
        UsageError: A pattern matches no file, a name is not a file, or standard input is not the only one.
    """
    files: list[Place] = []
    for pattern in patterns:
        found = place(pattern)
        if isinstance(found, S3Place) or found == STREAM or found.exists():
            files.append(found)
        else:
            files += sorted(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207 - absolute patterns too
            if not files or not glob.has_magic(pattern):
                raise click.UsageError(f"{pattern}: no such file")
    files = list(dict.fromkeys(files))
    folders = [file for file in files if file.is_dir()]
    if folders and isinstance(folders[0], S3Place):
        raise click.UsageError(f"{folders[0]} names no object; s3://BUCKET/KEY is expected")
    if folders:
        raise click.UsageError(f"{folders[0]} is a folder; name its files, as in '{folders[0]}/*'")
    if STREAM in files and len(files) > 1:
        raise click.UsageError("standard input (-) cannot be combined with files")
    return files


def destinations(files: Sequence[Place], output: Place | None, name_for: Callable[[str], str]) -> list[Place]:
    """Return where the result of each file goes.

    Args:
        files: The inputs.
        output: ``-``, a file or object (for one input), an existing folder or an S3 prefix that ends with a slash, or
            None for the folder of each input.
        name_for: Makes a file name from an input's name.

    Raises:
        UsageError: Several results would go to one place.
    """
    if output is None:
        return [STREAM if file == STREAM else file.with_name(name_for(file.name)) for file in files]
    if output != STREAM and output.is_dir():
        if files == [STREAM]:
            raise click.UsageError("standard input has no name: name the output file")
        found: list[Place] = [output / name_for(file.name) for file in files]
        if len(set(found)) < len(found):
            raise click.UsageError(f"two inputs of the same name would both go to {output}")
        return found
    if len(files) > 1:
        raise click.UsageError(f"{len(files)} inputs: --output must be an existing folder")
    return [output]


@dataclass(frozen=True)
class Output:
    """What is being written, and where it lies until it takes its name; nowhere if it is standard output."""

    sink: Sink
    partial: Path | None


@contextmanager
def reading(file: Place) -> Iterator[tuple[Any, int | None]]:
    """Open ``file`` and give it with its size; standard input has none."""
    if isinstance(file, S3Place):
        from kms_runtime.cli.s3_objects import reading_object  # noqa: PLC0415 - only who uses Amazon S3 waits for it

        with reading_object(file) as opened_object:
            yield opened_object
        return
    if file == STREAM:
        yield sys.stdin.buffer, None
        return
    with file.open("rb", buffering=0) as opened:
        yield opened, os.fstat(opened.fileno()).st_size


@contextmanager
def writing(file: Place, *, size: int | None, force: bool) -> Iterator[Output]:
    """Write a temporary file beside ``file`` and let it take that name at the very end; remove it on any failure.

    An object in Amazon S3 is written as a multipart upload that is completed at the end, or aborted. ``size`` is that
    of the input, if it is known.

    Raises:
        FileExistsError: ``file`` exists, at the start or at the end, and ``force`` is not set.
    """
    if isinstance(file, S3Place):
        from kms_runtime.cli.s3_objects import writing_object  # noqa: PLC0415

        with writing_object(file, size=size, force=force) as sink:
            yield Output(sink, None)
        return
    if file == STREAM:
        yield Output(sys.stdout.buffer, None)
        sys.stdout.buffer.flush()
        return
    if not force and os.path.lexists(file):
        raise FileExistsError(f"{file} exists; --force overwrites it")
    # Readable by nobody else, whatever the umask: a decrypted file must not be wider than asked for.
    handle, partial = tempfile.mkstemp(prefix=f".{file.name[:100]}.", suffix=".partial", dir=file.parent)
    try:
        with os.fdopen(handle, "wb", buffering=0) as opened:
            yield Output(opened, Path(partial))
            os.fsync(opened.fileno())
        _publish(Path(partial), file, force=force)
    finally:
        with suppress(FileNotFoundError):
            Path(partial).unlink()


def _publish(partial: Path, file: Path, *, force: bool) -> None:
    if force:
        partial.replace(file)
        return
    try:
        _take_name(partial, file)
    except FileExistsError:
        raise FileExistsError(f"{file} exists; --force overwrites it") from None


def _take_name(partial: Path, file: Path) -> None:
    try:
        os.link(partial, file)  # unlike a rename, it fails if the name was taken meanwhile
    except FileExistsError:
        raise
    except OSError:
        # The file system (FAT, some network shares) has no hard links: an empty file takes the name first.
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            partial.replace(file)
        except BaseException:
            file.unlink()
            raise


class Watched:
    """A binary file object whose reads are hashed, if asked for, and counted.

    Args:
        source: What is read.
        advance: Is told the number of bytes of each read.
        digest: Whether to hash them.
    """

    def __init__(self, source: Any, advance: Callable[[int], None], *, digest: bool) -> None:
        self._readinto = source.readinto
        self._advance = advance
        self._digest = hashlib.sha256() if digest else None

    def readinto(self, buffer: memoryview) -> int:
        """Read into ``buffer`` and return how many bytes."""
        got: int | None = self._readinto(buffer)
        if got is None:
            raise BlockingIOError("the source is non-blocking and has no data yet")
        self._advance(got)
        if self._digest:
            self._digest.update(buffer[:got])
        return got

    def read(self, size: int = -1, /) -> bytes:
        """Return at most ``size`` bytes."""
        buffer = bytearray(max(size, 0))
        return bytes(buffer[: self.readinto(memoryview(buffer))])

    @property
    def sha256(self) -> bytes:
        """Digest of all that was read."""
        return self._digest.digest() if self._digest else b""


class Discarding:
    """A binary file object that keeps the hash of what is written, and nothing else."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> int:
        """Hash ``data``."""
        self._digest.update(data)
        return len(data)

    @property
    def sha256(self) -> bytes:
        """Digest of all that was written."""
        return self._digest.digest()
