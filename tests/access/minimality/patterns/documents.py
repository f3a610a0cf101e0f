"""Uploading to, and downloading from, an encrypted bucket."""

from collections.abc import Iterator

from tests.access.minimality.world import TLS, Access, Scenario, administration, assumed, download, upload

STACK = "KmsPatterns-S3"
FEWEST_REMOVALS = 70
USES_DEPLOYED = 0
_BUCKET = "arn:aws:s3:::<KmsPatterns-S3/Bucket>"
VIA_THE_BUCKET = {
    "StringEquals": {"kms:ViaService": "s3.<region>.amazonaws.com"},
    "StringLike": {"kms:EncryptionContext:aws:s3:arn": [_BUCKET, f"{_BUCKET}/*"]},
}
ACCESS: Access = {
    "Key": {
        "UploaderRole": {"kms:GenerateDataKey": VIA_THE_BUCKET, "kms:Decrypt": VIA_THE_BUCKET},
        "DownloaderRole": {"kms:Decrypt": VIA_THE_BUCKET},
        "ReadWriteRole": {"kms:GenerateDataKey": VIA_THE_BUCKET, "kms:Decrypt": VIA_THE_BUCKET},
    },
}


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
