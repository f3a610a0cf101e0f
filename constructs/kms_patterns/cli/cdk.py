"""``kms-patterns cdk``: the pinned CDK command line."""

import os
import subprocess
import sys
from pathlib import Path

import click

_CHECKOUT = Path(__file__).parents[3]


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
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
