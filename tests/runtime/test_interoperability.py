"""Messages as the official SDKs read and write them; an encryption context that is not stored."""

import io
import os

import pytest
from aws_cryptographic_material_providers.mpl.models import (
    CreateDefaultCryptographicMaterialsManagerInput,
    CreateRequiredEncryptionContextCMMInput,
)
from aws_encryption_sdk.identifiers import Algorithm

from kms_runtime import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    CommitmentPolicy,
    KmsRuntimeError,
    RawAesKeyring,
    RawRsaKeyring,
    decrypt,
    decrypt_bytes,
    decrypt_range,
    encrypt,
    encrypt_bytes,
)
from kms_runtime.envelope.ranged import FileRange
from kms_runtime.errors import (
    CommitmentRequired,
    EncryptionContextInvalid,
    EncryptionContextMismatch,
    InvalidRequest,
    MessageFormatError,
)
from kms_runtime.message.suite import WRITABLE

CONTEXT = {"tenant": "a", "größe": "ü", "\U0001f511": "astral", "\uffee": "bmp"}
FRAME = 128  # the smallest that the official SDK writes
SIZES = [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME - 1, 2 * FRAME, 2 * FRAME + 1, 5 * FRAME + 7]
SUITES = [AES_256_GCM_HKDF_SHA512_COMMIT_KEY, AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384]
LEGACY = [algorithm for algorithm in Algorithm if algorithm.message_format_version == 1]
ALLOW = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT

BOTH = pytest.mark.parametrize("official", ["legacy", "material providers"], indirect=True)


@BOTH
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


@BOTH
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


@BOTH
@pytest.mark.parametrize("context", [{}, {"tenant": "a"}])
@pytest.mark.parametrize("suite", SUITES, ids=str)
def test_default_frame_length_and_any_context_size_are_read_by_the_official_sdk(
    context, suite, official, client, keyring
):
    plaintext = os.urandom(600_000)
    message = encrypt_bytes(plaintext, keyring=keyring, encryption_context=context, algorithm_suite=suite)
    assert client.decrypt(source=message, **official)[0] == plaintext


@BOTH
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


@BOTH
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


@BOTH
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


REQUIRED_CONTEXT = {"tenant": "a", "purpose": "test", "größe": "ü"}
REQUIRED = ["größe", "tenant"]


@pytest.fixture
def cmm(official, mpl):
    default = mpl.create_default_cryptographic_materials_manager(
        CreateDefaultCryptographicMaterialsManagerInput(**official)
    )
    return mpl.create_required_encryption_context_cmm(
        CreateRequiredEncryptionContextCMMInput(required_encryption_context_keys=REQUIRED, underlying_cmm=default)
    )


@pytest.mark.parametrize("official", ["material providers"], indirect=True)
@pytest.mark.parametrize("suite", WRITABLE, ids=str)
@pytest.mark.parametrize("frame_length", [0, 128])
def test_official_sdks_message_is_read(suite, frame_length, cmm, client, keyring):
    algorithm = Algorithm.get_by_id(suite.suite_id)
    message, _ = client.encrypt(
        source=b"hello",
        materials_manager=cmm,
        encryption_context=REQUIRED_CONTEXT,
        algorithm=algorithm,
        frame_length=frame_length,
    )
    assert b"tenant" not in message
    sink = io.BytesIO()
    found = decrypt(io.BytesIO(message), sink, keyring=keyring, encryption_context=REQUIRED_CONTEXT)
    assert sink.getvalue() == b"hello"
    assert REQUIRED_CONTEXT.items() <= found.encryption_context.items()


@pytest.mark.parametrize("official", ["material providers"], indirect=True)
@pytest.mark.parametrize("suite", WRITABLE, ids=str)
def test_official_sdk_reads_our_message(suite, cmm, client, keyring):
    message = encrypt_bytes(
        b"hello",
        keyring=keyring,
        encryption_context=REQUIRED_CONTEXT,
        algorithm_suite=suite,
        required_encryption_context_keys=REQUIRED,
    )
    assert b"tenant" not in message
    reproduced = {name: REQUIRED_CONTEXT[name] for name in REQUIRED}
    assert client.decrypt(source=message, materials_manager=cmm, encryption_context=reproduced)[0] == b"hello"


@pytest.fixture(params=["KMS", "raw AES", "raw RSA", "KMS RSA"])
def writer(request, keyring, rsa_pair, rsa_keyring):
    return {
        "KMS": keyring,
        "raw AES": RawAesKeyring("ns", "n", wrapping_key=bytes(32)),
        "raw RSA": RawRsaKeyring("ns", "n", public_key=rsa_pair.public_key(), private_key=rsa_pair),
        "KMS RSA": rsa_keyring,
    }[request.param]


@pytest.mark.parametrize(
    "expected",
    [{}, {"tenant": "b"}, {"größe": "ü"}, REQUIRED_CONTEXT | {"more": "x"}, REQUIRED_CONTEXT | {"tenant": "b"}],
)
def test_every_pair_must_be_reproduced(expected, writer):
    message = encrypt_bytes(
        b"hello", keyring=writer, encryption_context=REQUIRED_CONTEXT, required_encryption_context_keys=REQUIRED
    )
    assert decrypt_bytes(message, keyring=writer, encryption_context=REQUIRED_CONTEXT) == b"hello"
    with pytest.raises(KmsRuntimeError) as caught:
        decrypt_bytes(message, keyring=writer, encryption_context=expected)
    assert type(caught.value) is EncryptionContextMismatch or not expected


def test_range_of_such_a_message_is_read(keyring):
    message = io.BytesIO()
    encrypt(
        io.BytesIO(b"0123456789"),
        message,
        keyring=keyring,
        encryption_context=REQUIRED_CONTEXT,
        frame_length=3,
        required_encryption_context_keys=REQUIRED,
    )
    sink = io.BytesIO()
    decrypt_range(FileRange(message), sink, start=4, length=3, keyring=keyring, encryption_context=REQUIRED_CONTEXT)
    assert sink.getvalue() == b"456"


@pytest.mark.parametrize("required", ["tenant", ["other"], ["Tenant"]])
def test_required_keys_are_names_of_the_context(required, keyring, kms):
    with pytest.raises(InvalidRequest, match="required_encryption_context_keys"):
        encrypt_bytes(
            b"", keyring=keyring, encryption_context=REQUIRED_CONTEXT, required_encryption_context_keys=required
        )
    assert kms.calls == []


@pytest.mark.parametrize("name", ["aws-crypto-public-key", "", "\ud800"])
def test_pair_that_no_message_is_bound_to_costs_no_call(name, keyring, kms):
    message = encrypt_bytes(b"hello", keyring=keyring, encryption_context=REQUIRED_CONTEXT)
    kms.calls.clear()
    with pytest.raises(EncryptionContextInvalid):
        decrypt_bytes(message, keyring=keyring, encryption_context={name: "x"})
    assert kms.calls == []
