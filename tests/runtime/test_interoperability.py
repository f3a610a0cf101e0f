"""Messages to and from AWS's official SDKs, and the strictness of their reading."""

import io
import os
from contextlib import suppress
from pathlib import Path
from zipfile import ZipFile

import pytest
from aws_cryptographic_material_providers.mpl.models import (
    CreateDefaultCryptographicMaterialsManagerInput,
    CreateRequiredEncryptionContextCMMInput,
)
from aws_encryption_sdk.identifiers import Algorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kms_runtime import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    CommitmentPolicy,
    KmsKeyring,
    KmsRuntimeError,
    RawAesKeyring,
    RawRsaKeyring,
    decrypt,
    decrypt_bytes,
    decrypt_range,
    encrypt,
    encrypt_bytes,
)
from kms_runtime.envelope import body as block
from kms_runtime.envelope.ranged import FileRange
from kms_runtime.errors import (
    CommitmentRequired,
    EncryptionContextInvalid,
    EncryptionContextMismatch,
    InvalidRequest,
    MessageAuthenticationFailed,
    MessageFormatError,
    MessageTruncated,
)
from kms_runtime.message import frames as frame_ciphers
from kms_runtime.message.suite import WRITABLE
from tests.runtime import fuzz

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


SMALL_CONTEXT = {"a": "1", "b": "2"}
PLAINTEXT = bytes(range(100))
SMALL_FRAME = 32
VERSION, SUITE, CONTEXT_AT = 0, 1, 35
CONTEXT_LENGTH = 2 + 2 + 2 * 6


@pytest.fixture
def message(keyring):
    return encrypt_bytes(PLAINTEXT, keyring=keyring, encryption_context=SMALL_CONTEXT, frame_length=SMALL_FRAME)


@pytest.fixture
def refused(keyring):
    def refuse(altered):
        sink = io.BytesIO()
        with pytest.raises(KmsRuntimeError) as caught:
            decrypt(io.BytesIO(altered), sink, keyring=keyring, encryption_context={})
        assert PLAINTEXT.startswith(sink.getvalue())
        assert len(sink.getvalue()) % SMALL_FRAME == 0
        return caught.value

    return refuse


@pytest.fixture
def refused_unseen(refused, kms):
    """Refused, and AWS KMS was not asked."""

    def refuse(altered):
        kms.calls.clear()
        error = refused(altered)
        assert kms.calls == []
        return error

    return refuse


def replaced(message, at, new):
    return message[:at] + new + message[at + len(new) :]


def test_flipping_any_bit_of_any_byte_is_refused(message, refused):
    for position in range(len(message)):
        for bit in (0, 3, 7):
            refused(replaced(message, position, bytes([message[position] ^ 1 << bit])))


def test_truncation_at_any_length_is_refused_as_truncated(message, refused):
    for length in range(len(message)):
        assert type(refused(message[:length])) is MessageTruncated


def test_bytes_after_the_final_frame_are_refused(message, refused):
    for extra in (b"\0", b"x" * 40, message):
        assert type(refused(message + extra)) is MessageFormatError


def test_bytes_after_a_full_final_frame_are_refused(keyring, refused):
    message = encrypt_bytes(PLAINTEXT[:64], keyring=keyring, encryption_context={}, frame_length=SMALL_FRAME)
    for extra in (b"\0", message):
        assert "bytes follow" in str(refused(message + extra))


def test_reordered_repeated_and_dropped_frames_are_refused(message, refused):
    body = len(message) - (3 * (SMALL_FRAME + 32) + 40 + 4)
    one, two = message[body : body + 64], message[body + 64 : body + 128]
    for frames in (two + one, one + one, one, two):
        assert "sequence number" in str(refused(message[:body] + frames + message[body + 128 :]))


def test_final_frame_alone_is_refused(message, refused):
    body = len(message) - (3 * (SMALL_FRAME + 32) + 40 + 4)
    assert "sequence number" in str(refused(message[:body] + message[-44:]))


