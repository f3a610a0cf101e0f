"""A key that signs tokens signs nothing else; a required encryption context is checked before deployment."""

import json
import re
from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import Fn
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
from kms_patterns.functions.required_context import required_context

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


def test_fixed_pairs_and_names_reach_the_function_as_json() -> None:
    context = required_context({"b": "2", "a": "1"}, ["tenant"])
    assert {name: json.loads(value) for name, value in context.environment.items()} == {
        "ENCRYPTION_CONTEXT": {"a": "1", "b": "2"},
        "REQUIRED_CONTEXT_KEYS": ["tenant"],
    }


def test_no_context_is_an_empty_object_and_an_empty_list() -> None:
    assert required_context(None, []).environment == {"ENCRYPTION_CONTEXT": "{}", "REQUIRED_CONTEXT_KEYS": "[]"}


def test_required_name_with_a_fixed_value_needs_none_from_the_caller() -> None:
    context = required_context({"tenant": "a"}, ["tenant", "purpose", "purpose"])
    assert context.names == ("purpose",)


def test_fixed_value_known_at_deployment_only_is_accepted() -> None:
    value = Fn.import_value("tenant")
    assert required_context({"tenant": value}, []).fixed == {"tenant": value}


@pytest.mark.parametrize("name", ["", " tenant", "tenant ", "aws-crypto-public-key", "AWS-Crypto-x"])
def test_name_that_no_call_could_match_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is empty or padded with blanks|is reserved"):
        required_context(None, [name])
    with pytest.raises(ValueError, match=r"is empty or padded with blanks|is reserved"):
        required_context({name: "x"}, [])


def test_empty_fixed_value_is_refused() -> None:
    with pytest.raises(ValueError, match=r"encryption_context\['tenant'\] is empty"):
        required_context({"tenant": ""}, [])


def test_names_that_iam_cannot_tell_apart_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\['tenant'\] differ in case only"):
        required_context({"Tenant": "a"}, ["tenant"])


def test_string_instead_of_a_list_of_names_is_refused() -> None:
    with pytest.raises(TypeError, match="'tenant': give a list of names"):
        required_context(None, "tenant")
