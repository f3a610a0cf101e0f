"""Exit codes of the command line, and errors in one line."""

import csv
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

FINDING, ERROR = 1, 2
"""Exit codes: what was asked to fail was found, and the question could not be answered."""

with_profile = click.option("--profile", help="An AWS profile. Defaults to the environment's credentials.")


class Failed(click.ClickException):
    """The question could not be answered; the message is one or a few lines."""

    exit_code = ERROR


def print_or_write(text: str, output: Path | None = None) -> None:
    """Print a report, or write it to a file.

    Raises:
        Failed: It is to be printed, and standard output is closed.
    """
    if output is not None:
        output.write_text(text, encoding="utf-8")
    elif sys.stdout is None:
        raise Failed("standard output is closed, so the report would be lost: open it, or give --output")
    else:
        click.echo(text, nl=False)


@contextmanager
def written_by_others(place: str) -> Iterator[None]:
    """Turn an error of reading a file that another principal wrote into one line and exit code 2."""
    try:
        yield
    except _MALFORMED as error:
        raise Failed(f"{place} is not as AWS writes it: {type(error).__name__}: {error}") from error


@contextmanager
def errors_explained() -> Iterator[None]:
    """Turn an error of reading an input or an account into one line and exit code 2."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    from kms_patterns.access.baseline import NotABaseline  # noqa: PLC0415
    from kms_patterns.access.evaluate.simulator import SimulationFailed  # noqa: PLC0415
    from kms_patterns.access.live.asking import AccountNotRead  # noqa: PLC0415
    from kms_patterns.access.project import SynthesisFailed  # noqa: PLC0415
    from kms_patterns.access.read.assembly import NotAnAssembly  # noqa: PLC0415
    from kms_patterns.access.report.matrix_json import NotAMatrix  # noqa: PLC0415
    from kms_patterns.access.templates.template_text import NotATemplate  # noqa: PLC0415
    from kms_patterns.toolchain import ToolMissing  # noqa: PLC0415

    try:
        yield
    except ModuleNotFoundError as error:
        raise Failed(f"{error.name} is missing: install cdk-kms-patterns[access]") from error
    except (
        AccountNotRead, NotABaseline, NotAnAssembly, NotATemplate, NotAMatrix, SimulationFailed,
        SynthesisFailed, ToolMissing, OSError, BotoCoreError, ClientError,
    ) as error:  # fmt: skip
        raise Failed(str(error)) from error
    except KeyError as error:
        raise Failed(str(error.args[0])) from error
    except (MemoryError, RecursionError) as error:
        raise Failed(f"the input is too large or nested too deep to be read: {type(error).__name__}") from error


_MALFORMED = (ArithmeticError, EOFError, LookupError, RecursionError, TypeError, ValueError, csv.Error, zlib.error)
