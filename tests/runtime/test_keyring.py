"""Keyrings: of KMS, of raw keys, and those that cache."""

import io
import os
from typing import get_args

import pytest
from aws_cryptographic_material_providers.mpl.models import (
    AesWrappingAlg,
    CreateRawAesKeyringInput,
    CreateRawRsaKeyringInput,
)
from botocore.exceptions import EndpointConnectionError
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from kms_runtime import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    CachingKeyring,
    KmsKeyring,
    KmsRuntimeError,
    RawAesKeyring,
    RawRsaKeyring,
    decrypt_bytes,
    encrypt,
    encrypt_bytes,
)
from kms_runtime.aws_errors import (
    AwsError,
    DisabledException,
    IncorrectKeyException,
    InvalidArnException,
    InvalidCiphertextException,
    KMSInternalException,
)
from kms_runtime.errors import InvalidRequest, MessageAuthenticationFailed, ServiceUnreachable
from kms_runtime.keyrings.caching import MAX_BYTES_ENCRYPTED
from kms_runtime.keyrings.raw import PaddingScheme
from kms_runtime.message import EncryptedDataKey

CONTEXT = {"tenant": "a"}


@pytest.fixture
def message(keyring, kms):
    made = encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT)
    kms.calls.clear()
    return made


@pytest.mark.parametrize(
    "identifier",
    [
        "",
        "alias/orders",
        "1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws:kms:eu-west-1:111122223333:alias/orders",
        "arn:aws:s3:::bucket",
        "arn:aws:kms:eu-west-1:111122223333:key/",
        "arn:aws:kms:eu-west-1:111122223333:key/abc\n",
    ],
)
def test_anything_but_a_key_arn_is_refused(identifier, kms):
    with pytest.raises(InvalidArnException, match="is not a key ARN"):
        KmsKeyring(identifier, kms_client=kms)


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_key_arn_of_any_partition_and_a_multi_region_key_are_accepted(partition, kms):
    arn = f"arn:{partition}:kms:cn-north-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"
    assert KmsKeyring(arn, kms_client=kms).key_arn == arn


def test_message_under_another_key_is_refused_before_any_kms_call(message, kms, other_key_arn):
    with pytest.raises(IncorrectKeyException, match=f"not under {other_key_arn}"):
        decrypt_bytes(message, keyring=KmsKeyring(other_key_arn, kms_client=kms), encryption_context=CONTEXT)
    assert kms.calls == []


def test_data_key_of_another_provider_is_not_sent_to_kms(keyring, kms, key_arn):
    with pytest.raises(IncorrectKeyException):
        keyring.decrypt_data_key([EncryptedDataKey("aws-kms-rsa", key_arn.encode(), b"x")], CONTEXT)
    assert kms.calls == []


def test_unauthenticated_key_names_do_not_swell_the_error(keyring):
    with pytest.raises(IncorrectKeyException) as caught:
        keyring.decrypt_data_key([EncryptedDataKey("aws-kms", b"x" * 60_000, b"")], CONTEXT)
    assert len(str(caught.value)) < 700


def test_every_data_key_under_our_key_is_tried_until_one_decrypts(keyring, kms, key_arn, other_key_arn):
    good = keyring.generate_data_key(CONTEXT)
    bad = EncryptedDataKey("aws-kms", key_arn.encode(), key_arn.encode() + b"\0" + bytes(60))
    foreign = EncryptedDataKey("aws-kms", other_key_arn.encode(), b"x")
    kms.calls.clear()
    assert keyring.decrypt_data_key([foreign, bad, *good.encrypted, bad], CONTEXT) == good
    assert kms.operations == ["Decrypt", "Decrypt"]
    with pytest.raises(InvalidCiphertextException):
        keyring.decrypt_data_key([bad, bad], CONTEXT)


def test_generated_data_key_of_another_key_is_refused(keyring, kms, other_key_arn):
    kms.answer_as = other_key_arn
    with pytest.raises(IncorrectKeyException, match=f"the response of GenerateDataKey is for {other_key_arn}"):
        encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT)


def test_decrypted_data_key_of_another_key_is_refused(message, keyring, kms, other_key_arn):
    kms.answer_as = other_key_arn
    with pytest.raises(IncorrectKeyException, match=f"the response of Decrypt is for {other_key_arn}"):
        decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT)


def test_data_key_of_another_length_is_refused(keyring, kms):
    kms.data_key_length = 16
    with pytest.raises(KMSInternalException, match="16 bytes, not of 32"):
        encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT)


