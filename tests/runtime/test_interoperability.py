"""Messages cross between this package and AWS's own SDKs, legacy and with material providers, in both directions."""

import os

import pytest
from aws_encryption_sdk.identifiers import Algorithm

from kms_runtime import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    CommitmentPolicy,
    decrypt_bytes,
    encrypt_bytes,
)
from kms_runtime.errors import CommitmentRequired, MessageFormatError

CONTEXT = {"tenant": "a", "größe": "ü", "\U0001f511": "astral", "\uffee": "bmp"}
FRAME = 128  # the smallest that the official SDK writes
SIZES = [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME - 1, 2 * FRAME, 2 * FRAME + 1, 5 * FRAME + 7]
SUITES = [AES_256_GCM_HKDF_SHA512_COMMIT_KEY, AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384]
LEGACY = [algorithm for algorithm in Algorithm if algorithm.message_format_version == 1]
ALLOW = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT

pytestmark = pytest.mark.parametrize("official", ["legacy", "material providers"], indirect=True)


@pytest.mark.parametrize("suite", SUITES, ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_official_sdk_decrypts_our_message(size, suite, official, client, keyring):
    plaintext = os.urandom(size)
    message = encrypt_bytes(
        plaintext, keyring=keyring, encryption_context=CONTEXT, frame_length=FRAME, algorithm_suite=suite
    )
    decrypted, header = client.decrypt(source=message, **official)
    assert decrypted == plaintext
    assert CONTEXT.items() <= header.encryption_context.items()
    assert header.algorithm.algorithm_id == suite.suite_id


@pytest.mark.parametrize("suite", SUITES, ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_we_decrypt_the_official_sdks_message(size, suite, official, client, keyring):
    plaintext = os.urandom(size)
    message, _ = client.encrypt(
        source=plaintext,
        encryption_context=CONTEXT,
        algorithm=Algorithm.get_by_id(suite.suite_id),
        frame_length=FRAME,
        **official,
    )
    assert decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT) == plaintext


@pytest.mark.parametrize("context", [{}, {"tenant": "a"}])
@pytest.mark.parametrize("suite", SUITES, ids=str)
def test_default_frame_length_and_any_context_size_are_read_by_the_official_sdk(
    context, suite, official, client, keyring
):
    plaintext = os.urandom(600_000)
    message = encrypt_bytes(plaintext, keyring=keyring, encryption_context=context, algorithm_suite=suite)
    assert client.decrypt(source=message, **official)[0] == plaintext


@pytest.mark.parametrize("suite", SUITES, ids=str)
@pytest.mark.parametrize("size", [0, 1, 1000])
def test_committed_message_that_is_not_framed_is_read(size, suite, official, client, keyring):
    plaintext = os.urandom(size)
    message, _ = client.encrypt(
        source=plaintext,
        encryption_context=CONTEXT,
        algorithm=Algorithm.get_by_id(suite.suite_id),
        frame_length=0,
        **official,
    )
    assert decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT) == plaintext
    if size > 1:
        with pytest.raises(MessageFormatError, match="1000 bytes that is not framed; this reader accepts 999"):
            decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT, max_frame_length=999)


@pytest.mark.parametrize("algorithm", LEGACY, ids=lambda algorithm: f"0x{algorithm.algorithm_id:04X}")
@pytest.mark.parametrize("frame_length", [0, FRAME])
def test_message_of_version_1_is_read_only_if_the_commitment_policy_allows(
    algorithm, frame_length, official, forbidding_client, keyring, kms
):
    plaintext = os.urandom(2 * FRAME + 1)
    message, _ = forbidding_client.encrypt(
        source=plaintext, encryption_context=CONTEXT, algorithm=algorithm, frame_length=frame_length, **official
    )
    kms.calls.clear()
    with pytest.raises(CommitmentRequired, match=f"suite 0x{algorithm.algorithm_id:04X}"):
        decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT)
    assert kms.calls == []
    found = decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT, commitment_policy=ALLOW)
    assert found == plaintext


@pytest.mark.parametrize(
    ("offset", "new", "reason"),
    [(1, b"\x00\x00\x00\x01", "reserved field is not zero"), (5, b"\x0d", "IVs of 13 bytes")],
)
def test_reserved_field_and_iv_length_of_version_1_are_checked(
    offset, new, reason, official, forbidding_client, keyring
):
    algorithm = Algorithm.AES_256_GCM_IV12_TAG16_HKDF_SHA256
    message, _ = forbidding_client.encrypt(
        source=b"hello", encryption_context=CONTEXT, algorithm=algorithm, frame_length=FRAME, **official
    )
    at = message.index(b"\x02" + bytes(4) + b"\x0c" + FRAME.to_bytes(4)) + offset
    altered = message[:at] + new + message[at + len(new) :]
    with pytest.raises(MessageFormatError, match=reason):
        decrypt_bytes(altered, keyring=keyring, encryption_context=CONTEXT, commitment_policy=ALLOW)
