"""``kms-patterns cdk``: the CDK command line of the project, on the pinned Node."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import click

_LOOPBACK = ("127.0.0.1", "localhost")
_SYNTHESIZING = ("deploy", "destroy", "diff", "ls", "list", "synth", "synthesize", "watch")
_CHECKOUT = Path(__file__).parents[3]


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def cdk(arguments: tuple[str, ...]) -> None:
    """Run the CDK command line of the nearest node_modules on the pinned Node: cdk diff, cdk deploy --all."""
    from kms_patterns.toolchain import ToolMissing, cdk_command, toolchain_environment  # noqa: PLC0415

    try:
        command = [*cdk_command(), *arguments, *_platform(arguments)]
    except ToolMissing as error:
        raise click.ClickException(str(error)) from error
    environment = {**os.environ, **toolchain_environment(cache=_cache())}
    sys.exit(subprocess.run(command, env=environment, check=False).returncode)


def _cache() -> Path:
    # The tools' caches stay in the checkout, or in the folder of the app that uses the installed package.
    return (_CHECKOUT if (_CHECKOUT / "pyproject.toml").is_file() else Path.cwd()) / ".cache"


def _platform(arguments: tuple[str, ...]) -> list[str]:
    # The embedded AWS runs functions on this machine; one built for Lambda's processor could not start there.
    address = urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).hostname
    chosen = any("kms-patterns:platform" in argument for argument in arguments)
    synthesizes = bool(arguments) and arguments[0] in _SYNTHESIZING
    return ["--context", "kms-patterns:platform=host"] if address in _LOOPBACK and synthesizes and not chosen else []