@pytest.mark.parametrize("code", ["DisabledException", "AccessDeniedException", "KMSInvalidStateException"])
def test_refusal_of_kms_keeps_code_message_and_operation(code, message, keyring, kms, kms_error):
    kms.failure = kms_error(code, "Decrypt")
    with pytest.raises(AwsError) as caught:
        decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT)
    error = caught.value
    assert (type(error).__name__, error.code, error.operation) == (code, code, "Decrypt")
    assert error.message == str(error) == f"Decrypt: {code} from the fake"
    assert error.__cause__ is kms.failure


def test_known_error_can_be_caught_by_class_and_unknown_one_by_base(keyring, kms, kms_error):
    kms.failure = kms_error("DisabledException", "GenerateDataKey")
    with pytest.raises(DisabledException):
        encrypt_bytes(b"", keyring=keyring, encryption_context={})
    kms.failure = kms_error("KMS.BrandNew", "GenerateDataKey")
    with pytest.raises(AwsError) as caught:
        encrypt_bytes(b"", keyring=keyring, encryption_context={})
    assert caught.value.code == "KMSBrandNew"


def test_no_connection_is_service_unreachable(keyring, kms):
    kms.failure = EndpointConnectionError(endpoint_url="https://kms.example")
    with pytest.raises(ServiceUnreachable, match="AWS KMS"):
        encrypt_bytes(b"", keyring=keyring, encryption_context={})


def test_data_key_is_wiped_also_when_the_header_does_not_verify(keyring, message, monkeypatch):
    seen = []
    genuine = keyring.decrypt_data_key
    monkeypatch.setattr(keyring, "decrypt_data_key", lambda *args: seen.append(genuine(*args)) or seen[0])
    altered = message[:-60] + bytes([message[-60] ^ 1]) + message[-59:]
    with pytest.raises(KmsRuntimeError):
        decrypt_bytes(altered, keyring=keyring, encryption_context=CONTEXT)
    assert seen[0].plaintext == bytearray(32)


def test_data_key_is_wiped_after_encryption_and_never_shown(keyring, monkeypatch):
    made = []
    genuine = keyring.generate_data_key
    monkeypatch.setattr(keyring, "generate_data_key", lambda *args: made.append(genuine(*args)) or made[0])
    encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT)
    assert made[0].plaintext == bytearray(32)
    assert "plaintext" not in repr(made[0])


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


RAW_CONTEXT = {"tenant": "a", "größe": "ü"}


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


@pytest.mark.parametrize("context", [{}, RAW_CONTEXT])
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
    message = encrypt_bytes(b"hello", keyring=ours, encryption_context=RAW_CONTEXT)
    assert client.decrypt(source=message, keyring=theirs)[0] == b"hello"
    message, _ = client.encrypt(source=b"hello", encryption_context=RAW_CONTEXT, keyring=theirs)
    assert decrypt_bytes(message, keyring=ours, encryption_context=RAW_CONTEXT) == b"hello"
    for other in PADDINGS:
        if other != padding:
            with pytest.raises(MessageAuthenticationFailed):
                decrypt_bytes(
                    message,
                    keyring=RawRsaKeyring("mine", "key-1", **pair, padding_scheme=other),
                    encryption_context=RAW_CONTEXT,
                )


@pytest.mark.parametrize("padding", ["OAEP", "oaep_sha256_mgf1", "", None])
def test_padding_without_a_name_of_aws_is_refused(padding):
    with pytest.raises(InvalidRequest, match="OAEP_SHA256_MGF1, OAEP_SHA1_MGF1"):
        RawRsaKeyring("mine", "k", padding_scheme=padding)


@pytest.mark.parametrize("kind", ["raw_aes", "raw_rsa"])
def test_raw_keyring_names_itself_and_refuses_other_names(kind, request, rsa_pair, keyring):
    ours = request.getfixturevalue(kind)
    assert ours.generate_data_key(RAW_CONTEXT).key_arn == "mine/key-1"
    with pytest.raises(IncorrectKeyException, match="not under mine/key-1"):
        decrypt_bytes(
            encrypt_bytes(b"", keyring=keyring, encryption_context=RAW_CONTEXT), keyring=ours, encryption_context={}
        )


