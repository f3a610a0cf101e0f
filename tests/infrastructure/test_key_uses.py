"""What a key can be used for: one purpose for keys of tokens, and of patterns, and a required context."""

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import Fn
from aws_cdk import aws_s3 as s3

from kms_patterns import (
    BulkEnvelope,
    CodeSigner,
    DataKeyPairs,
    EncryptionKey,
    EnvelopeCipher,
    MacKey,
    MacTokenIssuer,
    MessageAuthenticator,
    RsaEncryptionKey,
    RsaEnvelopeCipher,
    SecretCipher,
    Signer,
    SigningKey,
    TokenIssuer,
)
from kms_patterns.functions.context_requirement import required_context
from kms_patterns.keys.errors import ArgumentRefused

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
    (SigningKey, messages, objects),
    (SigningKey, tokens_of_the_past, messages),
    (SigningKey, tokens_to_come, messages),
    (MacKey, mac_tokens, codes),
]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("kind", "one", "other"), PAIRS)
def test_key_of_tokens_or_releases_signs_nothing_else(
    kind: Any, one: Make, other: Make, *, reverse: bool, stack: cdk.Stack
) -> None:
    first, second = (other, one) if reverse else (one, other)
    key = kind(stack, "Key")
    first(stack, "First", key)
    with pytest.raises(ValueError, match=re.escape("Stack/Key is used for ")) as caught:
        second(stack, "Second", key)
    assert "Stack/First" in str(caught.value)
    assert "in Stack/Second: a caller that may have any bytes signed or authenticated could have a token made" in str(
        caught.value
    )


def test_two_issuers_or_two_signers_may_have_the_same_key(stack: cdk.Stack) -> None:
    for one in (tokens, messages, objects):
        key = SigningKey(stack, f"{one.__name__}Key")
        made = [one(stack, f"{one.__name__}{number}", key) for number in (1, 2)]
        assert len({construct.node.path for construct in made}) == 2


def secrets(stack: cdk.Stack, name: str, key: Any, **context: Any) -> SecretCipher:
    return SecretCipher(stack, name, encryption_key=key, **context)


def envelopes(stack: cdk.Stack, name: str, key: EncryptionKey, **context: Any) -> EnvelopeCipher:
    source, destination = (s3.Bucket(stack, f"{name}{place}") for place in ("Source", "Destination"))
    return EnvelopeCipher(stack, name, encryption_key=key, source=source, destination=destination, **context)


def pairs(stack: cdk.Stack, name: str, key: EncryptionKey, **context: Any) -> DataKeyPairs:
    return DataKeyPairs(stack, name, encryption_key=key, required_context=["tenant"], **context)


def rsa_secrets(stack: cdk.Stack, name: str, key: RsaEncryptionKey) -> SecretCipher:
    return SecretCipher(stack, name, encryption_key=key)


def rsa_envelopes(stack: cdk.Stack, name: str, key: RsaEncryptionKey) -> RsaEnvelopeCipher:
    source, destination = (s3.Bucket(stack, f"{name}{place}") for place in ("Source", "Destination"))
    return RsaEnvelopeCipher(stack, name, encryption_key=key, source=source, destination=destination)


def bulk(stack: cdk.Stack, name: str, key: EncryptionKey, **given: Any) -> BulkEnvelope:
    source, destination, reports = (
        s3.Bucket(stack, f"{name}{place}") for place in ("Source", "Destination", "Reports")
    )
    places = {"source": source, "destination": destination, "reports": reports, "prefix": "in/"}
    return BulkEnvelope(stack, name, **{"operation": "decrypt", "encryption_key": key, **places, **given})


def bulk_moves(stack: cdk.Stack, name: str, key: EncryptionKey) -> BulkEnvelope:
    other = EncryptionKey(stack, f"{name}New")
    return bulk(stack, name, other, operation="re_encrypt", source_key=key)


TENANT = {"required_context": ["tenant"]}
A = {"a": "1"}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (EncryptionKey, partial(secrets, **TENANT), partial(envelopes, **TENANT)),
        (EncryptionKey, partial(secrets, **TENANT), pairs),
        (EncryptionKey, partial(envelopes, **TENANT), pairs),
        (EncryptionKey, partial(secrets, **TENANT), bulk),
        (EncryptionKey, pairs, bulk_moves),
        (EncryptionKey, partial(secrets, encryption_context=A), partial(envelopes, encryption_context={"b": "2"})),
        (EncryptionKey, partial(secrets, encryption_context=A), partial(envelopes, encryption_context=A)),
        (EncryptionKey, partial(secrets, encryption_context={"key-usage": "SIGN_VERIFY"}), pairs),
        (RsaEncryptionKey, rsa_secrets, rsa_envelopes),
    ],
)
def test_two_patterns_that_could_decrypt_each_others_data_may_not_share_a_key(
    kind: Any, one: Make, other: Make, *, reverse: bool, stack: cdk.Stack
) -> None:
    first, second = (other, one) if reverse else (one, other)
    key = kind(stack, "Key")
    first(stack, "First", key)
    with pytest.raises(ValueError, match=r"Stack/Key is used for .* in Stack/First and would be used for") as caught:
        second(stack, "Second", key)
    apart = "in encryption_context the same name with different values"
    assert str(caught.value).endswith("Give each its own key" + (f", or {apart}" if kind is EncryptionKey else ""))


