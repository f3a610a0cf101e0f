"""Lambda functions of the PublicKeyExport construct: one fetches and stores the keys, the other serves the files.

Events and answers: ``public_key_publish_request.json``, ``function_url_request.json`` and others in ``schemas``.
"""

import os
from http import HTTPStatus
from typing import Any

from kms_runtime.errors import DestinationNotWritable, KmsRuntimeError, PublicKeysNotPublished, SourceNotReadable
from kms_runtime.handlers.clients import kms_client, s3_client
from kms_runtime.handlers.http import content_answer, error_answer, path_of
from kms_runtime.handlers.outcome import LOG, logged
from kms_runtime.handlers.public_key_settings import PublicKeySettings
from kms_runtime.handlers.validation import Answer, Event, validator
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.public_keys.public_key_files import CONTENT_TYPES, public_key_files
from kms_runtime.s3.location import S3Object, s3_errors

_publish_request = validator("public_key_publish_request")
_RETRY_SECONDS = "10"


@logged("PublicKeyPublish")
def publish(event: Event, _context: Any) -> Answer:
    """Fetch every key from AWS KMS and store its files; refusals raise after every key was tried."""
    _publish_request(event)
    settings = PublicKeySettings.read(os.environ)
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
def serve(event: Event, _context: Any) -> Answer:
    """Answer a request to the function URL with a file, or with an HTTP error."""
    path = path_of(event)
    if not isinstance(path, str):
        return path
    settings = PublicKeySettings.read(os.environ)
    name = path.removeprefix("/")
    form = _form(settings, name)
    if form is None:
        return error_answer(HTTPStatus.NOT_FOUND, "there is no such public key here")
    location = S3Object(settings.bucket, settings.prefix + name)
    try:
        with s3_errors(location, SourceNotReadable):
            content = s3_client().get_object(Bucket=location.bucket, Key=location.key)["Body"].read()
    except SourceNotReadable as missing:
        # Without s3:ListBucket, S3 answers 403 for an object that is not there: both are worth a line in the log.
        LOG.warning("not published", extra={"reason": str(missing)})
        message = "this public key is not published yet; try again"
        return error_answer(HTTPStatus.SERVICE_UNAVAILABLE, message, retry_after=_RETRY_SECONDS)
    return content_answer(event, content, CONTENT_TYPES[form], max_age=settings.max_age)


def _publish(settings: PublicKeySettings, name: str) -> Answer:
    wanted = settings.keys[name]
    key = PublicKey.fetch(wanted["keyArn"], kms_client=kms_client())
    if wanted.get("algorithms"):
        key = key.limited_to(*wanted["algorithms"])
    stored = []
    for file in public_key_files(name, key):
        location = S3Object(settings.bucket, settings.prefix + file.name)
        with s3_errors(location, DestinationNotWritable):
            s3_client().put_object(
                Bucket=location.bucket,
                Key=location.key,
                Body=file.content,
                ContentType=file.content_type,
                CacheControl=f"public, max-age={settings.max_age}",
                ChecksumAlgorithm="SHA256",
            )
        stored.append(location.key)
    return {"name": name, "keyArn": key.key_arn, "sha256": key.sha256, "objects": stored}


def _form(settings: PublicKeySettings, name: str) -> str | None:
    """Return the ending of ``name`` if it is a file of one of the keys."""
    stem, _, form = name.rpartition(".")
    return form if stem in settings.keys and form in CONTENT_TYPES else None