def test_raw_data_key_that_does_not_open_is_refused(raw_aes, rsa_pair, raw_rsa):
    other = RawAesKeyring("mine", "key-1", wrapping_key=os.urandom(32))
    encrypted = raw_aes.generate_data_key(RAW_CONTEXT).encrypted
    assert len(raw_aes.decrypt_data_key(encrypted, RAW_CONTEXT).plaintext) == 32
    for keyring, context in ((other, RAW_CONTEXT), (raw_aes, {})):
        with pytest.raises(MessageAuthenticationFailed, match="no data key can be decrypted under mine/key-1"):
            keyring.decrypt_data_key(encrypted, context)
    bad = [type(key)(key.provider_id, key.provider_info, bytes(256)) for key in encrypted]
    with pytest.raises(MessageAuthenticationFailed):
        raw_aes.decrypt_data_key(bad, RAW_CONTEXT)
    (key,) = raw_rsa.generate_data_key(RAW_CONTEXT).encrypted
    with pytest.raises(MessageAuthenticationFailed):
        raw_rsa.decrypt_data_key([type(key)(key.provider_id, key.provider_info, bytes(256))], RAW_CONTEXT)


def test_half_a_raw_rsa_keyring_says_what_it_lacks():
    with pytest.raises(InvalidRequest, match="no public_key"):
        RawRsaKeyring("mine", "k").generate_data_key({})
    with pytest.raises(InvalidRequest, match="no private_key"):
        RawRsaKeyring("mine", "k").decrypt_data_key([], {})


@pytest.mark.parametrize(
    ("namespace", "name"), [("", "k"), ("aws-kms", "k"), ("aws-kms-rsa", "k"), ("n\ud800", "k"), ("n", "k\ud800")]
)
def test_name_of_aws_or_of_no_unicode_is_refused(namespace, name):
    with pytest.raises(InvalidRequest, match=r"namespace|Unicode"):
        RawAesKeyring(namespace, name, wrapping_key=bytes(16))
    with pytest.raises(InvalidRequest, match=r"namespace|Unicode"):
        RawRsaKeyring(namespace, name)


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
def raw_caching(keyring, clock):
    def make(**limits):
        return CachingKeyring(keyring, clock=clock, **({"capacity": 10, "max_age": 60} | limits))

    return make


def raw_send(keyring, context=RAW_CONTEXT, **options):
    return encrypt_bytes(b"hello", keyring=keyring, encryption_context=context, **options)


def test_one_data_key_serves_messages_of_one_context_until_it_is_too_old(raw_caching, kms, clock):
    keyring = raw_caching()
    first, second = raw_send(keyring), raw_send(keyring)
    assert kms.operations == ["GenerateDataKey"]
    assert first[3:35] != second[3:35]
    assert first[-40:] != second[-40:]
    raw_send(keyring, {"tenant": "b"})
    clock.now = 60.0
    raw_send(keyring)
    assert kms.operations == ["GenerateDataKey"] * 3


def test_data_key_serves_no_more_messages_than_allowed(raw_caching, kms):
    keyring = raw_caching(max_messages_encrypted=2)
    for _ in range(5):
        raw_send(keyring)
    assert kms.operations == ["GenerateDataKey"] * 3


def test_decrypted_data_keys_are_cached_by_context_and_ciphertext(raw_caching, kms):
    keyring = raw_caching()
    messages = [raw_send(keyring), raw_send(keyring)]
    kms.calls.clear()
    for message in messages * 2:
        assert decrypt_bytes(message, keyring=keyring, encryption_context=RAW_CONTEXT) == b"hello"
    assert kms.operations == ["Decrypt"]


def test_least_recently_used_data_key_goes_first_and_is_wiped(raw_caching, kms):
    keyring = raw_caching(capacity=2)
    raw_send(keyring, {"n": "1"})
    raw_send(keyring, {"n": "2"})
    raw_send(keyring, {"n": "1"})
    oldest = next(iter(keyring._entries.values())).data_key.plaintext
    raw_send(keyring, {"n": "3"})
    assert oldest == bytearray(32)
    kms.calls.clear()
    raw_send(keyring, {"n": "1"})
    assert kms.calls == []
    raw_send(keyring, {"n": "2"})
    assert kms.operations == ["GenerateDataKey"]


def test_clear_wipes_everything(raw_caching):
    keyring = raw_caching()
    raw_send(keyring)
    kept = [entry.data_key.plaintext for entry in keyring._entries.values()]
    assert kept != [bytearray(32)]
    keyring.clear()
    assert (kept, len(keyring._entries)) == ([bytearray(32)], 0)


def test_signed_messages_are_not_cached(raw_caching, kms):
    keyring = raw_caching()
    for _ in range(2):
        raw_send(keyring, algorithm_suite=AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384)
    assert len(keyring._entries) == 0
    assert kms.operations == ["GenerateDataKey"] * 2


@pytest.mark.parametrize("limits", [{"capacity": 0}, {"max_age": 0}, {"max_messages_encrypted": 0}])
def test_raw_limit_out_of_range_is_refused(limits, raw_caching):
    with pytest.raises(InvalidRequest, match=next(iter(limits))):
        raw_caching(**limits)
