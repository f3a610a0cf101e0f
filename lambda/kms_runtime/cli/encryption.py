"""Encryption and decryption of one file by the commands, and the keyrings for it."""

import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import kms_runtime
from kms_runtime.aws_errors import typed_errors
from kms_runtime.cli import file_streams, outputs
from kms_runtime.cli.armor import Armored, Dearmored
from kms_runtime.cli.aws_clients import kms_client
from kms_runtime.cli.places import Place, S3Place, read_limited, shown
from kms_runtime.cli.progress import Report
from kms_runtime.errors import MessageAuthenticationFailed
from kms_runtime.key_arn import parse_key_arn
from kms_runtime.keyrings.keyring import Keyring
from kms_runtime.message import FieldReader, read_header
from kms_runtime.message.context import VERIFICATION_KEY_NAME
from kms_runtime.streams import taker

if TYPE_CHECKING:
    from kms_runtime.s3.transfer import Tags

_ALIAS_ARN = re.compile(r"arn:[a-z0-9-]+:kms:([a-z0-9-]+):[0-9]{12}:alias/[A-Za-z0-9/_-]+")
_REUSE = 60.0
"""Seconds for which messages share a data key."""
PUBLIC_KEY_LIMIT = 64 * 1024
"""Bytes that are read of a public key."""


def failures() -> tuple[type[Exception], ...]:
    """Return the errors of one file, after which the next is processed."""
    botocore = sys.modules.get("botocore.exceptions")  # not imported where no call is made
    return (kms_runtime.KmsRuntimeError, OSError, MemoryError, *([botocore.BotoCoreError] if botocore else []))


def resolved(keys: Sequence[str], *, allow_alias: bool) -> tuple[str, ...]:
    """Return ``keys`` with the ARN of its key in place of each alias ARN: a call of DescribeKey, if that is allowed.

    Raises:
        ClickException: AWS KMS refused.
    """
    if not allow_alias:
        return tuple(keys)
    found = []
    for key in keys:
        alias = _ALIAS_ARN.fullmatch(key)
        if alias is None:
            found.append(key)
            continue
        try:
            with typed_errors("AWS KMS"):
                found.append(str(kms_client(alias[1]).describe_key(KeyId=key)["KeyMetadata"]["Arn"]))
        except kms_runtime.KmsRuntimeError as error:
            raise click.ClickException(f"--key {shown(key)}: {error.code}: {error}") from error
    kms_client.cache_clear()  # its connection must not be that of several processes
    return tuple(found)


def encrypting_keyring(keys: Sequence[str], public_key: Path | None, messages: int) -> Keyring:
    """Return the keyring for one RSA key whose public key is at hand, or for one or more symmetric keys.

    ``messages`` is how many messages may share a data key, which one of a symmetric key costs a call for.

    Raises:
        UsageError: No key is given, one is not an ARN, or there are several RSA keys.
    """
    regions = _regions(keys)
    if public_key is None:
        keyring = _symmetric(regions)
        if messages == 1:
            return keyring
        return kms_runtime.CachingKeyring(keyring, capacity=1, max_age=_REUSE, max_messages_encrypted=messages)
    if len(keys) > 1:
        raise click.UsageError("--public-key goes with one --key")
    try:
        found = read_limited(public_key, PUBLIC_KEY_LIMIT)
        return kms_runtime.KmsRsaKeyring(keys[0], public_key=found)
    except kms_runtime.KmsRuntimeError as error:
        raise click.UsageError(f"--public-key {shown(public_key)}: {error}") from error


def decrypting_keyring(keys: Sequence[str], accounts: Sequence[str], *, rsa: bool) -> Keyring:
    """Return the keyring for an RSA key, for symmetric keys, or for any key of ``accounts``.

    Raises:
        UsageError: There is neither key nor account or there are both, or one of them is not of the right form.
    """
    if accounts:
        if keys or rsa:
            raise click.UsageError("--account takes the key that the message names: leave --key and --rsa out")
        try:
            return kms_runtime.KmsDiscoveryKeyring(account_ids=accounts, client_for_region=kms_client)
        except kms_runtime.KmsRuntimeError as error:
            raise click.UsageError(f"--account: {error}") from error
    regions = _regions(keys)
    if not rsa:
        return _symmetric(regions)
    if len(keys) > 1:
        raise click.UsageError("--rsa goes with one --key")
    return kms_runtime.KmsRsaKeyring(keys[0], kms_client=kms_client(regions[keys[0]]))


def _regions(keys: Sequence[str]) -> dict[str, str]:
    if not keys:
        raise click.UsageError(
            "--key is missing: give the ARN of the key; the JSON of an exported public key has it as keyArn"
        )
    parsed = {key: parse_key_arn(key) for key in keys}
    wrong = [key for key, arn in parsed.items() if arn is None]
    if wrong:
        raise click.UsageError(
            f"--key {shown(wrong[0])}: the ARN of a key is expected; an alias can be moved to another key, and on "
            "encryption --allow-alias takes the key that its ARN names now"
        )
    return {key: arn.region for key, arn in parsed.items() if arn}


