"""A cached data key encrypts no more plaintext than its limit: counted before, so that no message passes it."""

import io

import pytest

from kms_runtime import AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384, CachingKeyring, encrypt, encrypt_bytes
from kms_runtime.errors import InvalidRequest
from kms_runtime.keyrings.caching import MAX_BYTES_ENCRYPTED

CONTEXT = {"tenant": "a"}


@pytest.fixture
def caching(keyring):
    def make(**limits):
        return CachingKeyring(keyring, capacity=10, max_age=60, **limits)

    return make


def send(keyring, size, **options):
    encrypt_bytes(bytes(size), keyring=keyring, encryption_context=CONTEXT, **options)


def stream(keyring, size):
    encrypt(io.BytesIO(bytes(size)), io.BytesIO(), keyring=keyring, encryption_context=CONTEXT)


def test_data_key_is_replaced_before_it_passes_its_limit(caching, kms):
    keyring = caching(max_bytes_encrypted=100)
    for size in (60, 40, 0):
        send(keyring, size)
    assert kms.operations == ["GenerateDataKey"]
    send(keyring, 1)
    assert kms.operations == ["GenerateDataKey"] * 2
    send(keyring, 99)
    assert kms.operations == ["GenerateDataKey"] * 2


def test_message_larger_than_the_limit_has_a_data_key_of_its_own_and_leaves_the_cached_one(caching, kms):
    keyring = caching(max_bytes_encrypted=100)
    for size in (60, 101, 40):
        send(keyring, size)
    assert kms.operations == ["GenerateDataKey"] * 2


def test_message_of_unknown_length_is_cached_only_without_a_limit(caching, kms):
    limited, unlimited = caching(max_bytes_encrypted=2**40), caching()
    for _ in range(2):
        stream(limited, 5)
    assert kms.operations == ["GenerateDataKey"] * 2
    for _ in range(2):
        stream(unlimited, 5)
    assert kms.operations == ["GenerateDataKey"] * 3


def test_limit_of_nothing_caches_empty_messages_only(caching, kms):
    keyring = caching(max_bytes_encrypted=0)
    for size in (0, 0, 1, 1):
        send(keyring, size)
    assert kms.operations == ["GenerateDataKey"] * 3


def test_signed_message_of_known_length_is_not_cached(caching, kms):
    keyring = caching(max_bytes_encrypted=100)
    for _ in range(2):
        send(keyring, 1, algorithm_suite=AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384)
    assert kms.operations == ["GenerateDataKey"] * 2


@pytest.mark.parametrize("limit", [-1, MAX_BYTES_ENCRYPTED + 1])
def test_limit_out_of_range_is_refused(limit, caching):
    with pytest.raises(InvalidRequest, match=f"max_bytes_encrypted {limit}; 0 to {MAX_BYTES_ENCRYPTED}"):
        caching(max_bytes_encrypted=limit)
