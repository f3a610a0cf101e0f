"""Three deployments take an issuer from an RSA key to an elliptic curve; no valid token is refused, by nobody."""

import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import jwt
import pytest
from joserfc import jwk
from joserfc import jwt as jose
from joserfc.errors import JoseError

from demo.functions import invoke
from demo.scenario import Stage
from demo.token_forgeries import tampered, under_the_public_key, unsigned
from kms_patterns.local import LocalAws
from kms_patterns.local.function_urls import local_address
from kms_runtime.errors import TokenRefused
from kms_runtime.tokens import RemoteJwks, key_id, verify_token
from tests.end_to_end.deployment import deployed
from tests.synthesis import synthesize

APP = Path(__file__).parent / "apps" / "token_roll_over.py"
ISSUER, AUDIENCE, ALGORITHMS = "https://tokens.example.com", "orders", ["PS256", "ES256"]
pytestmark = pytest.mark.end_to_end


@dataclass
class Issuer:
    """The issuer as one of the deployments left it, and readers that know its address."""

    aws: LocalAws
    outputs: dict[str, str]

    @property
    def url(self) -> str:
        return local_address(self.outputs["JwksUrl"], self.aws.endpoint_url)

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.aws.ca_bundle))

    def issue(self) -> str:
        function = self.outputs["IssueFunctionName"]
        return str(invoke(self.aws.client("lambda"), function, {"subject": "customer-1"})["token"])

    def key_ids(self) -> list[str]:
        with urlopen(self.url, context=self.context) as answer:
            return [key["kid"] for key in json.load(answer)["keys"]]

    def status(self, **headers: str) -> tuple[int, str]:
        """Return the status and ETag of an answer at the address."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            with urlopen(Request(self.url, headers=named), context=self.context) as answer:
                return answer.status, answer.headers["ETag"]
        except HTTPError as error:
            return error.code, error.headers["ETag"]

    def by_ours(self, token: str) -> Any:
        keys = RemoteJwks(self.url, ssl_context=self.context)
        return verify_token(token, keys=keys, issuer=ISSUER, audience=AUDIENCE).claims

    def by_pyjwt(self, token: str) -> Any:
        key = jwt.PyJWKClient(self.url, ssl_context=self.context).get_signing_key_from_jwt(token)
        return jwt.decode(token, key, ALGORITHMS, audience=AUDIENCE, issuer=ISSUER)

    def by_joserfc(self, token: str) -> Any:
        with urlopen(self.url, context=self.context) as answer:
            keys = jwk.KeySet.import_key_set(json.load(answer))
        return jose.decode(token, keys, algorithms=ALGORITHMS).claims

    def verified_by_all(self, token: str) -> str:
        """Return the key id after our reader, PyJWT and joserfc have fetched the keys and verified the token."""
        assert self.by_ours(token) == self.by_pyjwt(token) == self.by_joserfc(token)
        return str(jwt.get_unverified_header(token)["kid"])

    def refused_by_all(self, token: str) -> None:
        for verify, refusal in (
            (self.by_ours, TokenRefused),
            (self.by_pyjwt, jwt.PyJWTError),
            (self.by_joserfc, (JoseError, ValueError)),
        ):
            with pytest.raises(refusal):
                verify(token)


@pytest.fixture(scope="module")
def deploy(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Issuer]:
    """Return a function that deploys a step of the roll-over over the one before."""
    folder = tmp_path_factory.mktemp("roll-over")

    def step(number: int) -> Issuer:
        context = {"kms-patterns:platform": "host", "step": str(number)}
        assembly = synthesize(APP, folder / f"out-{number}", folder=folder, context=context)
        return Issuer(stage.aws, deployed(stage.aws, assembly)["RollOver"])

    return step


def test_key_rolls_over_without_an_outage(deploy: Callable[[int], Issuer]) -> None:
    before = deploy(1)
    old = key_id(before.outputs["OldKeyArn"])
    first = before.issue()
    reader = RemoteJwks(before.url, ssl_context=before.context, shortest_interval=0)
    assert verify_token(first, keys=reader, issuer=ISSUER, audience=AUDIENCE).key_id == old
    assert before.key_ids() == [old]

    status, etag = before.status()
    assert (status, before.status(if_none_match=etag)) == (200, (304, etag))

    announced = deploy(2)
    new = key_id(announced.outputs["NewKeyArn"])
    assert announced.url == before.url
    assert announced.key_ids() == [old, new]
    assert announced.status(if_none_match=etag)[0] == 200
    second = announced.issue()
    assert [announced.verified_by_all(token) for token in (first, second)] == [old, old]

    swapped = deploy(3)
    assert swapped.key_ids() == [new, old]
    third = swapped.issue()
    assert [swapped.verified_by_all(token) for token in (first, second, third)] == [old, old, new]
    public_key = swapped.aws.client("kms").get_public_key(KeyId=swapped.outputs["NewKeyArn"])["PublicKey"]
    for forged in (tampered(third, sub="admin"), unsigned(third, new), under_the_public_key(third, new, public_key)):
        swapped.refused_by_all(forged)
    # A reader from before the roll-over learns of the new key by the first token that names it.
    assert verify_token(third, keys=reader, issuer=ISSUER, audience=AUDIENCE).algorithm == "ES256"
