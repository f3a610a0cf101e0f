"""Uploading to, and downloading from, an encrypted bucket."""

from collections.abc import Iterator

from minimality.scenario import Scenario
from minimality.uses import TLS, administration, assumed, download, upload

STACK = "KmsPatterns-S3"
FEWEST_REMOVALS = 70


def scenarios() -> Iterator[Scenario]:
    key, bucket = f"{STACK}/Key", f"{STACK}/Bucket"
    yield from administration(key)
    for role in ("Uploader", "ReadWrite"):
        yield from upload(f"{STACK}/{role}Role", bucket, key)
    for role in ("Downloader", "ReadWrite"):
        yield from download(f"{STACK}/{role}Role", bucket, key)
    for role in ("Uploader", "Downloader", "ReadWrite"):
        yield from assumed(f"{STACK}/{role}Role", "ec2.amazonaws.com")
    yield Scenario(f"{STACK}/UploaderRole", "s3:GetObject", f"{bucket}/*", allowed=False, context=TLS)
    yield Scenario(f"{STACK}/DownloaderRole", "s3:PutObject", f"{bucket}/*", allowed=False, context=TLS)
