"""One key follows another without an outage: at no step is a token refused that is still valid."""

import pytest

from kms_runtime.errors import TokenRefused
from kms_runtime.tokens import Jwks, verify_token
from kms_runtime.tokens.publication import JwksPublication

NOW, LIFETIME, MAX_AGE = 1_800_000_000, 900, 300


@pytest.fixture
def published(kms, arns):
    """What the address answers when it publishes these generations."""

    def publish(*generations):
        keys = [(arns("ES256", number), "ES256") for number in generations]
        return Jwks.parse(JwksPublication(keys, kms_client=kms, refresh_after=MAX_AGE).document())

    return publish


def accepted(token, keys, now):
    try:
        return verify_token(token, keys=keys, issuer="https://issuer.example", audience="orders", now=now).key_id
    except TokenRefused as refusal:
        return refusal.code


def test_tokens_of_both_keys_verify_throughout_and_new_ones_name_the_new_key(published, issued):
    # Steps as deployed: the address announces the new key, then it signs, then the old one is left out.
    before, announced, swapped, ended = published(1), published(1, 2), published(2, 1), published(2)
    swap = NOW + MAX_AGE
    last_of_old = issued(generation=1, now=swap - 1)
    first_of_new = issued(generation=2, now=swap)
    assert accepted(last_of_old, before, swap - 1) == "es256-1"
    # Readers that have not asked again since the announcement know both keys.
    for keys in (announced, swapped):
        assert accepted(last_of_old, keys, swap) == "es256-1"
        assert accepted(first_of_new, keys, swap) == "es256-2"
    # The old key may go once its last token has expired.
    end = swap - 1 + LIFETIME
    assert accepted(last_of_old, swapped, end - 1) == "es256-1"
    assert accepted(last_of_old, ended, end + 31) == "TokenKeyUnknown"
    assert accepted(last_of_old, swapped, end + 31) == "TokenExpired"
    assert accepted(issued(generation=2, now=end), ended, end) == "es256-2"


def test_swap_without_announcement_is_an_outage_for_readers_that_do_not_ask_again(published, issued):
    assert accepted(issued(generation=2), published(1), NOW) == "TokenKeyUnknown"


def test_key_of_another_kind_may_follow(kms, arns, issued, public_key_of):
    keys = [(arns("EdDSA"), "EdDSA"), (arns("RS256"), "RS256")]
    found = Jwks.parse(JwksPublication(keys, kms_client=kms, refresh_after=MAX_AGE).document())
    assert accepted(issued("RS256"), found, NOW) == "rs256-1"
    assert accepted(issued("EdDSA"), found, NOW) == "eddsa-1"
