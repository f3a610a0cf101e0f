"""The functions' configuration from environment variables, and their boto3 clients, each made on first use."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Self

import boto3
from botocore.config import Config

from kms_runtime.errors import FunctionMisconfigured, InvalidRequest
from kms_runtime.kms_model import ml_kem_session
from kms_runtime.signing_algorithms import SigningAlgorithm, signing_algorithm

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Settings:
    """What every function knows.

    Args:
        key_arn: ``KEY_ARN``: the KMS key.
        fixed_context: ``ENCRYPTION_CONTEXT``: a JSON object of pairs that apply to every request; default ``{}``.
        required_names: ``REQUIRED_CONTEXT_KEYS``: a JSON list of names that a request must give; default ``[]``.
    """

    key_arn: str
    fixed_context: Mapping[str, str]
    required_names: tuple[str, ...]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings.

        Raises:
            FunctionMisconfigured: A variable is missing or not of the form given above.
        """
        fixed = json_variable("ENCRYPTION_CONTEXT", {}, environment)
        if not isinstance(fixed, dict) or not all(isinstance(value, str) for value in fixed.values()):
            raise FunctionMisconfigured("ENCRYPTION_CONTEXT is not a JSON object of strings")
        return cls(
            required_variable("KEY_ARN", environment), fixed, names_variable("REQUIRED_CONTEXT_KEYS", environment)
        )


def settings_and_context(
    given: Mapping[str, str], environment: Mapping[str, str] = os.environ
) -> tuple[Settings, dict[str, str]]:
    """Return the settings, and the encryption context of a request that gives ``given``; errors as of both."""
    from kms_runtime.message.context import effective_context  # noqa: PLC0415 - most functions have no messages

    settings = Settings.read(environment)
    return settings, effective_context(given, fixed=settings.fixed_context, required=settings.required_names)


def required_variable(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the environment variable ``name``.

    Raises:
        FunctionMisconfigured: It is missing or empty.
    """
    value = environment.get(name)
    if not value:
        raise FunctionMisconfigured(f"the environment variable {name} is not set")
    return value


def signing_algorithm_setting() -> SigningAlgorithm:
    """Return the algorithm named by ``SIGNING_ALGORITHM``, the only one that the function uses.

    Raises:
        FunctionMisconfigured: It is missing or none of AWS KMS's.
    """
    name = required_variable("SIGNING_ALGORITHM")
    try:
        return signing_algorithm(name)
    except InvalidRequest as error:
        raise FunctionMisconfigured(f"SIGNING_ALGORITHM: {error}") from None


def names_variable(name: str, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the names that the environment variable ``name`` lists; none if it is missing.

    Raises:
        FunctionMisconfigured: It is not a JSON list of strings.
    """
    names = json_variable(name, [], environment)
    if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
        raise FunctionMisconfigured(f"{name} is not a JSON list of strings")
    return tuple(names)


def json_variable(name: str, default: object = None, environment: Mapping[str, str] = os.environ) -> Any:
    """Return what the environment variable ``name`` holds as JSON.

    Raises:
        FunctionMisconfigured: It is not JSON, or it is missing and has no default.
    """
    if default is not None and not environment.get(name):
        return default
    try:
        return json.loads(required_variable(name, environment))
    except ValueError:
        raise FunctionMisconfigured(f"{name} is not JSON") from None


def seconds_variable(name: str) -> int:
    """Return the environment variable ``name``, a whole number of seconds.

    Raises:
        FunctionMisconfigured: It is missing or is not such a number.
    """
    value = required_variable(name)
    if not (value.isascii() and value.isdecimal()):
        raise FunctionMisconfigured(f"{name} is {value!r}, not a number of seconds")
    return int(value)


def _config(
    *,
    read_timeout: int,
    attempts: int = 5,
    mode: Literal["standard", "adaptive"] = "standard",
    connect_timeout: int = 3,
) -> Config:
    # Both modes back off with jitter and stop retrying when most calls fail. Adaptive mode also sends fewer requests
    # once throttled, which suits a client of one quota: docs/decisions/README.md, 12, has the measurement.
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
    from kms_runtime.s3.parts import sign_no_payload_over_tls  # noqa: PLC0415 - most functions have no objects

    return sign_no_payload_over_tls(boto3.client("s3", config=_config(read_timeout=60)))
