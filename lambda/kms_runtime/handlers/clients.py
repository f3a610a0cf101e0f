"""One boto3 client per service and execution environment, made on first use."""

from functools import cache
from typing import TYPE_CHECKING, Literal

import boto3
from botocore.config import Config

from kms_runtime.errors import FunctionMisconfigured
from kms_runtime.kms_model import ml_kem_session

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client


def _config(
    *,
    read_timeout: int,
    attempts: int = 5,
    mode: Literal["standard", "adaptive"] = "standard",
    connect_timeout: int = 3,
) -> Config:
    # Both modes back off with jitter and stop retrying when most calls fail. Adaptive mode also sends fewer requests
    # once throttled, which suits a client of one quota: docs/decisions/0012 has the measurement.
    return Config(
        retries={"mode": mode, "total_max_attempts": attempts},
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        tcp_keepalive=True,
    )


@cache
def kms_client() -> "KMSClient":
    """Return the AWS KMS client."""
    return boto3.client("kms", config=_config(read_timeout=10, mode="adaptive"))


@cache
def kms_client_with_ml_kem() -> "KMSClient":
    """Return an AWS KMS client that has Encapsulate and Decapsulate, whichever botocore the Lambda runtime ships.

    Raises:
        FunctionMisconfigured: It has not: the additions to the service model are missing from the function's code.
    """
    session = boto3.Session(botocore_session=ml_kem_session())
    client = session.client("kms", config=_config(read_timeout=10, mode="adaptive"))
    if not hasattr(client, "decapsulate"):
        raise FunctionMisconfigured("this botocore has no Decapsulate, and kms_runtime/models does not add it")
    return client


@cache
def kms_client_without_retries() -> "KMSClient":
    """Return an AWS KMS client for callers that retry by themselves, within a time of their own."""
    return boto3.client("kms", config=_config(read_timeout=10, attempts=1))


@cache
def kms_client_for_strangers() -> "KMSClient":
    """Return an AWS KMS client whose calls end within 7 seconds, before a function that serves anyone times out."""
    return boto3.client("kms", config=_config(connect_timeout=1, read_timeout=2, attempts=2))


@cache
def s3_client_for_strangers() -> "S3Client":
    """Return an Amazon S3 client whose calls end within 7 seconds, as those of ``kms_client_for_strangers``."""
    return boto3.client("s3", config=_config(connect_timeout=1, read_timeout=2, attempts=2))


@cache
def s3_client() -> "S3Client":
    """Return the Amazon S3 client."""
    return boto3.client("s3", config=_config(read_timeout=60))