def test_fixed_pairs_of_one_name_keep_patterns_apart_and_every_policy_demands_them(
    stack: cdk.Stack, synth: Callable[[cdk.Stack], dict[str, Any]]
) -> None:
    key = EncryptionKey(stack, "Key")
    secrets(stack, "Secrets", key, encryption_context={"purpose": "secrets"})
    envelopes(stack, "Envelopes", key, encryption_context={"purpose": "files"})
    pairs(stack, "Pairs", key, encryption_context={"purpose": "pairs"})
    policies = [
        statement
        for item in synth(stack)["Resources"].values()
        for statement in (item.get("Properties", {}).get("PolicyDocument") or {}).get("Statement", [])
        if statement["Action"] == "kms:Decrypt"
    ]
    name = "kms:EncryptionContext:purpose"
    assert sorted(item["Condition"]["StringEquals"][name] for item in policies) == ["files", "pairs", "secrets"]


def test_value_that_is_known_at_deployment_only_keeps_nothing_apart(stack: cdk.Stack) -> None:
    key = EncryptionKey(stack, "Key")
    given = cdk.CfnParameter(stack, "Purpose").value_as_string
    secrets(stack, "Secrets", key, encryption_context={"purpose": given})
    with pytest.raises(ValueError, match="is used for"):
        envelopes(stack, "Envelopes", key, encryption_context={"purpose": "files"})


def test_several_constructs_may_use_a_key_for_the_same(stack: cdk.Stack) -> None:
    key, rsa = EncryptionKey(stack, "Key"), RsaEncryptionKey(stack, "Rsa")
    for number in (1, 2):
        secrets(stack, f"Secrets{number}", key, **TENANT)
        rsa_secrets(stack, f"RsaSecrets{number}", rsa)


def test_key_that_is_imported_twice_is_one_key(stack: cdk.Stack) -> None:
    arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    one, other = (EncryptionKey.from_key_arn(stack, name, arn) for name in ("One", "Other"))
    secrets(stack, "Secrets", one, **TENANT)
    with pytest.raises(ValueError, match="Stack/Other is used for"):
        envelopes(stack, "Envelopes", other, **TENANT)


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


ARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
TYPES: list[tuple[Make, Any]] = [
    (tokens, SigningKey),
    (tokens_of_the_past, SigningKey),
    (tokens_to_come, SigningKey),
    (mac_tokens, MacKey),
    (messages, SigningKey),
    (objects, SigningKey),
    (codes, MacKey),
]


@pytest.mark.parametrize(("make", "kind"), TYPES, ids=lambda it: it.__name__)
def test_imported_key_is_refused_as_imported_where_a_pattern_reads_its_spec(
    make: Make, kind: Any, stack: cdk.Stack
) -> None:
    with pytest.raises(ArgumentRefused, match=rf"=Imported{kind.__name__}: an imported key.* has no key spec"):
        make(stack, "Pattern", kind.from_key_arn(stack, "Key", ARN))


@pytest.mark.parametrize(("make", "kind"), TYPES, ids=lambda it: it.__name__)
def test_key_of_another_type_is_refused_with_the_type_to_give(make: Make, kind: Any, stack: cdk.Stack) -> None:
    with pytest.raises(ArgumentRefused, match=rf"=RsaEncryptionKey: .*give an object of type {kind.__name__}"):
        make(stack, "Pattern", RsaEncryptionKey(stack, "Key"))


def test_names_of_the_context_go_beside_those_of_further_conditions(
    stack: cdk.Stack, role: Any, synth: Any, key_statements: Any
) -> None:
    """One context may hold all of them, so this is not a contradiction."""
    own = {"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": ["purpose", "reason"]}}
    EncryptionKey(stack, "Key").grant_decrypt(
        role("User"), encryption_context={"tenant": "a"}, required_context=["b", "c", "d"], conditions=own
    )

    condition = key_statements(synth(stack))[1]["Condition"]
    names = {operator: it["kms:EncryptionContextKeys"] for operator, it in condition.items() if "ForAny" in operator}
    assert names == {
        "ForAnyValue:StringEquals": ["purpose", "reason"],
        "ForAnyValue:StringLike": "tenant",
        "ForAnyValue:StringEqualsIfExists": "b",
        "ForAnyValue:StringLikeIfExists": "c",
    }
    assert condition["Null"] == {"kms:EncryptionContext:d": "false"}
