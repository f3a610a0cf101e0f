"""Wrapping keys that the caller holds, and data keys that are used more than once."""

import os
from typing import get_args

import pytest
from aws_cryptographic_material_providers.mpl.models import (
    AesWrappingAlg,
    CreateRawAesKeyringInput,
    CreateRawRsaKeyringInput,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from kms_runtime import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    CachingKeyring,
    RawAesKeyring,
    RawRsaKeyring,
    decrypt_bytes,
    encrypt_bytes,
)
from kms_runtime.aws_errors import IncorrectKeyException
from kms_runtime.errors import InvalidRequest, MessageAuthenticationFailed
from kms_runtime.keyrings.raw_rsa import PaddingScheme

CONTEXT = {"tenant": "a", "größe": "ü"}


@pytest.fixture
def raw_aes():
    return RawAesKeyring("mine", "key-1", wrapping_key=bytes(32))


@pytest.fixture
def raw_rsa(rsa_pair):
    return RawRsaKeyring("mine", "key-1", public_key=rsa_pair.public_key(), private_key=rsa_pair)


@pytest.fixture
def official_aes(mpl):
    return mpl.create_raw_aes_keyring(
        CreateRawAesKeyringInput(
            key_namespace="mine",
            key_name="key-1",
            wrapping_key=bytes(32),
            wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16,
        )
    )


@pytest.fixture
def official_rsa(official_rsa_with):
    return official_rsa_with("OAEP_SHA256_MGF1")


@pytest.fixture
def official_rsa_with(mpl, rsa_pair):
    public = rsa_pair.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = rsa_pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def make(padding_scheme):
        return mpl.create_raw_rsa_keyring(
            CreateRawRsaKeyringInput(
                key_namespace="mine",
                key_name="key-1",
                padding_scheme=padding_scheme,
                public_key=public,
                private_key=private,
            )
        )

    return make


@pytest.mark.parametrize("context", [{}, CONTEXT])
@pytest.mark.parametrize("kind", ["aes", "rsa"])
def test_raw_messages_cross_to_and_from_the_material_providers(kind, context, request, client):
    ours, theirs = (request.getfixturevalue(f"{owner}_{kind}") for owner in ("raw", "official"))
    message = encrypt_bytes(b"hello", keyring=ours, encryption_context=context)
    assert client.decrypt(source=message, keyring=theirs)[0] == b"hello"
    message, _ = client.encrypt(source=b"hello", encryption_context=context, keyring=theirs)
    assert decrypt_bytes(message, keyring=ours, encryption_context=context) == b"hello"


PADDINGS = get_args(PaddingScheme)


@pytest.mark.parametrize("padding", PADDINGS)
def test_every_padding_crosses_to_and_from_the_material_providers(padding, rsa_pair, official_rsa_with, client):
    pair = {"public_key": rsa_pair.public_key(), "private_key": rsa_pair}
    ours, theirs = RawRsaKeyring("mine", "key-1", **pair, padding_scheme=padding), official_rsa_with(padding)
    message = encrypt_bytes(b"hello", keyring=ours, encryption_context=CONTEXT)
    assert client.decrypt(source=message, keyring=theirs)[0] == b"hello"
    message, _ = client.encrypt(source=b"hello", encryption_context=CONTEXT, keyring=theirs)
    assert decrypt_bytes(message, keyring=ours, encryption_context=CONTEXT) == b"hello"
    for other in PADDINGS:
        if other != padding:
            with pytest.raises(MessageAuthenticationFailed):
                decrypt_bytes(
                    message,
                    keyring=RawRsaKeyring("mine", "key-1", **pair, padding_scheme=other),
                    encryption_context=CONTEXT,
                )


@pytest.mark.parametrize("padding", ["OAEP", "oaep_sha256_mgf1", "", None])
def test_padding_without_a_name_of_aws_is_refused(padding):
    with pytest.raises(InvalidRequest, match="OAEP_SHA256_MGF1, OAEP_SHA1_MGF1"):
        RawRsaKeyring("mine", "k", padding_scheme=padding)


@pytest.mark.parametrize("kind", ["raw_aes", "raw_rsa"])
def test_raw_keyring_names_itself_and_refuses_other_names(kind, request, rsa_pair, keyring):
    ours = request.getfixturevalue(kind)
    assert ours.generate_data_key(CONTEXT).key_arn == "mine/key-1"
    with pytest.raises(IncorrectKeyException, match="not under mine/key-1"):
        decrypt_bytes(
            encrypt_bytes(b"", keyring=keyring, encryption_context=CONTEXT), keyring=ours, encryption_context={}
        )


