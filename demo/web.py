"""The web as an outsider without AWS credentials sees it: HTTPS, nothing else."""

import ssl
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.error import HTTPError

from demo.scenario import Stage
from kms_patterns.local.aws_session import local_address

NOT_YET = 503


@dataclass(frozen=True)
class WebAnswer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    content: bytes


def ask(stage: Stage, url: str, *, method: str = "GET", **headers: str) -> WebAnswer:
    """Ask a function URL of the reference app; underscores in header names become hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    address = local_address(url, stage.aws.endpoint_url)
    request = urllib.request.Request(address, headers=named, method=method)  # noqa: S310 - https, see local_address
    trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(stage.aws.ca_bundle)))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted)
    try:
        with opener.open(request, timeout=60) as answer:
            return WebAnswer(answer.status, dict(answer.headers), answer.read())
    except HTTPError as refused:
        with refused:
            return WebAnswer(refused.code, dict(refused.headers), refused.read())


def ask_until_published(stage: Stage, url: str) -> WebAnswer:
    """Ask until the key is there: it is published in the moments after the deployment, which does not wait for it."""
    deadline = time.monotonic() + 60
    while (answer := ask(stage, url)).status == NOT_YET and time.monotonic() < deadline:
        time.sleep(0.5)
    return answer
