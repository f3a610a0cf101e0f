"""Lambda functions of the PublicKeyExport construct: one fetches and stores the keys, the other serves the files.

Events and responses: ``schemas/public_key_export.json``.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any, Final, Self

from kms_runtime.errors import (
    DestinationNotWritable,
    FunctionMisconfigured,
    KmsRuntimeError,
    PublicKeysNotPublished,
    SourceNotReadable,
)
from kms_runtime.handlers.http import Publication, error_response, path_of, served
from kms_runtime.handlers.outcome import logged
from kms_runtime.handlers.settings import (
    json_variable,
    kms_client,
    required_variable,
    s3_client,
    s3_client_for_strangers,
    seconds_variable,
)
from kms_runtime.handlers.validation import Event, Response
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.s3.location import S3Object, s3_errors


@dataclass(frozen=True, slots=True)
class PublicKeySettings:
    """What both functions know.

    Args:
        bucket: ``BUCKET``: where the files are.
        prefix: ``PREFIX``: put before the files' names; default none.
        max_age: ``MAX_AGE``: seconds that a cache keeps a file.
        keys: ``PUBLIC_KEYS``: a JSON object, name to ``{"keyArn": …, "algorithms": [...]}``; no algorithms: all.
    """

    bucket: str
    prefix: str
    max_age: int
    keys: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls) -> Self:
        """Read the settings.

        Raises:
            FunctionMisconfigured: A variable is missing or not of the form given above.
        """
        bucket, prefix = required_variable("BUCKET"), os.environ.get("PREFIX", "")
        keys: dict[str, Any] = json_variable("PUBLIC_KEYS")
        if not isinstance(keys, dict) or not all(isinstance(key, dict) and "keyArn" in key for key in keys.values()):
            raise FunctionMisconfigured('PUBLIC_KEYS is not a JSON object of {"keyArn": …}')
        return cls(bucket, prefix, seconds_variable("MAX_AGE"), keys)


CONTENT_TYPES: Final = {
    "json": "application/json",
    "pem": "application/x-pem-file",
    "der": "application/octet-stream",
    "jwk": "application/jwk+json",
}
"""The content type of each form, by the ending of its file's name."""


_LONGEST_KEPT: Final = 60
"""Seconds for which the serving function keeps a file, at most: a file that is replaced or deleted is noticed then."""


@logged("PublicKeyPublish", "public_key_export/publish_request")
def publish(_event: Event, _context: Any) -> Response:
    """Fetch every key from AWS KMS and store its files; refusals raise after every key was tried."""
    settings = PublicKeySettings.read()
    published, failures = [], []
    for name in settings.keys:
        try:
            published.append(_publish(settings, name))
        except KmsRuntimeError as error:
            failures.append(f"{name} ({error.code}: {error})")
    if failures:
        raise PublicKeysNotPublished(f"{len(failures)} of {len(settings.keys)} keys failed: {'; '.join(failures)}")
    return {"published": published}


@logged("PublicKeyServe")
def serve(event: Event, _context: Any) -> Response:
    """Respond to a request to the function URL with a file, or with an HTTP error."""
    path = path_of(event)
    if not isinstance(path, str):
        return path
    settings = PublicKeySettings.read()
    name = path.removeprefix("/")
    stem, _, form = name.rpartition(".")
    if stem not in settings.keys or form not in CONTENT_TYPES:
        return error_response(HTTPStatus.NOT_FOUND, "this address has no such public key")
    location = S3Object(settings.bucket, settings.prefix + name)
    # Without s3:ListBucket, S3 returns 403 for an object that does not exist: both are worth a line in the log.
    return served(
        event,
        lambda: _publication(location, min(settings.max_age, _LONGEST_KEPT)),
        CONTENT_TYPES[form],
        max_age=settings.max_age,
        otherwise="this public key is not published yet; try again",
    )


@cache
def _publication(location: S3Object, kept: int) -> Publication:
    """Return what this execution environment serves of a file: there are as many as the settings name."""

    def fetch() -> bytes:
        with s3_errors(location, SourceNotReadable):
            return s3_client_for_strangers().get_object(Bucket=location.bucket, Key=location.key)["Body"].read()

    # A file that cannot be read was perhaps withdrawn: readers keep their copy by themselves.
    return Publication(fetch, refresh_after=kept, gone=(KmsRuntimeError,))


def _publish(settings: PublicKeySettings, name: str) -> Response:
    wanted = settings.keys[name]
    key = PublicKey.fetch(wanted["keyArn"], kms_client=kms_client())
    if wanted.get("algorithms"):
        key = key.limited_to(*wanted["algorithms"])
    stored = []
    for form, content in public_key_files(key).items():
        location = S3Object(settings.bucket, f"{settings.prefix}{name}.{form}")
        with s3_errors(location, DestinationNotWritable):
            s3_client().put_object(
                Bucket=location.bucket,
                Key=location.key,
                Body=content,
                ContentType=CONTENT_TYPES[form],
                CacheControl=f"public, max-age={settings.max_age}",
                ChecksumAlgorithm="SHA256",
            )
        stored.append(location.key)
    return {"name": name, "keyArn": key.key_arn, "sha256": key.sha256, "objects": stored}


def public_key_files(key: PublicKey) -> dict[str, bytes]:
    """Return the forms in which ``key`` is published, each with its bytes: the same key gives the same ones.

    Raises:
        PublicKeyInvalid: The key has no form that others can read (SM2).
    """
    return {"json": _json(key.document()), "pem": key.pem.encode(), "der": key.der, "jwk": _json(key.jwk())}


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
