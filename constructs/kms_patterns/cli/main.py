"""The ``kms-patterns`` command."""

import click

from kms_patterns.cli.access import access
from kms_patterns.cli.cdk import cdk
from kms_patterns.cli.doctor import doctor
from kms_patterns.cli.init import init
from kms_patterns.cli.keys import keys
from kms_patterns.cli.local import local
from kms_runtime.cli.encrypt_decrypt import decrypt, encrypt
from kms_runtime.cli.import_key_material import import_key_material
from kms_runtime.cli.inspect import inspect
from kms_runtime.cli.verify import verify


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cdk-kms-patterns")
def main() -> None:
    """AWS KMS keys whose least privilege is a test result, not a promise."""


for command in (access, cdk, decrypt, doctor, encrypt, import_key_material, init, inspect, keys, local, verify):
    main.add_command(command)
