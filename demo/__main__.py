"""``python -m demo``: deploy the reference app to an embedded AWS, use its keys, and be refused."""

import os
import signal
import sys
from pathlib import Path

import click
from rich.console import Console

from demo import runner
from demo.runner import CdkFailed
from kms_patterns.local import StartFailed
from kms_patterns.toolchain import ToolMissing

_CHECKOUT = Path(__file__).parents[1]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--file", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Input, over 8 MiB.")
@click.option("--group", "groups", multiple=True, help="Play the groups with this in their names only; repeatable.")
@click.option("--keep", is_flag=True, help="Keep everything running afterwards, until Ctrl-C.")
def demo(file: Path | None, groups: tuple[str, ...], *, keep: bool) -> None:
    """Deploy the reference app to an embedded AWS, use its keys, and be refused.

    The exit code is 0 if every row is as expected, 1 if one is not, 2 if the demo could not be played.
    """
    # As after Ctrl-C, what runs is stopped and what was made is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        scenarios = runner.chosen(groups)
        as_expected = runner.run(_CHECKOUT, file or runner.default_input(), _console(), scenarios, keep=keep)
    except (CdkFailed, StartFailed, ToolMissing, runner.UnsuitableInput, runner.UnknownGroup) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    sys.exit(0 if as_expected else 1)


def _console() -> Console:
    """Return a console wide enough for the report's table where no width is set, as in a log file."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=170)


demo()
