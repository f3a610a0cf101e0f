"""The ``encrypt`` and ``decrypt`` commands: files, streams and objects under a KMS key, for people and hosts.

Exit codes: 0 done; 1 AWS refused, or a file cannot be read or written; 2 the command line is wrong; 3 the message is
altered, cut, not a message, or made under another encryption context.
"""

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from kms_runtime.cli.options import pairs, shared_options, use
from kms_runtime.cli.places import STREAM, FilePath, Place, S3Place, place, shown

if TYPE_CHECKING:
    from kms_runtime import MessageResult
    from kms_runtime.cli.progress import Failure, Report


@click.command()
@shared_options
@click.option(
    "--required-context",
    multiple=True,
    metavar="NAME",
    help="Name of a --context pair that is authenticated and not stored: who decrypts must give it; repeatable.",
)
@click.option("--sign", is_flag=True, help="Sign the message (suite 0x0578).")
@click.option("--verify", is_flag=True, help="Read the result back and compare; needs kms:Decrypt.")
@click.option(
    "--public-key",
    type=FilePath(exists=True),
    help="Public key (DER or PEM) of an RSA KMS key: encrypts without a call to AWS.",
)
@click.option(
    "--messages-per-data-key",
    type=click.IntRange(1, 2**32),
    default=1,
    show_default=True,
    help="Use a data key for up to so many messages of a minute: fewer calls, less isolation; in each of the "
    "up to four processes of --recursive.",
)
@click.option(
    "--allow-alias",
    is_flag=True,
    help="A --key may be the ARN of an alias. Its key of now is used: anyone who may move the alias chooses it.",
)
def encrypt(files: tuple[str, ...], output: Place | None, *, sign: bool, verify: bool, **options: Any) -> None:
    """Encrypt FILE... (a file, s3://BUCKET/KEY, or - for standard input) into FILE.encrypted.

    The result is an AWS Encryption SDK message. With several --key, any one of them can decrypt it. Exit codes: 0 done,
    1 refused by AWS or by the file system, 2 wrong usage, 3 --verify failed.
    """
    from kms_runtime.cli import encryption, outputs  # noqa: PLC0415 - --help need not wait for boto3

    use(options)
    targets = [output] if output else [place(name) for name in files]
    if STREAM in targets and sys.stdout and sys.stdout.isatty() and not (options["force"] or options["armor"]):
        raise click.UsageError("a message is binary and standard output is a terminal: redirect it, or give --armor")
    if verify and any(isinstance(target, S3Place) for target in targets):
        raise click.UsageError(
            "--verify reads the output before it appears: run decrypt --verify on the object instead"
        )
    in_place = [target for target in targets if outputs.is_written_in_place(target)] if output else []
    if verify and (in_place or (files == ("-",) and output is None)):
        name = shown(in_place[0]) if in_place and output != STREAM else "standard output"
        raise click.UsageError(f"--verify reads the output again, which {name} does not allow")
    _check_json(options, targets)
    keys = encryption.resolved(options["keys"], allow_alias=options["allow_alias"])
    work = encryption.Encryption(
        encryption.encrypting_keyring(keys, options["public_key"], options["messages_per_data_key"]),
        pairs(options["context"]),
        sign,
        verify,
        options["tags"],
        options["required_context"],
        keys,
        options["armor"],
        keep_time=options["recursive"],
    )
    suffix = options["suffix"]
    _run(work, files, output, lambda name: name + suffix, options)


@click.command()
@shared_options
@click.option("--account", multiple=True, metavar="ID", help="Accept any key of this account instead of --key.")
@click.option("--rsa", is_flag=True, help="The --key is an RSA KMS key.")
@click.option(
    "--commitment-policy",
    type=click.Choice(["require-encrypt-require-decrypt", "require-encrypt-allow-decrypt"]),
    default="require-encrypt-require-decrypt",
    show_default=True,
    help="The second also reads messages that do not commit to their key.",
)
@click.option(
    "--max-encrypted-data-keys",
    type=click.IntRange(1, 65535),
    default=20,
    show_default=True,
    help="Refuse messages with more; each may cost a call.",
)
@click.option("--verify", is_flag=True, help="Authenticate the whole message and write nothing.")
def decrypt(files: tuple[str, ...], output: Place | None, *, verify: bool, **options: Any) -> None:
    """Decrypt FILE... (a file, s3://BUCKET/KEY, or - for standard input) into FILE without .encrypted.

    The message must be bound to every --context pair; another value in it is refused before AWS is called. An output
    file appears after the last byte was authenticated, or not at all. Standard output, a FIFO or a device is written
    as the message is read: discard everything if the exit code is not 0.
    Exit codes: 0 done, 1 refused by AWS or by the file system, 2 wrong usage, 3 not a genuine message.
    """
    from kms_runtime import CommitmentPolicy  # noqa: PLC0415 - --help need not wait for cryptography
    from kms_runtime.cli import encryption, file_streams  # noqa: PLC0415

    if verify and output:
        raise click.UsageError("--verify writes nothing: leave --output out")
    use(options)
    _check_json(options, [output] if output else [place(name) for name in files] if not verify else [])
    keyring = encryption.decrypting_keyring(options["keys"], options["account"], rsa=options["rsa"])
    work = encryption.Decryption(
        keyring,
        pairs(options["context"]),
        verify,
        options["tags"],
        CommitmentPolicy(options["commitment_policy"].replace("-", "_").upper()),
        options["max_encrypted_data_keys"],
        options["armor"],
        keep_time=options["recursive"],
    )
    suffix = options["suffix"]
    _run(work, files, output, lambda name: file_streams.decrypted_name(name, suffix), options)


