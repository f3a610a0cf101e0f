"""Clients and environment of one principal of the embedded AWS, and the address of a function URL here."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config

from kms_runtime.kms_model import kms_loader

LOOPBACK = "127.0.0.1,localhost"


@dataclass(frozen=True)
class AwsSession:
    """Credentials of one principal, with the way to the embedded AWS.

    Args:
        access_key_id: Its access key id.
        secret_access_key: Its secret key.
        session_token: Of temporary credentials, else None.
        endpoint_url: The ``https`` address of the embedded AWS.
        ca_bundle: The certificate authority to trust, PEM.
        region: The AWS Region.
        home: A folder for configuration files that a program may write.
    """

    access_key_id: str
    secret_access_key: str
    session_token: str | None
    endpoint_url: str
    ca_bundle: Path
    region: str
    home: Path

    def client(self, service: str, **options: Any) -> Any:
        """Return a boto3 client of ``service``; ``options`` go to ``boto3.Session.client``."""
        with _MAKING:
            return _boto3().client(service, **self._reach(options))

    def resource(self, service: str, **options: Any) -> Any:
        """Return a boto3 resource of ``service``; ``options`` go to ``boto3.Session.resource``."""
        with _MAKING:
            return _boto3().resource(service, **self._reach(options))

    def environment(self) -> dict[str, str]:
        """Return the variables that lead a child process here, as this principal, past the user's AWS settings."""
        variables = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_CA_BUNDLE": str(self.ca_bundle),
            "NODE_EXTRA_CA_CERTS": str(self.ca_bundle),
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(self.home / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.home / "aws-credentials"),
            "NO_PROXY": LOOPBACK,
            "no_proxy": LOOPBACK,
        }
        return variables | ({"AWS_SESSION_TOKEN": self.session_token} if self.session_token else {})

    def _reach(self, options: dict[str, Any]) -> dict[str, Any]:
        own = Config(proxies={})
        config = options.get("config")
        way = {"endpoint_url": self.endpoint_url, "verify": str(self.ca_bundle), "region_name": self.region}
        way |= {"aws_access_key_id": self.access_key_id, "aws_secret_access_key": self.secret_access_key}
        way |= {"aws_session_token": self.session_token} if self.session_token else {}
        return way | options | {"config": config.merge(own) if config else own}


def reach_s3_control(session: boto3.Session) -> boto3.Session:
    """Return a session whose clients of S3 Control reach an endpoint on this machine; AWS's own they reach as before.

    They put the account before the endpoint's name, and ``111122223333.127.0.0.1`` is not a host.
    """
    session.events.register("before-call.s3-control", _without_account)
    return session


def _without_account(params: dict[str, Any], **_event: Any) -> None:
    parts = urlsplit(params["url"])
    account, _, host = parts.netloc.partition(".")
    if account.isdecimal() and (parts.hostname or "").partition(".")[2] in LOOPBACK.split(","):
        params["url"] = parts._replace(netloc=host).geturl()


# A session is not made for threads that make clients at once; a client may be used by many.
_MAKING = Lock()


@cache
def _boto3() -> Any:
    # To make a session takes longer than a client; each client gets its principal's credentials.
    # The user's profile and configuration files must neither lead elsewhere nor fail to load.
    nowhere = dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    core = botocore.session.Session(session_vars={"profile": (None, None, None, None)} | nowhere)
    core.register_component("data_loader", kms_loader())
    return reach_s3_control(boto3.Session(botocore_session=core))


def local_address(url: str, endpoint_url: str) -> str:
    """Return the address on this machine that leads to the same function with the same path.

    Args:
        url: A function URL, ``https://<id>.lambda-url.<region>.on.aws/<path>``.
        endpoint_url: Endpoint of the embedded AWS, which has a certificate of the authority in its folder.

    Raises:
        ValueError: ``url`` is not a function URL.
    """
    parts = urlsplit(url)
    name, _, service = (parts.hostname or "").partition(".")
    if parts.scheme != "https" or not service.startswith("lambda-url."):
        raise ValueError(f"{url} is not a function URL (https://<id>.lambda-url.<region>.on.aws/)")
    query = f"?{parts.query}" if parts.query else ""
    return f"{endpoint_url}/_aws/lambda-url/{name}{parts.path or '/'}{query}"
