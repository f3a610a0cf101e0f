"""Signed tokens: issued by one function, verified by anyone with the published keys, current and previous."""

import ssl
import time
from typing import Any

from demo.principals import (
    directly,
    foreign_signing_key,
    function_client,
    invoke_as,
    other_role,
    tampered,
    under_the_public_key,
    unsigned,
)
from demo.scenario import Group, Stage
from kms_patterns.local.aws_session import local_address
from kms_runtime.aws_errors import AccessDeniedException
from kms_runtime.errors import TokenRefused
from kms_runtime.tokens import RemoteJwks, issue_token, key_id, verify_token

STACK, ISSUER, AUDIENCE = "Tokens", "https://tokens.example.com", "orders"
SUBJECT, TENANT = "customer-1", {"tenant": "a"}

tokens = Group("Tokens: issued by KMS, verified with the published keys, while one key follows another", order=140)


def _issue(stage: Stage, **event: Any) -> str:
    request = {"subject": SUBJECT, "audience": AUDIENCE, "claims": TENANT, **event}
    return str(invoke_as(stage, STACK, "Client", "Issue", **request)["token"])


def _token(stage: Stage) -> str:
    return str(stage.once("token", lambda: _issue(stage)))


def _published(stage: Stage) -> RemoteJwks:
    """The published keys as a reader has them: an address, and who vouches for it."""
    url = local_address(stage.output(STACK, "JwksUrl"), stage.aws.endpoint_url)
    context = ssl.create_default_context(cafile=str(stage.aws.ca_bundle))
    found: RemoteJwks = stage.once("published keys", lambda: RemoteJwks(url, ssl_context=context))
    return found


def _verify(stage: Stage, token: str, **expected: Any) -> str:
    """Verify as an outsider: with the published keys, and no AWS credentials."""
    expected = {"issuer": ISSUER, "audience": AUDIENCE, "required_claims": ["tenant"], **expected}
    try:
        found = verify_token(token, keys=_published(stage), **expected)
    except TokenRefused as refusal:
        return f"refused: {refusal.code}"
    key = "current" if found.key_id == key_id(stage.output(STACK, "KeyArn")) else "previous"
    return f"{found.claims['sub']} of tenant {found.claims['tenant']}, {found.algorithm}, {key} key"


def _signed(kms: Any, key_arn: str, **changes: Any) -> str:
    """Return a token as the issuer makes it, signed by the principal that ``kms`` acts for."""
    given = {"subject": SUBJECT, "audience": AUDIENCE, "issuer": ISSUER, "lifetime": 900, **changes}
    try:
        return issue_token(TENANT, key_arn=key_arn, algorithm="ES256", kms_client=kms, **given).token
    except AccessDeniedException as refusal:
        # The demo's report names a refusal by what AWS answered.
        raise refusal.__cause__ or refusal from None


def _of_another_time(stage: Stage, key: str, **changes: Any) -> str:
    """Return a token that the issuer could have made at another time: the account's root signs in its place."""
    return _signed(stage.aws.session().client("kms"), stage.output(STACK, key), **changes)


@tokens.scenario(
    "client, outsider",
    "gets a token; it is verified with the published keys",
    "customer-1 of tenant a, ES256, current key",
)
def token_is_verified_offline(stage: Stage) -> str:
    return _verify(stage, _token(stage))


@tokens.scenario("outsider", "verifies 100 tokens more", "0 calls of KMS")
def verification_calls_nobody(stage: Stage) -> str:
    token = _token(stage)
    before = len(stage.aws.kms_calls())
    for _ in range(100):
        _verify(stage, token)
    return f"{len(stage.aws.kms_calls()) - before} calls of KMS"


@tokens.scenario(
    "outsider",
    "verifies a token that the previous key signed before the roll-over",
    "customer-1 of tenant a, ES256, previous key",
)
def token_of_the_previous_key(stage: Stage) -> str:
    return _verify(stage, _of_another_time(stage, "PreviousKeyArn"))


@tokens.refused("outsider", "verifies an expired token", "TokenExpired")
def expired_token(stage: Stage) -> str:
    return _verify(stage, _of_another_time(stage, "KeyArn", now=time.time() - 3600))


@tokens.refused("outsider", "verifies a token for another reader", "TokenAudienceMismatch")
def token_for_another_audience(stage: Stage) -> str:
    return _verify(stage, _issue(stage, audience="invoices"))


@tokens.refused("outsider", "verifies a token of another issuer", "TokenIssuerMismatch")
def token_of_another_issuer(stage: Stage) -> str:
    return _verify(stage, _of_another_time(stage, "KeyArn", issuer="https://tokens.example.net"))


@tokens.refused("forger", "changes a claim", "TokenSignatureInvalid")
def tampered_token(stage: Stage) -> str:
    return _verify(stage, tampered(_token(stage), tenant="b"))


@tokens.refused("forger", "takes the signature off (alg none)", "TokenAlgorithmRefused")
def unsigned_token(stage: Stage) -> str:
    return _verify(stage, unsigned(_token(stage), key_id(stage.output(STACK, "KeyArn"))))


@tokens.refused("forger", "takes the public key as an HMAC secret (HS256)", "TokenAlgorithmRefused")
def public_key_as_secret(stage: Stage) -> str:
    arn = stage.output(STACK, "KeyArn")
    public_key = stage.aws.session().client("kms").get_public_key(KeyId=arn)["PublicKey"]
    return _verify(stage, under_the_public_key(_token(stage), key_id(arn), public_key))


@tokens.refused("forger", "signs with a key of their own", "TokenKeyUnknown")
def token_of_a_foreign_key(stage: Stage) -> str:
    return _verify(stage, _signed(stage.aws.session().client("kms"), foreign_signing_key(stage)))


@tokens.refused("client", "gets a token without the required claim", "TokenClaimMissing")
def token_without_its_claim(stage: Stage) -> str:
    return _issue(stage, claims={})


@tokens.refused("client", "gets a token for an hour", "InvalidRequest")
def token_that_lives_too_long(stage: Stage) -> str:
    return _issue(stage, lifetimeSeconds=3600)


@tokens.refused("client", "gets a token of more than 4096 bytes", "TokenTooLarge")
def token_that_is_too_large(stage: Stage) -> str:
    return _issue(stage, claims={**TENANT, "note": "n" * 3072})


@tokens.refused("issuing function's role", "signs with the previous key", "AccessDeniedException (kms:Sign)")
def issuer_may_not_use_the_previous_key(stage: Stage) -> str:
    return _signed(function_client(stage, "kms", STACK, "IssueRoleArn"), stage.output(STACK, "PreviousKeyArn"))


@tokens.refused("issuing function's role", "signs a digest in place of a token", "AccessDeniedException (kms:Sign)")
def issuer_may_not_sign_digests(stage: Stage) -> None:
    given = {"Message": bytes(32), "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
    directly(stage, STACK, "Issue", "sign", **given)


@tokens.refused("role of the function at the address", "signs a token", "AccessDeniedException (kms:Sign)")
def publisher_may_not_sign(stage: Stage) -> str:
    return _signed(function_client(stage, "kms", STACK, "JwksRoleArn"), stage.output(STACK, "KeyArn"))


@tokens.refused("any other role", "signs a token, allowed by its IAM policy", "AccessDeniedException (kms:Sign)")
def other_role_may_not_issue(stage: Stage) -> str:
    key = stage.output(STACK, "KeyArn")
    return _signed(other_role(stage, "kms", "kms-patterns-demo-would-be-issuer", [("kms:Sign", key)]), key)