def _check_json(options: dict[str, Any], targets: Sequence[Place | None]) -> None:
    if options["json"] and STREAM in targets:
        raise click.UsageError("--json writes to standard output, where the result goes: give --output")


def _is_beside(output: Place | None, folders: Sequence[str]) -> bool:
    """Return whether results stand among their sources: a second run must not take them for sources."""
    return output is None or any(os.path.realpath(str(output)) == os.path.realpath(each) for each in folders)


def _attempt(
    work: Any, pair: tuple[Any, Any], report: "Report", *, force: bool, makes_folders: bool
) -> "MessageResult | Failure":
    """Process a file, and return its result or why there is none."""
    from kms_runtime.cli import encryption, progress  # noqa: PLC0415 - --help is quick

    source, target = pair
    try:
        if makes_folders and not isinstance(target, S3Place):
            target.parent.mkdir(parents=True, exist_ok=True)
        result: MessageResult = work.run(source, target, report, force=force)
    except encryption.failures() as error:
        return progress.Failure.of(error)
    return result


def _run(
    work: Any, patterns: Sequence[str], output: Place | None, name_for: Callable[[str], str], options: dict[str, Any]
) -> None:
    """Process every file; continue after a failure, and exit with the gravest code."""
    # --help is quick
    from kms_runtime.cli import encryption, file_streams, progress, side_by_side, trees  # noqa: PLC0415

    found, writes = None, not (work.verify and isinstance(work, encryption.Decryption))
    kind = "objects" if any(isinstance(each, S3Place) for each in (output, *map(place, patterns))) else "files"
    each_pair: list[tuple[Any, Any]]
    try:
        if kind == "objects":
            from kms_runtime.cli import s3_objects  # noqa: PLC0415 - files need no Amazon S3

            s3_objects.choose(side_by_side=options["recursive"])
        if options["recursive"]:
            found = trees.tree(
                patterns,
                output,
                name_for,
                lambda name: work.wants(name, options["suffix"], beside=_is_beside(output, patterns)),
                work.is_result,
                again=options["force"] or not writes,
            )
            each_pair = [*found.files]
        else:
            inputs = file_streams.expand(patterns)
            each_pair = list(zip(inputs, file_streams.destinations(inputs, output, name_for), strict=True))
    except OSError as error:  # a name too long, a folder that may not be searched
        raise click.UsageError(shown(error)) from error
    attempt = partial(_attempt, work, force=options["force"], makes_folders=bool(found and writes))
    count = side_by_side.processes(len(each_pair)) if found and kind == "files" else 0
    with (
        side_by_side.terminable(),
        # Before the report: its bar moves by a thread, which a fork would not copy.
        side_by_side.forked(attempt, each_pair, count) as outcomes,
        progress.progress(quiet=options["quiet"]) as report,
    ):

        def process(pair: tuple[Any, Any]) -> None:
            report.settle(pair, attempt(pair, report), options)

        if found is None:
            for pair in each_pair:
                process(pair)
        else:
            report.expect(len(each_pair), found.size)
            for pair, outcome, read in outcomes:
                report.started(pair[0], None)(read)
                report.settle(pair, outcome, options)
            if not count:
                side_by_side.on_threads(process, each_pair, report.stop, side_by_side.AT_A_TIME[kind])
    if found and not options["quiet"]:
        click.echo(
            f"{len(each_pair) - len(report.codes)} files done, {len(report.codes)} failed, {found.done} there already, "
            f"{found.other} passed over",
            err=True,
        )
    sys.exit(max(report.codes, default=0))