@given(st.binary(max_size=400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_arbitrary_bytes_are_refused_with_a_typed_error(keyring, data):
    for candidate in (data, b"\x02\x04\x78" + data):
        with pytest.raises(MessageFormatError):
            decrypt_bytes(candidate, keyring=keyring, encryption_context={})


@pytest.mark.parametrize(
    ("at", "new", "reason"),
    [
        (VERSION, b"\x01", "message type 0x04; only 0x80 is defined"),
        (VERSION, b"\x03", "version 3"),
        (VERSION, b"AgR4", "Base64"),
        (SUITE, b"\x05\x78", "no aws-crypto-public-key in the encryption context of a message that is signed"),
        (SUITE, b"\x04\x79", "algorithm suite 0x0479"),
        (SUITE, b"\x01\x78", "algorithm suite 0x0178"),
        (CONTEXT_AT, b"\x00\x0f", "does not fill"),
        (CONTEXT_AT, b"\x00\x0d", "does not fill"),
        (CONTEXT_AT + 2, b"\x00\x01", "does not fill"),
        (CONTEXT_AT + 2, b"\x00\x00", "does not fill"),
        (CONTEXT_AT + 6, b"b", "a name of the encryption context is repeated"),
        (CONTEXT_AT + 6, b"\xff", "not valid UTF-8"),
        (CONTEXT_AT + CONTEXT_LENGTH, b"\x00\x00", "0 encrypted data keys; this reader accepts 1 to 20"),
        (CONTEXT_AT + CONTEXT_LENGTH, b"\xff\xff", "65535 encrypted data keys"),
        (CONTEXT_AT + CONTEXT_LENGTH + 4, b"\xff", "key provider"),
    ],
)
def test_header_field_that_the_format_does_not_allow_is_named(at, new, reason, message, refused_unseen):
    error = refused_unseen(replaced(message, at, new))
    assert type(error) is MessageFormatError
    assert reason in str(error)


def test_names_that_are_not_sorted_are_read_as_the_official_sdks_do(keyring, monkeypatch):
    def unsorted(context):
        if not context:
            return bytes(2)
        pairs = [(name.encode(), value.encode()) for name, value in sorted(context.items(), reverse=True)]
        encoded = b"".join(len(text).to_bytes(2) + text for pair in pairs for text in pair)
        return (len(encoded) + 2).to_bytes(2) + len(pairs).to_bytes(2) + encoded

    with monkeypatch.context() as changed:
        changed.setattr("kms_runtime.envelope.encrypting.serialize_context", unsorted)
        written = encrypt_bytes(b"hello", keyring=keyring, encryption_context={"a": "1", "b": "2"})
    assert written.index(b"\x00\x01b\x00\x012") < written.index(b"\x00\x01a\x00\x011")
    assert decrypt_bytes(written, keyring=keyring, encryption_context={"a": "1"}) == b"hello"


@pytest.mark.parametrize(
    ("offset", "new", "reason"),
    [
        (0, b"\x01", "frame length 32 in a message that is not framed"),
        (0, b"\x03", "content type 3; there are 1 (not framed) and 2 (framed)"),
        (1, b"\x00\x00\x00\x00", "frame length 0;"),
        (1, b"\xff\xff\xff\xff", "frame length 4294967295; this reader accepts 1 to 16777216"),
    ],
)
def test_content_type_and_frame_length_are_checked_before_any_kms_call(offset, new, reason, message, refused_unseen):
    at = message.index(b"\x02\x00\x00\x00\x20", CONTEXT_AT + CONTEXT_LENGTH) + offset
    error = refused_unseen(replaced(message, at, new))
    assert type(error) is MessageFormatError
    assert reason in str(error)


def test_frame_length_limit_is_the_callers_to_lower(message, keyring):
    with pytest.raises(MessageFormatError, match="1 to 31 bytes"):
        decrypt_bytes(message, keyring=keyring, encryption_context={}, max_frame_length=SMALL_FRAME - 1)
    assert decrypt_bytes(message, keyring=keyring, encryption_context={}, max_frame_length=SMALL_FRAME) == PLAINTEXT


def test_verification_key_in_an_unsigned_message_is_refused(keyring, monkeypatch):
    monkeypatch.setattr("kms_runtime.envelope.encrypting.check_context", lambda _: None)
    forged = encrypt_bytes(b"", keyring=keyring, encryption_context={"aws-crypto-public-key": "x"})
    with pytest.raises(MessageFormatError, match="not signed"):
        decrypt_bytes(forged, keyring=keyring, encryption_context={})


def test_key_commitment_is_checked_before_the_tag(message, refused):
    at = message.index(b"\x02\x00\x00\x00\x20", CONTEXT_AT + CONTEXT_LENGTH) + 5
    error = refused(replaced(message, at, bytes(32)))
    assert type(error) is MessageAuthenticationFailed
    assert "key commitment" in str(error)


def test_final_frame_longer_than_the_frame_length_is_refused(message, refused):
    at = len(message) - 16 - 4 - 4
    assert "more than the frame length" in str(refused(replaced(message, at, (SMALL_FRAME + 1).to_bytes(4))))


def test_too_many_frames_for_one_message_are_refused(keyring, monkeypatch):
    monkeypatch.setattr("kms_runtime.message.frames.MAX_FRAMES", 3)
    with pytest.raises(MessageFormatError, match="at most 3 frames"):
        encrypt_bytes(bytes(4 * SMALL_FRAME), keyring=keyring, encryption_context={}, frame_length=SMALL_FRAME)


def test_block_whose_tag_does_not_verify_is_wiped(monkeypatch):
    wiped = []
    monkeypatch.setattr(block, "wipe", lambda plaintext: wiped.append(bytes(plaintext)))
    cipher, iv, message_id = AESGCM(bytes(32)), bytes(12), bytes(32)
    aad = message_id + b"AWSKMSEncryptionClient Single Block" + (1).to_bytes(4) + (6).to_bytes(8)
    body = bytearray(iv + (6).to_bytes(8) + cipher.encrypt(iv, b"secret", aad))
    body[-1] ^= 1
    with pytest.raises(MessageAuthenticationFailed):
        block.read_block(io.BytesIO(body).read, cipher, message_id, limit=10)
    assert len(wiped) == 1


def test_frames_under_other_ivs_are_read_as_the_official_sdks_do(monkeypatch, keyring):
    following = frame_ciphers._FrameCipher._next

    def with_another_iv(self, length, *, final):
        aad = following(self, length, final=final)
        self._iv[:8] = b"\xff" * 8
        return aad

    monkeypatch.setattr(frame_ciphers._FrameCipher, "_next", with_another_iv)
    message = encrypt_bytes(PLAINTEXT, keyring=keyring, encryption_context=SMALL_CONTEXT, frame_length=SMALL_FRAME)
    monkeypatch.undo()
    assert b"\xff" * 8 + (2).to_bytes(4) in message
    assert decrypt_bytes(message, keyring=keyring, encryption_context=SMALL_CONTEXT) == PLAINTEXT


PATH_FRAME = 128
PATH_PLAINTEXT = os.urandom(3 * PATH_FRAME + 9)
SIGNED = AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384


@pytest.fixture
def two_keys(kms, key_arn, other_key_arn):
    return KmsKeyring(key_arn, kms_client=kms, additional_keys={other_key_arn: kms})


@pytest.fixture
def ours(keyring, two_keys, rsa_keyring):
    def make(kind):
        chosen = {"two keys": two_keys, "RSA": rsa_keyring}.get(kind, keyring)
        suite = {"algorithm_suite": SIGNED} if kind == "signed" else {}
        common = {"keyring": chosen, "encryption_context": SMALL_CONTEXT}
        return encrypt_bytes(PATH_PLAINTEXT, frame_length=PATH_FRAME, **common, **suite), chosen

    return make


@pytest.fixture
def theirs(official, forbidding_client, client, keyring):
    def make(suite_id, frame_length):
        algorithm = Algorithm.get_by_id(suite_id)
        sdk = client if algorithm.message_format_version == 2 else forbidding_client
        message, _ = sdk.encrypt(
            source=PATH_PLAINTEXT,
            encryption_context=SMALL_CONTEXT,
            algorithm=algorithm,
            frame_length=frame_length,
            **official,
        )
        return message, keyring

    return make


def check_every_flip_and_cut(message, keyring, whole_frames):
    assert attempt(message, keyring) == (None, PATH_PLAINTEXT)
    for position in range(len(message)):
        altered = bytearray(message)
        altered[position] ^= 1 << position % 8
        error, released = attempt(bytes(altered), keyring)
        assert isinstance(error, KmsRuntimeError), position
        assert released in whole_frames, position
    for length in range(len(message)):
        error, released = attempt(message[:length], keyring)
        assert type(error) is MessageTruncated, length
        assert released in whole_frames, length


def attempt(message, keyring):
    sink = io.BytesIO()
    try:
        decrypt(io.BytesIO(message), sink, keyring=keyring, encryption_context=SMALL_CONTEXT, commitment_policy=ALLOW)
    except KmsRuntimeError as error:
        return error, sink.getvalue()
    return None, sink.getvalue()


FRAMES_BUT_THE_LAST = [PATH_PLAINTEXT[: n * PATH_FRAME] for n in range(4)]


@pytest.mark.parametrize("kind", ["signed", "two keys", "RSA"])
def test_framed_messages_of_ours(kind, ours):
    check_every_flip_and_cut(*ours(kind), FRAMES_BUT_THE_LAST)


@pytest.mark.parametrize("official", ["legacy"], indirect=True)
@pytest.mark.parametrize("suite_id", [0x0478, 0x0578, 0x0014, 0x0178, 0x0214, 0x0378], ids=lambda each: f"0x{each:04X}")
@pytest.mark.parametrize("frame_length", [0, PATH_FRAME])
def test_messages_of_the_official_sdk(suite_id, frame_length, theirs):
    check_every_flip_and_cut(*theirs(suite_id, frame_length), FRAMES_BUT_THE_LAST if frame_length else [b""])


@pytest.mark.parametrize(
    ("start", "length", "frames"),
    [
        (0, 1, (1, 1)),
        (PATH_FRAME - 1, 2, (1, 2)),
        (PATH_FRAME, PATH_FRAME, (2, 2)),
        (2 * PATH_FRAME + 5, 4 * PATH_FRAME, (3, 4)),
    ],
)
def test_range_is_true_whatever_is_done_to_the_message(start, length, frames, ours):
    message, keyring = ours("unsigned")
    expected = PATH_PLAINTEXT[start : start + length]
    body = len(message) - len(PATH_PLAINTEXT) - 4 * 32 - 8
    first, last = body + (frames[0] - 1) * (PATH_FRAME + 32), body + frames[1] * (PATH_FRAME + 32)
    for position in range(len(message)):
        altered = bytearray(message)
        altered[position] ^= 1 << position % 8
        found = range_of(bytes(altered), start, length, keyring)
        assert found == (None if position < body or first <= position < last else expected), position
    for size in range(len(message)):
        assert range_of(message[:size], start, length, keyring) in (None, expected), size


def range_of(message, start, length, keyring):
    """Return the range, or None if it was refused."""
    sink = io.BytesIO()
    with suppress(KmsRuntimeError):
        source = FileRange(io.BytesIO(message))
        decrypt_range(source, sink, start=start, length=length, keyring=keyring, encryption_context=SMALL_CONTEXT)
        return sink.getvalue()
    return None


with ZipFile(Path(__file__).with_name("corpus.zip")) as packed:
    CORPUS = {name[:8]: packed.read(name) for name in sorted(packed.namelist())}


def test_corpus_is_there():
    assert len(CORPUS) > 40


@pytest.mark.parametrize("data", CORPUS.values(), ids=CORPUS)
def test_input_of_the_corpus_raises_nothing_but_a_typed_error(data):
    fuzz.check(data)
