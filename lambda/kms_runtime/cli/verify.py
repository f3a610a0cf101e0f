"""The ``verify`` command: an artifact's signature and statement, checked with the public key and without AWS.

Exit codes: 0 genuine; 1 a file cannot be read; 2 the command line is wrong or there is nothing to check; 3 not genuine.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kms_runtime.cli.places import FilePath, read_limited, shown

if TYPE_CHECKING:
    from kms_runtime.signatures.verifying_keys import VerifyingKey

_NOT_GENUINE = 3
_SIGNATURE_LIMIT = 64 * 1024
_KEY_LIMIT = 1024 * 1024


@click.command()
@click.argument("file", type=FilePath())
@click.option("-k", "--key", required=True, type=FilePath(), help="Public key: JSON of PublicKeyExport, PEM or DER.")
@click.option("-s", "--signature", type=FilePath(), help="Detached signature.  [default: FILE.sig, if it is there]")
@click.option("-e", "--envelope", type=FilePath(), help="DSSE envelope.  [default: FILE.dsse.json, if it is there]")
@click.option("-n", "--name", help="Name that the statement must give to the artifact.  [default: any]")
@click.option("-t", "--type", "kind", help="The statement's predicateType.  [default: the one that CodeSigner writes]")
@click.option("-a", "--algorithm", help="The one algorithm to accept.  [default: the key's, if it has one]")
def verify(file: Path, **options: Any) -> None:
    """Verify that FILE was signed with the key, without a call to AWS.

    The detached signature proves the content. The envelope's statement also proves the name, which --name compares:
    without it, an older signed release could be passed off as a newer one. All that is given or found is checked.
    Exit codes: 0 genuine, 1 a file cannot be read, 2 wrong usage or nothing to check, 3 not genuine.
    """
    from kms_runtime.errors import KmsRuntimeError  # noqa: PLC0415 - --help need not wait for cryptography

    try:
        lines = _verify(file, **options)
    except OSError as error:
        raise click.ClickException(shown(error)) from error
    except KmsRuntimeError as error:
        click.echo(shown(f"{file}: NOT GENUINE: {error.code}: {error}"), err=True)
        sys.exit(_NOT_GENUINE)
    for line in lines:
        click.echo(shown(f"{file}: {line}"))


def _verify(
    file: Path,
    *,
    key: Path,
    signature: Path | None,
    envelope: Path | None,
    name: str | None,
    kind: str | None,
    algorithm: str | None,
) -> list[str]:
    from kms_runtime.aws_errors import KMSInvalidSignatureException  # noqa: PLC0415
    from kms_runtime.signatures import artifacts  # noqa: PLC0415
    from kms_runtime.signatures.attestations import ENVELOPE_LIMIT, PREDICATE_TYPE  # noqa: PLC0415

    signature = signature or _if_there(file, ".sig")
    envelope = envelope or _if_there(file, ".dsse.json")
    if not signature and not envelope:
        raise click.UsageError(f"nothing to check: neither {file}.sig nor {file}.dsse.json is there; name one")
    if name is not None and not envelope:
        raise click.UsageError("--name needs a statement: a detached signature names nothing; give --envelope")
    public_key = _read_key(key)
    algorithm = _chosen(public_key, algorithm)
    with file.open("rb") as content:
        artifact = artifacts.digest_artifact(content, algorithm=algorithm, public_key=public_key)
    by, lines = f"{algorithm}, {public_key.key_arn}", []
    if signature:
        data = read_limited(signature, _SIGNATURE_LIMIT)
        if len(data) > _SIGNATURE_LIMIT:
            raise KMSInvalidSignatureException(
                f"{signature.name} has more than {_SIGNATURE_LIMIT} bytes: not a signature"
            )
        artifacts.verify_signature(artifact, data, public_key, algorithm=algorithm)
        lines.append(f"genuine by {signature.name}: {by}")
    if envelope:
        expected: dict[str, Any] = {"algorithm": algorithm, "name": name, "predicate_type": kind or PREDICATE_TYPE}
        data = read_limited(envelope, ENVELOPE_LIMIT)
        statement = artifacts.verify_statement(artifact, data, public_key, **expected)
        lines.append(f"genuine by {envelope.name}: {by}, as {statement.subject_with(artifact.digests, name).name!r}")
    return lines


def _if_there(file: Path, suffix: str) -> Path | None:
    beside = file.with_name(file.name + suffix)
    return beside if beside.exists() else None


def _read_key(path: Path) -> "VerifyingKey":
    from kms_runtime.errors import KmsRuntimeError  # noqa: PLC0415
    from kms_runtime.signatures.verifying_keys import read_verifying_key  # noqa: PLC0415

    data = read_limited(path, _KEY_LIMIT)
    if len(data) > _KEY_LIMIT:
        raise click.UsageError(f"--key {shown(path)}: more than {_KEY_LIMIT} bytes: not a public key")
    try:
        return read_verifying_key(data, called=path.name)
    except KmsRuntimeError as error:
        raise click.UsageError(f"--key {shown(path)}: {shown(error)}") from error


def _chosen(key: "VerifyingKey", algorithm: str | None) -> str:
    from kms_runtime.signatures.artifacts import ARTIFACT_ALGORITHMS  # noqa: PLC0415

    known = [name for name in key.algorithms if name in ARTIFACT_ALGORITHMS]
    if algorithm in known:
        return algorithm
    if algorithm is None and len(known) == 1:
        return known[0]
    if not known:
        raise click.UsageError(f"--key: {key.key_arn} ({key.key_spec}, {key.key_usage}) signs no artifacts")
    given = f"--algorithm {algorithm} is none of this key's" if algorithm else "--algorithm is needed with this key"
    raise click.UsageError(f"{given}: {', '.join(known)}")
