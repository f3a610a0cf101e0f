"""The inputs of the ``encrypt`` and ``decrypt`` commands, and the place of each result."""

import glob
import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kms_runtime.cli.outputs import standard
from kms_runtime.cli.places import STREAM, Place, S3Place, place, shown
from kms_runtime.errors import SourceChanged
from kms_runtime.streams import Reader

if TYPE_CHECKING:
    from kms_runtime.s3.transfer import Tags


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
            continue
        matches = glob.glob(pattern, recursive=True) if glob.has_magic(pattern) else []  # noqa: PTH207 - absolute too
        if not matches:
            raise click.UsageError(f"{shown(pattern)}: no such file")
        files += sorted(map(Path, matches))
    files = list(dict.fromkeys(files))
    folders = [file for file in files if file.is_dir()]
    if folders and isinstance(folders[0], S3Place):
        raise click.UsageError(f"{shown(folders[0])} names no object; s3://BUCKET/KEY is expected")
    if folders:
        raise click.UsageError(f"{shown(folders[0])} is a folder; name its files, as in '{shown(folders[0])}/*'")
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
            raise click.UsageError(f"two inputs of the same name would both go to {shown(output)}")
        return found
    if len(files) > 1:
        raise click.UsageError(f"{len(files)} inputs: --output must be an existing folder")
    return [output]


@dataclass(frozen=True)
class Input:
    """What is read.

    Attributes:
        stream: Binary file object.
        size: Its size in bytes, if it is known.
        attributes: Headers and metadata of an object in Amazon S3, as parameters of PutObject.
        modified: Modification time, in nanoseconds.
        check: Raises SourceChanged if a file was written meanwhile; an object is bound to its ETag.
    """

    stream: Any
    size: int | None
    attributes: Mapping[str, Any] | None = None
    modified: int | None = None
    check: Callable[[], None] = lambda: None


@contextmanager
def reading(file: Place, *, tags: "Tags" = "drop") -> Iterator[Input]:
    """Open ``file``.

    Args:
        file: What to read.
        tags: What happens to the tags of an object in Amazon S3: see ``kms_runtime.s3.encrypt_object``.

    Raises:
        OSError: It cannot be read, or standard input is closed.
    """
    if isinstance(file, S3Place):
        from kms_runtime.cli.s3_objects import nanoseconds, reading_object  # noqa: PLC0415 - files need no Amazon S3

        with reading_object(file, tags=tags) as (stream, source, attributes):
            yield Input(stream, source.size, attributes, nanoseconds(source.modified) if source.modified else None)
        return
    if file == STREAM:
        yield Input(standard(sys.stdin, "standard input"), None)
        return
    with file.open("rb", buffering=0) as opened:
        found = os.fstat(opened.fileno())
        if not stat.S_ISREG(found.st_mode):
            yield Input(opened, None, modified=found.st_mtime_ns)
            return

        def check() -> None:
            now = os.fstat(opened.fileno())
            if (now.st_size, now.st_mtime_ns) != (found.st_size, found.st_mtime_ns):
                raise SourceChanged("it was written while it was read: run the command again when it is complete")

        yield Input(opened, found.st_size, modified=found.st_mtime_ns, check=check)


class Watched(Reader):
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


def decrypted_name(name: str, suffix: str) -> str:
    """Return the name of the file that the message ``name`` is decrypted into."""
    stem = name.removesuffix(suffix)
    return f"{name}.decrypted" if stem in {name, "", ".", ".."} else stem
