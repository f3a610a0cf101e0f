"""Who acts in the scenarios: roles of the app and others, strangers on the web, forgers of tokens; what they invoke."""

import base64
import hashlib
import hmac
import json
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError

from botocore.exceptions import ClientError

from demo.scenario import Stage
from kms_patterns.local.aws_session import local_address

_EC2_MAY_ASSUME = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def client(stage: Stage, service: str, stack: str, role_output: str, *, trusted: str = "ec2.amazonaws.com") -> Any:
    """Return a boto3 client with the session credentials of a role that the reference app made."""
    return stage.aws.assume(stage.output(stack, role_output), service=trusted).client(service)


def function_client(stage: Stage, service: str, stack: str, role_output: str) -> Any:
    """Return a boto3 client with the credentials that Lambda hands to a function of the reference app."""
    return client(stage, service, stack, role_output, trusted="lambda.amazonaws.com")


def directly(stage: Stage, stack: str, role: str, operation: str, key: str = "Key", /, **request: Any) -> Any:
    """Call KMS with ``<key>Arn`` of a stack as the role of its function ``<role>``, past that function."""
    kms = function_client(stage, "kms", stack, f"{role}RoleArn")
    return getattr(kms, operation)(KeyId=stage.output(stack, f"{key}Arn"), **request)


def other_role(stage: Stage, service: str, name: str, allow: Sequence[tuple[str, str]]) -> Any:
    """Return a boto3 client of a role outside the app, whose IAM policy allows the ``(action, resource)`` pairs."""
    iam = stage.aws.session().client("iam")
    if name not in stage.notes:
        # From an earlier playing in the same account, about resources that are gone: its policy is replaced below.
        with suppress(iam.exceptions.EntityAlreadyExistsException):
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(_EC2_MAY_ASSUME))
        statements = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in allow]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_role_policy(RoleName=name, PolicyName="demo", PolicyDocument=policy)
        stage.notes[name] = f"arn:aws:iam::{stage.aws.account}:role/{name}"
    return stage.aws.assume(stage.notes[name], service="ec2.amazonaws.com").client(service)


def administrator(stage: Stage, service: str) -> Any:
    """Return a boto3 client of an account administrator: every action on every resource."""
    return other_role(stage, service, "kms-patterns-demo-administrator", [("*", "*")])


def invoke(lambda_client: Any, function_name: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """Invoke a function and return its response; bytes in the event are sent in base64.

    Raises:
        ClientError: With the function's ``errorType`` as code, or Lambda's own refusal to invoke.
    """
    payload = json.dumps(event, default=lambda data: base64.b64encode(data).decode())
    response = lambda_client.invoke(FunctionName=function_name, Payload=payload.encode())
    answer: dict[str, Any] = json.loads(response["Payload"].read())
    if "FunctionError" in response:
        code, message = str(answer.get("errorType", "Unknown")), str(answer.get("errorMessage", ""))
        raise ClientError({"Error": {"Code": code, "Message": message}}, "Invoke")
    return answer


def invoke_as(stage: Stage, stack: str, role: str, function: str, **event: Any) -> dict[str, Any]:
    """Invoke ``<function>FunctionName`` of a stack as its ``<role>RoleArn``."""
    caller = client(stage, "lambda", stack, f"{role}RoleArn")
    return invoke(caller, stage.output(stack, f"{function}FunctionName"), event)


def altered(data: bytes, position: int = -1) -> bytes:
    """Return ``data`` with one bit flipped in the byte at ``position``."""
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def own_calls(stage: Stage, before: int, stack: str) -> str:
    """Return the KMS calls since the first ``before`` that S3 did not make, with the function of ``stack`` that did."""
    outputs = stage.outputs[f"KmsPatterns-{stack}"]
    verbs = [verb for verb in ("Encrypt", "Decrypt") if f"{verb}RoleArn" in outputs]
    roles = {_role_name(outputs[f"{verb}RoleArn"]): verb.lower() for verb in verbs}
    calls = [call for call in stage.aws.kms_calls()[before:] if not call["viaService"]]
    return ", ".join(
        f"{call['action'][4:]} of the {roles.get(_role_name(call['principal']), '?')} function" for call in calls
    )


def _role_name(arn: str) -> str:
    """Return the name of a role from its ARN or from the ARN of a session of it."""
    return arn.split("/")[1] if ":assumed-role/" in arn else arn.rsplit("/", 1)[-1]


def foreign_signing_key(stage: Stage) -> str:
    """Return the ARN of a signing key (ECC_NIST_P256) that is not in the reference app."""
    spec = {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}
    kms = stage.aws.session().client("kms")
    return str(stage.once("foreign key", lambda: kms.create_key(**spec)["KeyMetadata"]["Arn"]))


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


Sign = Callable[[bytes], bytes]


def claims_of(token: str) -> dict[str, Any]:
    """Return what a token says, which anyone can read."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def assembled(header: Mapping[str, Any], claims: Mapping[str, Any], sign: Sign) -> str:
    """Return a token of any header and claims."""
    message = ".".join(_text(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return f"{message}.{_text(sign(message.encode()))}"


def unsigned(token: str, key_id: str) -> str:
    """Return the token's claims under ``alg`` ``none``."""
    return assembled({"alg": "none", "kid": key_id, "typ": "JWT"}, claims_of(token), lambda _: b"")


def under_the_public_key(token: str, key_id: str, public_key: bytes) -> str:
    """Return the token's claims under HS256, whose secret is the public key: the classic confusion."""
    header = {"alg": "HS256", "kid": key_id, "typ": "JWT"}
    return assembled(header, claims_of(token), lambda message: hmac.digest(public_key, message, hashlib.sha256))


def tampered(token: str, **changes: Any) -> str:
    """Return the token with other claims and its old signature."""
    header, _, signature = token.split(".")
    return f"{header}.{_text(json.dumps(claims_of(token) | changes).encode())}.{signature}"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
