"""The places that the ``encrypt`` and ``decrypt`` commands use: files, standard streams, objects in Amazon S3."""

import os
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

STREAM = Path("-")
_SCHEME = "s3://"
_NO_NAME = "a file or object cannot have this name"


@dataclass(frozen=True)
class S3Place:
    """An object as ``s3://bucket/key``, or a folder if the key is empty or ends with a slash."""

    bucket: str
    key: str

    def __str__(self) -> str:
        """Return the place as it is written on the command line."""
        return f"{_SCHEME}{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    def is_dir(self) -> bool:
        """Tell whether this is a folder: Amazon S3 has none, so the name decides."""
        return not self.name

    def with_name(self, name: str) -> "S3Place":
        """Return the object of that name beside this one, or in this folder."""
        return replace(self, key=self.key[: len(self.key) - len(self.name)] + name)

    def __truediv__(self, name: str) -> "S3Place":
        """Return the object of that name in this folder."""
        return self.with_name(name)


Place = Path | S3Place


def check_sdk() -> None:
    """Check that the AWS SDK is installed.

    Raises:
        ClickException: It is not.
    """
    if find_spec("boto3") is None:
        raise click.ClickException("AWS cannot be called without boto3: pip install 'kms-runtime[aws]'")


def shown(text: object) -> str:
    """Return ``text`` on one line and without control characters, as a terminal can show any name and message."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in str(text))


def place(text: str) -> Place:
    """Return the place that ``text`` names.

    Raises:
        UsageError: It begins with ``s3://`` and names no bucket, or nothing can have this name.
    """
    s3 = text.startswith(_SCHEME)
    try:
        named = b"\0" not in (text.encode() if s3 else os.fsencode(text))
    except UnicodeEncodeError:
        named = False
    if not named:
        raise click.UsageError(f"{shown(text)}: {_NO_NAME}")
    if not s3:
        return Path(text)
    check_sdk()
    bucket, _, key = text.removeprefix(_SCHEME).partition("/")
    if not bucket:
        raise click.UsageError(f"{shown(text)}: s3://BUCKET/KEY is expected")
    return S3Place(bucket, key)


def read_limited(file: Path, limit: int) -> bytes:
    """Return what ``file`` holds, at most one byte more than ``limit``: a file may be larger than the memory."""
    with file.open("rb") as opened:
        return opened.read(limit + 1)


def exists(file: Place) -> FileExistsError:
    """Return the error for an output that is there already."""
    return FileExistsError(f"{file} exists; --force overwrites it")


class FilePath(click.Path):
    """A file of an option or argument, as a ``Path``; one that need not exist may also be written only."""

    def __init__(self, *, exists: bool = False) -> None:
        super().__init__(exists=exists, readable=exists, dir_okay=False, path_type=Path)

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """Refuse also what no file can be named."""
        try:
            return super().convert(value, parameter, context)
        except ValueError:
            self.fail(f"{shown(value)}: {_NO_NAME}", parameter, context)


def completed(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Let the shell complete the name of a file, which may also be that of an object."""
    return [CompletionItem(begun, type="file")]