def _symmetric(regions: Mapping[str, str]) -> kms_runtime.KmsKeyring:
    (first, client), *others = ((key, kms_client(region)) for key, region in regions.items())
    return kms_runtime.KmsKeyring(first, kms_client=client, additional_keys=dict(others))


@dataclass(frozen=True)
class Encryption:
    """The ``encrypt`` command."""

    keyring: Keyring
    context: Mapping[str, str]
    sign: bool
    verify: bool
    tags: "Tags"
    required: Collection[str] = ()
    keys: Collection[str] = ()
    armor: bool = False
    keep_time: bool = False

    def wants(self, name: str, suffix: str, *, beside: bool) -> bool:
        """Tell whether ``name`` in a folder is encrypted: where results go beside sources, one of them is not."""
        return not (beside and name.endswith(suffix))

    def _size(self, size: int | None) -> int | None:
        return None if size is None else size * 7 // 5 if self.armor else size

    def is_result(self, message: Path) -> bool:
        """Tell by its header whether ``message`` has the keys, context and kind of signature that are asked for."""
        try:
            with message.open("rb") as opened:
                header = read_header(FieldReader(taker(Dearmored(opened) if self.armor else opened)))
        except (OSError, kms_runtime.KmsRuntimeError):
            return False
        stored = {name: value for name, value in self.context.items() if name not in self.required}
        found = {name: value for name, value in header.encryption_context.items() if name != VERIFICATION_KEY_NAME}
        keys = {key.name for key in header.encrypted_data_keys}
        return (keys, found, header.suite.signed) == (set(self.keys), stored, self.sign)

    def run(self, source: Place, target: Place, report: Report, *, force: bool) -> kms_runtime.MessageResult:
        """Encrypt ``source`` into ``target``, and compare if asked to."""
        signed = kms_runtime.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384
        suite: dict[str, Any] = {"algorithm_suite": signed} if self.sign else {}
        common: dict[str, Any] = {"keyring": self.keyring, "encryption_context": self.context}
        with (
            file_streams.reading(source, tags=_applicable(self.tags, target)) as given,
            outputs.writing(target, size=self._size(given.size), force=force, attributes=given.attributes) as output,
        ):
            watched = file_streams.Watched(given.stream, report.started(source, given.size), digest=self.verify)
            sink = Armored(output.sink) if self.armor else output.sink
            result = kms_runtime.encrypt(
                watched, sink, required_encryption_context_keys=self.required, **common, **suite
            )
            if isinstance(sink, Armored):
                sink.finish()
            if self.verify and output.partial:
                _compare(output.partial, watched.sha256, common, armor=self.armor)
            given.check()
            if self.keep_time:
                _keep_time(given, output)
            return result


def _keep_time(given: file_streams.Input, output: outputs.Output) -> None:
    """Give the result the time that its source had when it was opened: see :mod:`kms_runtime.cli.trees`."""
    if given.modified is not None and output.partial:
        os.utime(output.partial, ns=(given.modified, given.modified))


def _applicable(tags: "Tags", target: Place) -> "Tags":
    """Return ``tags`` if the target can have tags; a file cannot."""
    return tags if isinstance(target, S3Place) else "drop"


def _compare(message: Path, expected: bytes, common: Mapping[str, Any], *, armor: bool) -> None:
    """Decrypt what was written, before it takes its name."""
    found = file_streams.Discarding()
    with message.open("rb", buffering=0) as opened:
        kms_runtime.decrypt(Dearmored(opened) if armor else opened, found, **common)
    if found.sha256 != expected:
        raise MessageAuthenticationFailed("what was read back is not what was encrypted")


@dataclass(frozen=True)
class Decryption:
    """The ``decrypt`` command."""

    keyring: Keyring
    context: Mapping[str, str]
    verify: bool
    tags: "Tags"
    commitment_policy: kms_runtime.CommitmentPolicy
    max_encrypted_data_keys: int
    armor: bool = False
    keep_time: bool = False

    def wants(self, name: str, suffix: str, *, beside: bool) -> bool:  # noqa: ARG002 - as of Encryption
        """Tell whether ``name`` in a folder is decrypted: what is a message by its name."""
        return name.endswith(suffix)

    def is_result(self, plaintext: Path) -> bool:  # noqa: ARG002 - as of Encryption
        """Tell whether a result of the right time is taken for the result: a plaintext names no key."""
        return True

    def run(self, source: Place, target: Place, report: Report, *, force: bool) -> kms_runtime.MessageResult:
        """Decrypt ``source`` into ``target``, or nowhere if only to verify."""
        with file_streams.reading(source, tags="drop" if self.verify else _applicable(self.tags, target)) as given:
            watched = file_streams.Watched(given.stream, report.started(source, given.size), digest=False)
            common: dict[str, Any] = {"keyring": self.keyring, "encryption_context": self.context}
            common["commitment_policy"] = self.commitment_policy
            common["max_encrypted_data_keys"] = self.max_encrypted_data_keys
            message = Dearmored(watched) if self.armor else watched
            if self.verify:
                return kms_runtime.decrypt(message, file_streams.Discarding(), **common)
            with outputs.writing(target, size=given.size, force=force, attributes=given.attributes) as output:
                result = kms_runtime.decrypt(message, output.sink, **common)
                given.check()
                if self.keep_time:
                    _keep_time(given, output)
                return result
