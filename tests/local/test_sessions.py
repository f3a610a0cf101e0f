"""Sessions of STS as AWS gives them: names, tags, source identities, MFA; federation is refused."""

import base64
import json
import ssl
import urllib.error
import urllib.request
import uuid
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.config import Config

from kms_patterns.local import AwsSession, LocalAws


def unique() -> str:
    return f"thing-{uuid.uuid4().hex[:8]}"


def anonymous(aws: LocalAws, form: dict[str, str]) -> tuple[int, str]:
    """Send a request without credentials; return status and body."""
    request = urllib.request.Request(f"{aws.endpoint_url}/", data=urlencode(form).encode())
    trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(aws.ca_bundle)))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted)
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def _token() -> str:
    def part(content: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    claims = {"iss": "https://tok.example.com", "sub": "me", "aud": "sts.amazonaws.com", "exp": 4102444800}
    return f"{part({'alg': 'none'})}.{part(claims)}."


@pytest.mark.parametrize(("action", "token"), [
    ("AssumeRoleWithWebIdentity", "WebIdentityToken"), ("AssumeRoleWithSAML", "SAMLAssertion"),
])  # fmt: skip
@pytest.mark.parametrize("registered", [False, True])
def test_federation_is_refused(aws: LocalAws, make_role: Any, action: str, token: str, registered: bool) -> None:
    provider = f"arn:aws:iam::{aws.account}:oidc-provider/tok.example.com"
    if registered:
        aws.client("iam").create_open_id_connect_provider(Url="https://tok.example.com", ThumbprintList=["a" * 40])
    role = make_role(trust={"Effect": "Allow", "Principal": {"Federated": provider}, "Action": f"sts:{action}"})
    form = {"Version": "2011-06-15", "Action": action, "RoleArn": role, "RoleSessionName": "xx", token: _token()}
    status, body = anonymous(aws, form | {"PrincipalArn": provider})
    if registered:
        aws.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)
    assert (status, "AccessKeyId" in body) == (400, False), body
    assert "InvalidIdentityToken" in body


@pytest.mark.parametrize("name", ["x", "y" * 65, "with space"])
def test_session_names_have_2_to_64_characters_of_some(aws: LocalAws, make_role: Any, code_of: Any, name: str) -> None:
    sts = aws.client("sts", config=Config(parameter_validation=False))
    trust = {"Effect": "Allow", "Principal": {"AWS": aws.account}, "Action": "sts:AssumeRole"}
    assert code_of(sts.assume_role, RoleArn=make_role(trust=trust), RoleSessionName=name) == "ValidationError"


@pytest.mark.parametrize(("option", "action"), [
    ({"Tags": [{"Key": "team", "Value": "a"}]}, "sts:TagSession"),
    ({"SourceIdentity": "alice"}, "sts:SetSourceIdentity"),
])  # fmt: skip
def test_tags_and_source_identity_need_a_permission_of_their_own(
    aws: LocalAws, session_of: Any, make_role: Any, allow: Any, refusal: Any, option: dict[str, Any], action: str
) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": aws.account}, "Action": ["sts:AssumeRole", action]}
    role = make_role(trust=trust)
    without, with_it = session_of(allow("sts:AssumeRole", "*")), session_of(allow(["sts:AssumeRole", action], "*"))
    request = {"RoleArn": role, "RoleSessionName": "name"} | option
    code, message = refusal(without.client("sts").assume_role, **request)
    assert (code, action in message) == ("AccessDenied", True)
    assert with_it.client("sts").assume_role(**request)["AssumedRoleUser"]["Arn"].endswith("/name")


def with_keys(aws: LocalAws, keys: dict[str, str]) -> AwsSession:
    access, secret, token = keys["AccessKeyId"], keys["SecretAccessKey"], keys.get("SessionToken")
    return replace(aws.session(), access_key_id=access, secret_access_key=secret, session_token=token)


def test_session_without_mfa_may_not_call_iam(aws: LocalAws) -> None:
    iam, name = aws.client("iam"), unique()
    iam.create_user(UserName=name)
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps({"Statement": everything}))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    user = AwsSession(
        key["AccessKeyId"], key["SecretAccessKey"], None, aws.endpoint_url, aws.ca_bundle, aws.region, aws.folder
    )
    found = user.client("sts").get_session_token()["Credentials"]
    session = AwsSession(
        found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"], aws.endpoint_url, aws.ca_bundle,
        aws.region, aws.folder,
    )  # fmt: skip
    assert user.client("iam").list_users()["Users"]
    with pytest.raises(session.client("iam").exceptions.ClientError, match="AccessDenied"):
        session.client("iam").list_users()
    assert session.client("kms").list_keys()["Keys"] is not None
