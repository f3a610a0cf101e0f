"""The ``kms-runtime`` command, also as ``python -m kms_runtime``."""

import sys


def run() -> None:
    """Run the command, or say what must be installed for it."""
    try:
        import click  # noqa: PLC0415 - the library is installed without it
    except ModuleNotFoundError:
        sys.exit("kms-runtime: the command line is not installed: pip install 'kms-runtime[cli]'")
    from kms_runtime.cli.encrypt_decrypt import decrypt, encrypt  # noqa: PLC0415
    from kms_runtime.cli.import_key_material import import_key_material  # noqa: PLC0415
    from kms_runtime.cli.inspect import inspect  # noqa: PLC0415
    from kms_runtime.cli.verify import verify  # noqa: PLC0415

    commands = [encrypt, decrypt, verify, inspect, import_key_material]
    group = click.Group(
        "kms-runtime",
        commands=commands,
        help="Files, streams and objects under AWS KMS keys.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    click.version_option(package_name="kms-runtime")(group)
    group(prog_name="kms-runtime")


if __name__ == "__main__":
    run()
