"""Signed random requests to the services in use: each answer is typed, none is an internal error."""

import json
import random
import ssl
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.loaders import Loader

from kms_patterns.local import LocalAws

SEED, EACH = 20261125, 40
MODELS = {
    "cloudformation": "cloudformation", "dynamodb": "dynamodb", "events": "events", "iam": "iam", "logs": "logs",
    "secretsmanager": "secretsmanager", "sns": "sns", "sqs": "sqs", "ssm": "ssm", "states": "stepfunctions",
    "sts": "sts",
}  # fmt: skip
JUNK = (
    None,
    True,
    -1,
    10**20,
    1.5,
    "",
    "x",
    "é" * 3,
    "a" * 300,
    "\x00",
    [],
    {},
    [None],
    {"a": None},
    [[1]],
    "{",
    "<a/>",
)


def made(chance: random.Random, model: dict[str, Any], shape: str, depth: int = 0) -> Any:
    """Return a value of a shape, in which a third of the members are of another."""
    described = model["shapes"][shape]
    if depth > 3 or (depth and chance.random() < 0.3):
        return chance.choice(JUNK)
    if described["type"] == "structure":
        members = described.get("members", {}).items()
        return {
            name: made(chance, model, member["shape"], depth + 1) for name, member in members if chance.random() < 0.6
        }
    if described["type"] == "list":
        return [made(chance, model, described["member"]["shape"], depth + 1)]
    return chance.choice(described.get("enum") or JUNK)


def flat(value: Any, name: str = "") -> dict[str, str]:
    """Return nested members as the query protocol writes them."""
    if isinstance(value, dict):
        parts = [flat(item, f"{name}.{key}" if name else key) for key, item in value.items()]
    elif isinstance(value, list):
        parts = [flat(item, f"{name}.member.{number}") for number, item in enumerate(value, 1)]
    else:
        return {name: value if isinstance(value, str) else json.dumps(value)} if name else {}
    return {key: item for part in parts for key, item in part.items()}


@pytest.mark.parametrize(("service", "name"), MODELS.items(), ids=MODELS.keys())
def test_answers_of_random_requests_are_typed(aws: LocalAws, service: str, name: str) -> None:
    chance, model = random.Random(f"{SEED} {service}"), Loader().load_service_model(name, "service-2")
    trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(aws.ca_bundle)))
    opener, session = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted), aws.session()
    credentials, failed = Credentials(session.access_key_id, session.secret_access_key), {}
    for _ in range(EACH):
        operation = chance.choice(sorted(model["operations"]))
        shape = model["operations"][operation].get("input", {}).get("shape")
        content = made(chance, model, shape) if shape else {}
        if model["metadata"]["protocol"] == "json":
            target = f"{model['metadata']['targetPrefix']}.{operation}"
            headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
            body = json.dumps(content).encode() if chance.random() < 0.95 else b"\xff"
        else:
            headers = {"content-type": "application/x-www-form-urlencoded"}
            form = {"Action": operation, "Version": model["metadata"]["apiVersion"]}
            body = urlencode(form | flat(content)).encode()
        signed = AWSRequest(method="POST", url=aws.endpoint_url + "/", data=body, headers=headers)
        SigV4Auth(credentials, service, aws.region).add_auth(signed)
        request = urllib.request.Request(str(signed.url), body, dict(signed.headers), method="POST")
        try:
            opener.open(request, timeout=20).close()
        except urllib.error.HTTPError as refused:
            answer = refused.read()
            if refused.code == 500 or (refused.code != 501 and not answer):
                failed[operation] = answer[:200]
    assert failed == {}
