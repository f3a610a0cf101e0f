"""Folders and prefixes of the ``encrypt`` and ``decrypt`` commands: which files are processed, where each result goes.

A result on this machine has the modification time of its source. A second run leaves a source alone if its result is
there with that time, so an interrupted run is resumed, and a source that changed meanwhile is an error instead of a
stale result. On encryption its header must also name the keys and the encryption context that are asked for: a message
under others is an error, until ``--force`` makes it again. An object that was made of another one is there already if
Amazon S3 wrote it in a later second than its source; an object that was made of a file never is.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
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

    files: list[tuple[Place, Place]]
    size: int
    done: int
    other: int


@dataclass(frozen=True)
class _Source:
    """A file or object, the folders that lead to it, and its modification time in nanoseconds; no time: passed over."""

    place: Place
    folders: tuple[str, ...]
    size: int = 0
    modified: int | None = None


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
        folders: Folders of this machine, or prefixes of Amazon S3 that end with a slash.
        output: Folder or prefix in which the one folder is mirrored, made if it does not exist; None writes beside each
            source.
        name_for: Makes the name of the result.
        wanted: Tells whether a file of this name is processed.
        is_result: Tells whether a file with the time of its source is the result that would be made.
        again: Whether results that are there are made again.

    Raises:
        UsageError: Something is not a folder, two results have one name, or a key cannot be a file's name.
    """
    roots = [_root(name) for name in folders]
    file = isinstance(output, S3Place) and not output.is_dir()
    if output is not None and (file or output == STREAM or len(roots) > 1):
        raise click.UsageError("--recursive mirrors one folder: --output must be one folder, or s3://BUCKET/PREFIX/")
    files, size, done, other = [], 0, 0, 0
    for root in roots:
        target_root = output if output is not None else root
        written = _written(target_root) if isinstance(root, S3Place) and isinstance(target_root, S3Place) else {}
        for source in _listed(root, output) if isinstance(root, S3Place) else _walk(root, output):
            name = source.place.name
            if source.modified is None or _LEFT_BEHIND.fullmatch(name) or not wanted(name):
                other += 1
                continue
            target = _target(target_root, source, name_for(name))
            if not again and _is_there(source, target, written, is_result):
                done += 1
                continue
            files.append((source.place, target))
            size += source.size
    if len({target for _, target in files}) < len(files):
        raise click.UsageError("two files of --recursive have results of one name: rename one of them")
    return Tree(files, size, done, other)


def _root(name: str) -> Place:
    found = place(name)
    if not found.is_dir():
        raise click.UsageError(f"--recursive {shown(name)}: a folder, or s3://BUCKET/PREFIX/, is expected")
    return found


def _target(root: Place, source: _Source, name: str) -> Place:
    """Return where the result of ``source`` goes: at the same place below ``root``."""
    parts = (*source.folders, name)
    if isinstance(root, S3Place):
        return S3Place(root.bucket, root.key + "/".join(parts))
    # A key may hold what would leave the folder, or be another name than it says.
    if any(part in {"", ".", ".."} or set(part) & {"/", "\\", "\0"} for part in parts):
        raise click.UsageError(f"{shown(source.place)}: its key cannot be the name of a file below {shown(root)}")
    return root.joinpath(*parts)


def _is_there(source: _Source, target: Place, written: Mapping[str, int], is_result: Callable[[Path], bool]) -> bool:
    if isinstance(target, S3Place):
        return source.modified is not None and written.get(target.key, 0) > source.modified
    found = _facts(target, OSError)
    return found is not None and found.st_mtime_ns == source.modified and is_result(target)


def _listed(root: S3Place, output: Place | None) -> Iterator[_Source]:
    from kms_runtime.cli.s3_objects import listed  # noqa: PLC0415 - files need no Amazon S3

    own = output if isinstance(output, S3Place) and output.bucket == root.bucket else None
    inside = own.key if own and own.key != root.key and own.key.startswith(root.key) else None
    empty = True
    for key, size, modified in listed(root):
        empty = False
        if inside and key.startswith(inside):
            continue  # results inside of the source are not sources
        *folders, name = key[len(root.key) :].split("/")
        yield _Source(S3Place(root.bucket, key), tuple(folders), size, modified if name else None)
    if empty:
        raise click.UsageError(f"{shown(root)}: no such object")


def _written(root: S3Place) -> dict[str, int]:
    from kms_runtime.cli.s3_objects import listed  # noqa: PLC0415

    return {key: modified for key, _, modified in listed(root)}


def _walk(root: Path, output: Place | None) -> Iterator[_Source]:
    own = os.path.realpath(output) if isinstance(output, Path) else None
    for folder, folders, names in os.walk(root, onerror=_raise):
        # Results inside of the source are not sources.
        folders[:] = sorted(each for each in folders if os.path.realpath(Path(folder, each)) != own)
        for name in sorted(names):
            file = Path(folder, name)
            parts = file.parent.relative_to(root).parts
            found = _facts(file, FileNotFoundError)  # one that cannot be looked at is an error, never passed over
            yield _Source(file, parts, found.st_size, found.st_mtime_ns) if found else _Source(file, parts)


def _raise(error: OSError) -> None:
    raise error


def _facts(file: Path, missing: type[OSError]) -> os.stat_result | None:
    """Return the facts of a regular file, or None if it is another or ``missing`` is raised: a link to nothing."""
    try:
        found = file.stat()
    except missing:
        return None
    return found if stat.S_ISREG(found.st_mode) else None