def test_raw_data_key_that_does_not_open_is_refused(raw_aes, rsa_pair, raw_rsa):
    other = RawAesKeyring("mine", "key-1", wrapping_key=os.urandom(32))
    encrypted = raw_aes.generate_data_key(CONTEXT).encrypted
    assert len(raw_aes.decrypt_data_key(encrypted, CONTEXT).plaintext) == 32
    for keyring, context in ((other, CONTEXT), (raw_aes, {})):
        with pytest.raises(MessageAuthenticationFailed, match="no data key can be decrypted under mine/key-1"):
            keyring.decrypt_data_key(encrypted, context)
    bad = [type(key)(key.provider_id, key.provider_info, bytes(256)) for key in encrypted]
    with pytest.raises(MessageAuthenticationFailed):
        raw_aes.decrypt_data_key(bad, CONTEXT)
    (key,) = raw_rsa.generate_data_key(CONTEXT).encrypted
    with pytest.raises(MessageAuthenticationFailed):
        raw_rsa.decrypt_data_key([type(key)(key.provider_id, key.provider_info, bytes(256))], CONTEXT)


def test_half_a_raw_rsa_keyring_says_what_it_lacks():
    with pytest.raises(InvalidRequest, match="no public_key"):
        RawRsaKeyring("mine", "k").generate_data_key({})
    with pytest.raises(InvalidRequest, match="no private_key"):
        RawRsaKeyring("mine", "k").decrypt_data_key([], {})


@pytest.mark.parametrize("namespace", ["", "aws-kms", "aws-kms-rsa"])
def test_namespace_of_aws_is_refused(namespace):
    with pytest.raises(InvalidRequest, match="namespace"):
        RawAesKeyring(namespace, "k", wrapping_key=bytes(16))
    with pytest.raises(InvalidRequest, match="namespace"):
        RawRsaKeyring(namespace, "k")


def test_wrapping_key_of_another_length_is_refused():
    with pytest.raises(InvalidRequest, match="31 bytes"):
        RawAesKeyring("mine", "k", wrapping_key=bytes(31))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def caching(keyring, clock):
    def make(**limits):
        return CachingKeyring(keyring, clock=clock, **({"capacity": 10, "max_age": 60} | limits))

    return make


def send(keyring, context=CONTEXT, **options):
    return encrypt_bytes(b"hello", keyring=keyring, encryption_context=context, **options)


def test_one_data_key_serves_messages_of_one_context_until_it_is_too_old(caching, kms, clock):
    keyring = caching()
    first, second = send(keyring), send(keyring)
    assert kms.operations == ["GenerateDataKey"]
    assert first[3:35] != second[3:35]
    assert first[-40:] != second[-40:]
    send(keyring, {"tenant": "b"})
    clock.now = 60.0
    send(keyring)
    assert kms.operations == ["GenerateDataKey"] * 3


def test_data_key_serves_no_more_messages_than_allowed(caching, kms):
    keyring = caching(max_messages_encrypted=2)
    for _ in range(5):
        send(keyring)
    assert kms.operations == ["GenerateDataKey"] * 3


def test_decrypted_data_keys_are_cached_by_context_and_ciphertext(caching, kms):
    keyring = caching()
    messages = [send(keyring), send(keyring)]
    kms.calls.clear()
    for message in messages * 2:
        assert decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT) == b"hello"
    assert kms.operations == ["Decrypt"]


def test_least_recently_used_data_key_goes_first_and_is_wiped(caching, kms):
    keyring = caching(capacity=2)
    send(keyring, {"n": "1"})
    send(keyring, {"n": "2"})
    send(keyring, {"n": "1"})
    oldest = next(iter(keyring._entries.values())).data_key.plaintext
    send(keyring, {"n": "3"})
    assert oldest == bytearray(32)
    kms.calls.clear()
    send(keyring, {"n": "1"})
    assert kms.calls == []
    send(keyring, {"n": "2"})
    assert kms.operations == ["GenerateDataKey"]


def test_clear_wipes_everything(caching):
    keyring = caching()
    send(keyring)
    kept = [entry.data_key.plaintext for entry in keyring._entries.values()]
    assert kept != [bytearray(32)]
    keyring.clear()
    assert (kept, len(keyring._entries)) == ([bytearray(32)], 0)


def test_signed_messages_are_not_cached(caching, kms):
    keyring = caching()
    for _ in range(2):
        send(keyring, algorithm_suite=AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384)
    assert len(keyring._entries) == 0
    assert kms.operations == ["GenerateDataKey"] * 2


@pytest.mark.parametrize("limits", [{"capacity": 0}, {"max_age": 0}, {"max_messages_encrypted": 0}])
def test_limit_out_of_range_is_refused(limits, caching):
    with pytest.raises(InvalidRequest, match=next(iter(limits))):
        caching(**limits)
