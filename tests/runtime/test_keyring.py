"""KmsKeyring, and the limit on the plaintext that one cached data key encrypts."""

import io

import pytest
from botocore.exceptions import EndpointConnectionError

from kms_runtime import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    CachingKeyring,
    KmsKeyring,
    KmsRuntimeError,
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
from kms_runtime.errors import InvalidRequest, ServiceUnreachable
from kms_runtime.keyrings.caching import MAX_BYTES_ENCRYPTED
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
