"""A key that signs tokens signs nothing else: else a signature that somebody asked for could be a token."""

import re
from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3

from kms_patterns import (
    CodeSigner,
    MacKey,
    MacTokenIssuer,
    MessageAuthenticator,
    Signer,
    SigningKey,
    TokenIssuer,
)

Make = Callable[[cdk.Stack, str, Any], Any]
GIVEN: dict[str, Any] = {"issuer": "https://issuer.example", "audiences": ["orders"]}


def tokens(stack: cdk.Stack, name: str, key: SigningKey) -> TokenIssuer:
    return TokenIssuer(stack, name, signing_key=key, **GIVEN)


def tokens_of_the_past(stack: cdk.Stack, name: str, key: SigningKey) -> TokenIssuer:
    return TokenIssuer(stack, name, signing_key=SigningKey(stack, "Another"), previous_keys=[key], **GIVEN)


def tokens_to_come(stack: cdk.Stack, name: str, key: SigningKey) -> TokenIssuer:
    return TokenIssuer(stack, name, signing_key=SigningKey(stack, "Another"), next_keys=[key], **GIVEN)


def mac_tokens(stack: cdk.Stack, name: str, key: MacKey) -> MacTokenIssuer:
    return MacTokenIssuer(stack, name, mac_key=key, **GIVEN)


def messages(stack: cdk.Stack, name: str, key: SigningKey) -> Signer:
    return Signer(stack, name, signing_key=key, algorithm="ECDSA_SHA_256")


def objects(stack: cdk.Stack, name: str, key: SigningKey) -> CodeSigner:
    return CodeSigner(stack, name, signing_key=key, artifacts=s3.Bucket(stack, f"{name}Artifacts"))


def codes(stack: cdk.Stack, name: str, key: MacKey) -> MessageAuthenticator:
    return MessageAuthenticator(stack, name, mac_key=key)


PAIRS = [
    (SigningKey, tokens, messages),
    (SigningKey, tokens, objects),
    (SigningKey, tokens_of_the_past, messages),
    (SigningKey, tokens_to_come, messages),
    (MacKey, mac_tokens, codes),
]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("kind", "one", "other"), PAIRS)
def test_key_of_tokens_signs_nothing_else(
    kind: Any, one: Make, other: Make, *, reverse: bool, stack: cdk.Stack
) -> None:
    first, second = (other, one) if reverse else (one, other)
    key = kind(stack, "Key")
    first(stack, "First", key)
    with pytest.raises(ValueError, match=re.escape("Stack/Key signs ")) as caught:
        second(stack, "Second", key)
    assert "Stack/First" in str(caught.value)
    assert "Stack/Second: who may have any message signed could have a token signed" in str(caught.value)


def test_two_issuers_or_two_signers_may_have_the_same_key(stack: cdk.Stack) -> None:
    for one in (tokens, messages):
        key = SigningKey(stack, f"{one.__name__}Key")
        made = [one(stack, f"{one.__name__}{number}", key) for number in (1, 2)]
        assert len({construct.node.path for construct in made}) == 2
