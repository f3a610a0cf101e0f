"""The ``kms-patterns`` command: parses, calls, prints."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import click
from rich.console import Console

from kms_patterns import crypto_cli, import_cli, verify_cli
from kms_patterns.access.cli import access

_CHECKOUT = Path(__file__).parents[2]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cdk-kms-patterns")
def main() -> None:
    """AWS KMS keys whose least privilege is a test result, not a promise."""


main.add_command(access)
main.add_command(crypto_cli.encrypt)
main.add_command(crypto_cli.decrypt)
main.add_command(verify_cli.verify)
main.add_command(import_cli.import_key_material)


@main.command()
@click.option("--file", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Input, over 8 MiB.")
@click.option("--keep", is_flag=True, help="Keep everything running afterwards, until Ctrl-C.")
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=_CHECKOUT,
    help="The checkout of cdk-kms-patterns with app.py and node_modules.  [default: the one this command runs from]",
)
def demo(file: Path | None, project: Path, *, keep: bool) -> None:
    """Deploy the reference app to an embedded AWS, use its keys, and be refused."""
    from kms_patterns.demo import runner  # noqa: PLC0415 - starts boto3, which --help need not wait for
    from kms_patterns.demo.deployment import CdkFailed  # noqa: PLC0415
    from kms_patterns.local import StartFailed  # noqa: PLC0415
    from kms_patterns.toolchain import ToolMissing  # noqa: PLC0415

    if not (project / "app.py").exists():
        raise click.UsageError(
            f"{project} has no app.py: run this in a checkout of cdk-kms-patterns, or name it by --project"
        )
    console = _console()
    # As after Ctrl-C, what runs is stopped and what was made is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        as_expected = runner.run(project.resolve(), file or runner.default_input(), console, keep=keep)
    except (CdkFailed, StartFailed, ToolMissing, runner.UnsuitableInput) as error:
        raise click.ClickException(str(error)) from error
    sys.exit(0 if as_expected else 1)


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def cdk(arguments: tuple[str, ...]) -> None:
    """Run the pinned CDK command line on the pinned Node: cdk diff, cdk deploy --all."""
    from kms_patterns.toolchain import ToolMissing, cdk_command, toolchain_environment  # noqa: PLC0415

    try:
        command = [*cdk_command(_CHECKOUT), *arguments]
    except ToolMissing as error:
        raise click.ClickException(str(error)) from error
    environment = {**os.environ, **toolchain_environment(cache=_CHECKOUT / ".cache")}
    sys.exit(subprocess.run(command, env=environment, check=False).returncode)


@main.group()
def local() -> None:
    """Run the embedded AWS by itself, for any boto3 program or CDK app."""


@local.command()
def start() -> None:
    """Start the embedded AWS and print the environment that leads to it."""
    from kms_patterns.local import StartFailed, daemon  # noqa: PLC0415

    try:
        _print_exports(daemon.start())
    except (StartFailed, daemon.NotOurs) as error:
        raise click.ClickException(str(error)) from error


@local.command()
def stop() -> None:
    """Stop the embedded AWS and remove all that it stored."""
    from kms_patterns.local import daemon  # noqa: PLC0415

    click.echo("stopped" if daemon.stop() else "was not running")


@local.command()
def env() -> None:
    """Print the environment of the running one: ``eval "$(kms-patterns local env)"``."""
    from kms_patterns.local import daemon  # noqa: PLC0415

    variables = daemon.env()
    if variables is None:
        raise click.ClickException("the embedded AWS is not running: `kms-patterns local start` starts it")
    _print_exports(variables)


def _console() -> Console:
    """Return a console wide enough for the report's table where nobody set a width, as in a log file."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=170)


def _print_exports(variables: dict[str, str]) -> None:
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
