"""Options that the ``encrypt`` and ``decrypt`` commands share, and their defaults from the environment or a file.

An option goes before the environment, and that before the file: ``KMS_RUNTIME_CONFIG``, or
``kms-runtime/config.toml`` in ``$XDG_CONFIG_HOME`` (``~/.config``).
"""

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from kms_runtime.cli.places import FilePath, Place, completed, place, shown


def _output(context: click.Context, text: str) -> Place:
    found = place(text)
    # "vault/" means a folder: without it, the result would become a file of that name.
    folder = not isinstance(found, Path) or os.path.isdir(found)  # noqa: PTH112 - a name too long raises in Path
    if text.endswith("/") and not folder and not context.params.get("recursive"):
        raise click.UsageError(f"--output {shown(text)}: no such folder")
    return found


_SHARED = (
    click.argument("files", nargs=-1, required=True, metavar="FILE...", shell_complete=completed),
    click.option("-k", "--key", "keys", multiple=True, metavar="KEY-ARN", help="ARN of a KMS key; repeatable."),
    click.option("-c", "--context", multiple=True, metavar="NAME=VALUE", help="Encryption context; repeatable."),
    click.option(
        "-o",
        "--output",
        metavar="PLACE",
        shell_complete=completed,
        callback=lambda context, _option, text: None if text is None else _output(context, text),
        help="File, existing folder, s3://BUCKET/KEY, s3://BUCKET/PREFIX/, or - for standard output.",
    ),
    click.option(
        "-r",
        "--recursive",
        is_eager=True,
        is_flag=True,
        help="FILE... are folders or s3://BUCKET/PREFIX/: process all in them, several at a time.",
    ),
    click.option("--suffix", help="Ending of the names of messages.  [default: .encrypted]"),
    click.option("-f", "--force", is_flag=True, help="Overwrite an existing output."),
    click.option(
        "--tags",
        type=click.Choice(["refuse", "carry", "drop"]),
        default="refuse",
        show_default=True,
        help="What to do with the tags of an object that goes to Amazon S3 again.",
    ),
    click.option(
        "--metadata-output",
        type=FilePath(),
        help="Append a JSON line for each result. One whose line cannot be written stays, and counts as failed.",
    ),
    click.option("--armor", is_flag=True, help="Messages are Base64 text."),
    click.option("--json", is_flag=True, help="A line of JSON for each result or failure, on standard output."),
    click.option("-v", "--verbose", is_flag=True, help="A line for each result, on standard error."),
    click.option("--profile", help="Profile of the AWS configuration."),
    click.option("--region", help="Region of Amazon S3; keys name their own."),
    click.option("--endpoint-url", help="Address to call in place of AWS."),
    click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary."),
)


def shared_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` the options that both directions have."""
    for option in reversed(_SHARED):
        command = option(command)
    return command


def use(options: dict[str, Any]) -> None:
    """Take what the options and their defaults say about AWS.

    Raises:
        UsageError: A suffix, a variable or the file cannot be used.
    """
    from kms_runtime.cli import aws_clients  # noqa: PLC0415 - --help need not wait for it

    # The keys and the context of the environment, each separated by white space.
    variables = {"keys": os.environ.get("KMS_RUNTIME_KEY"), "context": os.environ.get("KMS_RUNTIME_CONTEXT")}
    defaults = _configured(os.environ) | {name: tuple(text.split()) for name, text in variables.items() if text}
    if options.get("account"):
        defaults.pop("keys", None)  # any key of an account is asked for, not this one
    for name in ("keys", "context", *_TEXTS):
        if options[name] in {(), None}:
            options[name] = defaults.get(name, options[name])
    options["suffix"] = SUFFIX if options["suffix"] is None else options["suffix"]
    if options["suffix"] in {"", "."} or set(options["suffix"]) & {"/", "\\"}:
        raise click.UsageError(f"--suffix {shown(options['suffix'])!r}: the end of a file name is expected")
    place(options["suffix"])
    aws_clients.choose(options["profile"], options["region"], options["endpoint_url"])


def pairs(context: Sequence[str]) -> dict[str, str]:
    """Return NAME=VALUE texts as a mapping."""
    found: dict[str, str] = {}
    for text in context:
        name, equals, value = text.partition("=")
        if not name or not equals or not value:
            raise click.UsageError(f"--context {shown(text)}: NAME=VALUE is expected, neither part empty")
        if found.setdefault(name, value) != value:
            raise click.UsageError(f"--context {shown(name)} is given twice, with different values")
    return found


SUFFIX = ".encrypted"
CONFIG_LIMIT = 64 * 1024
"""Bytes that are read of the file."""
_TEXTS = ("suffix", "profile", "region", "endpoint_url")
_NAMES = ("key", "context", "suffix", "profile", "region", "endpoint-url")


def _configured(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the defaults of the file.

    Raises:
        UsageError: It is named and cannot be read, or it is not of this form.
    """
    named = environment.get("KMS_RUNTIME_CONFIG")
    if named == "":
        return {}
    home = environment.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - also without a home
    path = Path(named or Path(home, "kms-runtime", "config.toml"))
    try:
        with path.open("rb") as opened:
            content = opened.read(CONFIG_LIMIT + 1)
    except (OSError, ValueError) as error:
        # As none is there where none can be seen: in a home folder of someone else.
        if named is None and not os.path.exists(path):  # noqa: PTH110 - Path.exists raises there
            return {}
        raise click.UsageError(f"{shown(path)}: {shown(error)}") from error
    if len(content) > CONFIG_LIMIT:
        raise click.UsageError(f"{shown(path)} has more than {CONFIG_LIMIT} bytes")
    try:
        return _read(tomllib.loads(content.decode()))
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{shown(path)}: {shown(error)}") from error


def _read(document: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(document) - set(_NAMES))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not one of {', '.join(_NAMES)}")
    found = {name.replace("-", "_"): value for name, value in document.items()}
    keys, context = found.pop("key", []), found.pop("context", {})
    keys = [keys] if isinstance(keys, str) else keys
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("key: an ARN or a list of ARNs is expected")
    if not isinstance(context, dict) or not all(isinstance(value, str) for value in context.values()):
        raise ValueError("context: a table of strings is expected")
    wrong = [name for name, value in found.items() if not isinstance(value, str)]
    if wrong:
        raise ValueError(f"{wrong[0].replace('_', '-')}: a string is expected")
    return {**found, "keys": tuple(keys), "context": tuple(f"{name}={value}" for name, value in context.items())}
