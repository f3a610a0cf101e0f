"""The ``import-key-material`` command: imports key material, from a file or new, into a KMS key of origin EXTERNAL.

Exit codes: 0 imported; 1 AWS refused, or the file cannot be read or written; 2 the command line is wrong; 3 the file
holds no material for that key.
"""

import os
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from kms_runtime.cli.places import FilePath, shown

_NO_MATERIAL = 3
_MOST_BYTES = 64 * 1024


@click.command("import-key-material")
@click.argument("material_file", type=FilePath())
@click.option("-k", "--key", required=True, metavar="KEY-ARN", help="ARN of the key, which has origin EXTERNAL.")
@click.option("--generate", is_flag=True, help="Make new material and keep it in MATERIAL_FILE, a new file.")
@click.option("--expires", metavar="DATE", help="When KMS deletes the material: 2027-03-31 or 2027-03-31T18:00:00Z.")
@click.option("--algorithm", metavar="NAME", help="Wrapping algorithm.  [default: the one to prefer for the key]")
@click.option("--new-material", is_flag=True, help="Further material of a symmetric key, to be rotated to on demand.")
def import_key_material(material_file: Path, **options: Any) -> None:
    """Wrap MATERIAL_FILE (- is standard input) for a KMS key and import it.

    Symmetric keys take 32 raw bytes, HMAC keys as many as their spec has, RSA and elliptic curve keys a private key in
    PEM or DER, encrypted or not. KMS never gives material back: what is encrypted under material that expired is
    readable only after the same bytes were imported again. Keep them.
    """
    from kms_runtime.cli.encryption import failures  # noqa: PLC0415 - --help need not wait for cryptography
    from kms_runtime.cli.key_material.material import KeyMaterialInvalid  # noqa: PLC0415

    try:
        _import(material_file, **options)
    except failures() as error:
        click.echo(shown(f"{material_file}: {getattr(error, 'code', type(error).__name__)}: {error}"), err=True)
        sys.exit(_NO_MATERIAL if isinstance(error, KeyMaterialInvalid) else 1)


def _import(
    file: Path, *, key: str, generate: bool, expires: str | None, algorithm: str | None, new_material: bool
) -> None:
    from kms_runtime.cli.aws_clients import kms_client  # noqa: PLC0415
    from kms_runtime.cli.key_material import importing, material  # noqa: PLC0415
    from kms_runtime.key_arn import parse_key_arn  # noqa: PLC0415

    arn = parse_key_arn(key)
    if arn is None:
        raise click.UsageError(
            f"--key {shown(key)}: the ARN of a key is expected (an alias can be moved to another key)"
        )
    if generate and file == Path("-"):
        raise click.UsageError("--generate keeps the material in a file: name it")
    until = _moment(expires) if expires else None
    importing.check_expiry(until)
    client = kms_client(arn.region)
    target = importing.destination(key, kms_client=client)
    chosen = importing.choose(target.key_spec, algorithm)
    passphrase = partial(click.prompt, "Passphrase of the private key", hide_input=True, err=True)
    with (
        material.wiped(material.generate(target.key_spec) if generate else _read(file)) as given,
        material.wiped(material.normalized(given, target.key_spec, passphrase)) as ready,
    ):
        if generate:
            _keep(file, given)
        importing.import_key_material(
            target, ready, kms_client=client, algorithm=chosen, expires=until, new_material=new_material
        )
    lifetime = f"until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if until else "without expiry"
    click.echo(f"{target.key_spec} material imported into {key}, {lifetime}", err=True)


def _moment(text: str) -> datetime:
    """Return a date, which begins at midnight UTC, or a time; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(f"--expires {text}: 2027-03-31 or 2027-03-31T18:00:00Z is expected") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _read(file: Path) -> bytearray:
    """Return what a file or standard input holds, in a buffer that can be wiped."""
    from kms_runtime.cli.file_streams import reading  # noqa: PLC0415
    from kms_runtime.cli.key_material.material import KeyMaterialInvalid, wiped  # noqa: PLC0415

    with wiped(bytearray(_MOST_BYTES)) as buffer, reading(file) as given:
        filled = 0
        while got := given.stream.readinto(memoryview(buffer)[filled:]):
            filled += got
        if filled == _MOST_BYTES:
            raise KeyMaterialInvalid(f"{_MOST_BYTES} bytes or more: no key material is that long")
        return buffer[:filled]


def _keep(file: Path, made: bytearray) -> None:
    """Write new material to a file that only its owner can read, before KMS has it."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb", buffering=0) as opened:
        opened.write(made)
        os.fsync(opened.fileno())
