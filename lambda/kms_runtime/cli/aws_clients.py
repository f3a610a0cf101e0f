"""Clients of the AWS SDK for the commands; what is wrong with its configuration is said on one line."""

from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import click

from kms_runtime.cli.places import check_sdk, shown

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client


# The files of a folder are processed on threads, and one boto3 session makes one client at a time.
_LOCK = Lock()
_chosen: dict[str, str | None] = {}


def choose(profile: str | None, region: str | None, endpoint_url: str | None) -> None:
    """Use these in place of the configuration's; None leaves that of the configuration."""
    chosen = {"profile": profile, "region": region, "endpoint": endpoint_url}
    if chosen != _chosen:
        _chosen.update(chosen)
        for made in (_session, kms_client, s3_client):
            made.cache_clear()


@cache
def kms_client(region: str) -> "KMSClient":
    """Return the AWS KMS client of a Region.

    Raises:
        ClickException: The AWS SDK is not installed, or its configuration or credentials cannot be used.
    """
    client: KMSClient = _client("kms", region)
    return client


@cache
def s3_client() -> "S3Client":
    """Return the Amazon S3 client of the configured Region; errors as of ``kms_client``."""
    from kms_runtime.s3.parts import sign_no_payload_over_tls  # noqa: PLC0415 - loads what only objects need

    return sign_no_payload_over_tls(_client("s3", _chosen.get("region")))


@cache
def _session() -> "boto3.Session":
    import boto3  # noqa: PLC0415 - encryption with a public key needs no AWS SDK

    return boto3.Session(profile_name=_chosen.get("profile"))


def _client(service: str, region: str | None) -> Any:
    check_sdk()
    from botocore import __version__  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        # Credentials are looked for here, not at the first request, so that all that is wrong is found in one place.
        with _LOCK:
            session = _session()
            credentials = session.get_credentials()
            if credentials is not None:
                credentials.get_frozen_credentials()
            build: Any = session.client
            # What goes to AWS KMS was checked here; botocore's own check is a tenth of the time of a small file, and so
            # is a User-Agent that is put together for each request.
            config = Config(
                retries={"mode": "standard"},
                max_pool_connections=32,
                parameter_validation=service != "kms",
                user_agent=f"kms-runtime Botocore/{__version__}",
            )
            return build(service, region_name=region, endpoint_url=_chosen.get("endpoint"), config=config)
    except (BotoCoreError, ClientError, ValueError, TypeError, KeyError, OSError, RuntimeError) as error:
        # All of these are raised for a profile, an endpoint, a number or a credential process that cannot be used.
        reason = shown(str(error).strip()) or type(error).__name__
        raise click.ClickException(f"the AWS SDK cannot be used as it is configured: {reason}") from error
