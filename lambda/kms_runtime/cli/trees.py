"""Folders of the ``encrypt`` and ``decrypt`` commands: which files are processed, and where each result goes.

A result has the modification time of its source. A second run leaves a file alone if its result is there with that
time, so an interrupted run is resumed, and a source that changed meanwhile is an error instead of a stale result. On
encryption its header must also name the keys and the encryption context that are asked for: a message under others
is an error, until ``--force`` makes it again.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from kms_runtime.cli.places import STREAM, Place, S3Place, place, shown

_LEFT_BEHIND = re.compile(r"\..*\.[0-9a-f]{8}\.partial", re.DOTALL)
"""What a process that was killed leaves of an output."""


@dataclass(frozen=True)
class Tree:
    """What is left to do.

    Attributes:
        files: Each source with its result.
        size: Bytes of the sources.
        done: How many results were there already.
        other: How many files were passed over: by their name, or as neither a regular file nor a link to one.
    """

    files: list[tuple[Path, Path]]
    size: int
    done: int
    other: int


def tree(
    folders: Sequence[str],
    output: Place | None,
    name_for: Callable[[str], str],
    wanted: Callable[[str], bool],
    is_result: Callable[[Path], bool],
    *,
    again: bool,
) -> Tree:
    """Return the work in ``folders``; links to folders are not followed.

    Args:
        folders: Folders of this machine.
        output: Folder in which the one folder is mirrored, made if it does not exist; None writes beside each source.
        name_for: Makes the name of the result.
        wanted: Tells whether a file of this name is processed.
        is_result: Tells whether a file with the time of its source is the result that would be made.
        again: Whether results that are there are made again.

    Raises:
        UsageError: Something is not a folder, or two results have one name.
    """
    roots = [_folder(name) for name in folders]
    if output is not None and (isinstance(output, S3Place) or output == STREAM or len(roots) > 1):
        raise click.UsageError("--recursive mirrors one folder: --output must be one folder of this machine")
    files, size, done, other = [], 0, 0, 0
    for root in roots:
        for source in _walk(root, output):
            found = _source_facts(source)
            if found is None or _LEFT_BEHIND.fullmatch(source.name) or not wanted(source.name):
                other += 1
                continue
            folder = output / source.parent.relative_to(root) if isinstance(output, Path) else source.parent
            target = folder / name_for(source.name)
            if not again and _has_time(target, found) and is_result(target):
                done += 1
                continue
            files.append((source, target))
            size += found.st_size
    if len({target for _, target in files}) < len(files):
        raise click.UsageError("two files of --recursive have results of one name: rename one of them")
    return Tree(files, size, done, other)


def _folder(name: str) -> Path:
    found = place(name)
    if isinstance(found, S3Place) or not found.is_dir():
        raise click.UsageError(f"--recursive {shown(name)}: a folder of this machine is expected")
    return found


def _walk(root: Path, output: Place | None) -> Iterator[Path]:
    own = os.path.realpath(output) if isinstance(output, Path) else None
    for folder, folders, names in os.walk(root, onerror=_raise):
        # Results inside of the source are not sources.
        folders[:] = sorted(each for each in folders if os.path.realpath(Path(folder, each)) != own)
        yield from (Path(folder, name) for name in sorted(names))


def _raise(error: OSError) -> None:
    raise error


def _source_facts(file: Path) -> os.stat_result | None:
    """Return the facts of a regular file, or None; a file that cannot be looked at is an error, never passed over."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None  # a link to nothing
    return found if stat.S_ISREG(found.st_mode) else None


def _facts(file: Path) -> os.stat_result | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _has_time(target: Path, source: os.stat_result) -> bool:
    found = _facts(target)
    return found is not None and found.st_mtime_ns == source.st_mtime_ns
