"""The ``inspect`` command: the header of an AWS Encryption SDK message, read without a key and without a call to AWS.

Exit codes: 0 read; 1 the file cannot be read; 2 the command line is wrong; 3 not a message.
"""

import json
import sys
from typing import Any

import click

from kms_runtime.cli.places import S3Place, completed, place, shown

_NOT_A_MESSAGE = 3


@click.command()
@click.argument("file", shell_complete=completed)
def inspect(file: str) -> None:
    """Print the header of the message in FILE (a file, s3://BUCKET/KEY, or - for standard input) as JSON.

    Nothing of it is authenticated: that takes the data key. Keys are named as the message names them; the encryption
    context lacks pairs that are authenticated and not stored. Exit codes: 0 read, 1 the file cannot be read, 2 wrong
    usage, 3 not a message.
    """
    from kms_runtime.cli.encryption import failures  # noqa: PLC0415 - --help need not wait for cryptography
    from kms_runtime.errors import MessageFormatError  # noqa: PLC0415

    source = place(file)
    if isinstance(source, S3Place) and source.is_dir():
        raise click.UsageError(f"{shown(source)} names no object; s3://BUCKET/KEY is expected")
    try:
        found = _header(source)
    except failures() as error:
        click.echo(shown(f"{file}: {getattr(error, 'code', type(error).__name__)}: {error}"), err=True)
        sys.exit(_NOT_A_MESSAGE if isinstance(error, MessageFormatError) else 1)
    click.echo(json.dumps(found, indent=2))


def _header(source: Any) -> dict[str, Any]:
    from kms_runtime.cli.file_streams import reading  # noqa: PLC0415
    from kms_runtime.message import CommitmentPolicy, FieldReader, read_header  # noqa: PLC0415
    from kms_runtime.streams import taker  # noqa: PLC0415

    with reading(source) as given:
        header = read_header(
            FieldReader(taker(given.stream)), commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
        )
    return {
        "formatVersion": header.suite.version,
        "algorithmSuite": str(header.suite),
        "keyCommitment": header.suite.committing,
        "signed": header.suite.signed,
        "messageId": header.message_id.hex(),
        "encryptionContext": dict(header.encryption_context),
        "encryptedDataKeys": [
            {"provider": key.provider_id, "key": key.name, "ciphertextBytes": len(key.ciphertext)}
            for key in header.encrypted_data_keys
        ],
        "frameLength": header.frame_length or None,
        "headerBytes": header.size,
        "messageBytes": given.size,
        "authenticated": False,
    }
