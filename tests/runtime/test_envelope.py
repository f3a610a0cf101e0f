"""Envelope encryption of streams and bytes, with and without a signature of the message."""

import base64
import hashlib
import io
import os
import threading
import tracemalloc

import pytest
from aws_encryption_sdk.identifiers import Algorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kms_runtime import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    MessageResult,
    decrypt,
    decrypt_bytes,
    decrypt_range,
    encrypt,
    encrypt_bytes,
)
from kms_runtime import AES_256_GCM_HKDF_SHA512_COMMIT_KEY as SUITE
from kms_runtime.envelope.ranged import FileRange
from kms_runtime.errors import (
    EncryptionContextInvalid,
    EncryptionContextMismatch,
    InvalidRequest,
    MessageAuthenticationFailed,
    MessageFormatError,
    MessageTruncated,
    RangeNotSatisfiable,
    SourceChanged,
)
from kms_runtime.message import FieldReader, FrameEncryptor, MessageKeys, serialize_context, serialize_header
from kms_runtime.message.signature import MessageSigner, MessageVerifier
from kms_runtime.s3 import read_ahead as module
from kms_runtime.s3.read_ahead import PIECE, PIECES, WORTH_A_THREAD, ReadAhead, read_ahead
from kms_runtime.streams import AHEAD, SMALL, MessageDigest, filler, taker

CONTEXT = {"tenant": "a", "file": "b"}
FRAME = 32

names = st.text(min_size=1, max_size=20).filter(lambda name: not name.startswith("aws-crypto-"))
texts = names.filter(lambda text: all(not 0xD800 <= ord(char) < 0xE000 for char in text))
fixtures_are_stateless = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@fixtures_are_stateless
@given(
    plaintext=st.binary(max_size=300),
    context=st.dictionaries(texts, texts, max_size=5),
    frame_length=st.integers(min_value=1, max_value=100),
)
@example(plaintext=b"", context={"Tenant": "a", "tenant": "b"}, frame_length=1)  # two names for AWS KMS
def test_what_was_encrypted_is_decrypted(plaintext, context, frame_length, keyring):
    source, message, restored = io.BytesIO(plaintext), io.BytesIO(), io.BytesIO()
    made = encrypt(source, message, keyring=keyring, encryption_context=context, frame_length=frame_length)
    back = decrypt(io.BytesIO(message.getvalue()), restored, keyring=keyring, encryption_context=context)
    assert restored.getvalue() == plaintext
    assert made == back
    assert made == MessageResult(len(plaintext), len(message.getvalue()), context, keyring.key_arn, 0x0478)
    assert decrypt_bytes(message.getvalue(), keyring=keyring, encryption_context=context) == plaintext


@pytest.mark.parametrize("suite", [SUITE, AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384])
@pytest.mark.parametrize("frame_length", [SMALL - 1, SMALL, SMALL + 1, 8 * SMALL])
@pytest.mark.parametrize("size", [SMALL - 1, SMALL, SMALL + 1, 3 * SMALL])
def test_stream_about_as_long_as_its_first_read_comes_back(size, frame_length, suite, keyring):
    plaintext, message, found = os.urandom(size), io.BytesIO(), io.BytesIO()
    common = {"keyring": keyring, "encryption_context": {}}
    encrypt(io.BytesIO(plaintext), message, algorithm_suite=suite, frame_length=frame_length, **common)
    decrypt(io.BytesIO(message.getvalue()), found, **common)
    assert found.getvalue() == plaintext
    assert decrypt_bytes(message.getvalue(), **common) == plaintext


def test_small_stream_takes_no_memory_for_a_whole_frame(keyring):
    message, common = io.BytesIO(), {"keyring": keyring, "encryption_context": {}}
    encrypt(io.BytesIO(b"x"), message, **common)
    tracemalloc.start()
    try:
        encrypt(io.BytesIO(b"x"), io.BytesIO(), **common)
        decrypt(io.BytesIO(message.getvalue()), io.BytesIO(), **common)
        assert tracemalloc.get_traced_memory()[1] < 4 * SMALL
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 2 * FRAME + 1])
def test_last_full_frame_is_the_final_frame(size, keyring):
    message = encrypt_bytes(bytes(size), keyring=keyring, encryption_context={}, frame_length=FRAME)
    empty = encrypt_bytes(b"", keyring=keyring, encryption_context={}, frame_length=FRAME)
    frames = max(1, -(-size // FRAME))
    assert len(message) - len(empty) == size + (frames - 1) * 32


def test_streams_may_give_and_take_a_few_bytes_at_a_time(keyring):
    class Dribble(io.RawIOBase):
        def __init__(self, data=b""):
            self.data = io.BytesIO(data)

        def readinto(self, buffer):
            return self.data.readinto(memoryview(buffer)[:7])

        def write(self, data):
            return self.data.write(bytes(data[:5]))

    plaintext = os.urandom(1000)
    message, restored = Dribble(), Dribble()
    encrypt(Dribble(plaintext), message, keyring=keyring, encryption_context={}, frame_length=FRAME)
    decrypt(Dribble(message.data.getvalue()), restored, keyring=keyring, encryption_context={})
    assert restored.data.getvalue() == plaintext


def test_source_without_readinto_is_read(keyring):
    class Reader:
        def __init__(self, data):
            self.read = io.BytesIO(data).read

    message = io.BytesIO()
    encrypt(Reader(b"hello"), message, keyring=keyring, encryption_context={})
    assert decrypt_bytes(message.getvalue(), keyring=keyring, encryption_context={}) == b"hello"


@pytest.mark.parametrize("method", ["read", "readinto"])
def test_non_blocking_source_without_data_is_not_taken_for_an_empty_one(method, keyring):
    source = type("NonBlocking", (), {method: lambda *_: None})()
    with pytest.raises(BlockingIOError):
        encrypt(source, io.BytesIO(), keyring=keyring, encryption_context={})


def test_one_kms_call_each_way_with_the_messages_whole_context(keyring, kms, key_arn):
    message = encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT)
    decrypt_bytes(message, keyring=keyring, encryption_context={"tenant": "a"})
    (generated, request), (decrypted, second) = kms.calls
    assert (generated, decrypted) == ("GenerateDataKey", "Decrypt")
    assert request == {"KeyId": key_arn, "KeySpec": "AES_256", "EncryptionContext": CONTEXT}
    assert (second["KeyId"], second["EncryptionContext"]) == (key_arn, CONTEXT)


@pytest.mark.parametrize("expected", [{"tenant": "b"}, {"tenant": "b", "other": "x"}, {"Tenant": "a"}])
def test_different_expected_pair_is_refused_before_any_kms_call(expected, keyring, kms):
    message = encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT)
    kms.calls.clear()
    with pytest.raises(EncryptionContextMismatch, match="AWS KMS was not called"):
        decrypt_bytes(message, keyring=keyring, encryption_context=expected)
    assert kms.calls == []


def test_missing_expected_pair_is_refused_by_what_the_message_is_bound_to(keyring, kms):
    message = encrypt_bytes(b"hello", keyring=keyring, encryption_context=CONTEXT)
    kms.calls.clear()
    with pytest.raises(EncryptionContextMismatch, match="lacks the expected other"):
        decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT | {"other": "x"})
    assert [request["EncryptionContext"] for _, request in kms.calls] == [CONTEXT | {"other": "x"}]


@pytest.mark.parametrize(
    "context",
    [
        {"aws-crypto-public-key": "x"},
        {"aws-crypto-": "x"},
        {"": "x"},
        {"x": ""},
        {"x": 1},
        {"x": "\ud800"},
        {"x": "y" * (65_535 - 2 - 4)},
    ],
)
def test_context_that_cannot_be_written_is_refused_before_any_kms_call(context, keyring, kms):
    with pytest.raises(EncryptionContextInvalid):
        encrypt_bytes(b"hello", keyring=keyring, encryption_context=context)
    assert kms.calls == []


def test_largest_context_round_trips(keyring):
    context = {"x": "y" * (65_535 - 2 - 4 - 1)}
    message = encrypt_bytes(b"hello", keyring=keyring, encryption_context=context)
    assert decrypt_bytes(message, keyring=keyring, encryption_context=context) == b"hello"


@pytest.mark.parametrize("frame_length", [-1, 0, 16 * 1024 * 1024 + 1])
def test_frame_length_out_of_range_is_refused_before_any_kms_call(frame_length, keyring, kms):
    with pytest.raises(InvalidRequest, match=f"frame length {frame_length}; 1 to 16777216"):
        encrypt_bytes(b"hello", keyring=keyring, encryption_context={}, frame_length=frame_length)
    assert kms.calls == []


def test_only_whole_authenticated_frames_reach_the_sink(keyring):
    plaintext = os.urandom(10 * FRAME)
    message = encrypt_bytes(plaintext, keyring=keyring, encryption_context={}, frame_length=FRAME)
    sink = io.BytesIO()
    with pytest.raises(MessageTruncated):
        decrypt(io.BytesIO(message[:-100]), sink, keyring=keyring, encryption_context={})
    assert sink.getvalue() == plaintext[: len(sink.getvalue())]
    assert len(sink.getvalue()) % FRAME == 0


def test_messages_of_the_same_plaintext_share_nothing(keyring):
    first, second = (encrypt_bytes(bytes(64), keyring=keyring, encryption_context={}) for _ in range(2))
    assert first[3:35] != second[3:35]
    assert first[-80:] != second[-80:]


RANGE_CONTEXT = {"tenant": "a"}
RANGE_FRAME = 50


class Watched(FileRange):
    """Remembers which ranges were opened."""

    def __init__(self, message):
        super().__init__(io.BytesIO(message))
        self.opened = []

    def open_range(self, start, end):
        self.opened.append((start, end))
        return super().open_range(start, end)


@pytest.fixture
def range_read(keyring):
    def call(message, start, length, **options):
        sink, source = io.BytesIO(), Watched(message)
        arguments = {"keyring": keyring, "encryption_context": RANGE_CONTEXT} | options
        result = decrypt_range(source, sink, start=start, length=length, **arguments)
        assert result.plaintext_bytes == len(sink.getvalue())
        return sink.getvalue(), source.opened

    return call


@pytest.fixture
def message_of(keyring):
    def make(plaintext, **options):
        return encrypt_bytes(
            plaintext, keyring=keyring, encryption_context=RANGE_CONTEXT, frame_length=RANGE_FRAME, **options
        )

    return make


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(size=st.integers(1, 260), start=st.integers(0, 259), length=st.integers(1, 300))
def test_range_is_the_slice(size, start, length, message_of, range_read):
    plaintext = os.urandom(size)
    if start < size:
        assert range_read(message_of(plaintext), start, length)[0] == plaintext[start : start + length]
    else:
        with pytest.raises(RangeNotSatisfiable, match=f"byte {start} of a plaintext of {size} bytes"):
            range_read(message_of(plaintext), start, length)


def test_only_the_header_and_the_frames_of_the_range_are_read_with_one_kms_call(
    message_of, range_read, kms, monkeypatch
):
    monkeypatch.setattr("kms_runtime.envelope.ranged._HEADER_WINDOW", 100)
    message = message_of(os.urandom(20 * RANGE_FRAME))
    header = len(message) - 20 * (RANGE_FRAME + 32) - 8
    kms.calls.clear()
    _, opened = range_read(message, 3 * RANGE_FRAME + 7, RANGE_FRAME)
    windows = [(at, at + 100) for at in range(0, header, 100)]
    assert opened == [*windows, (header + 3 * (RANGE_FRAME + 32), header + 5 * (RANGE_FRAME + 32))]
    assert kms.operations == ["Decrypt"]


@pytest.fixture
def with_empty_final_frame(keyring):
    """A message whose last full frame is a regular one, as some official SDKs write it."""
    data_key, message_id = keyring.generate_data_key(RANGE_CONTEXT), bytes(32)
    keys = MessageKeys.derive(SUITE, data_key.plaintext, message_id)
    body = serialize_header(
        suite=SUITE,
        message_id=message_id,
        context=serialize_context(RANGE_CONTEXT),
        encrypted_data_keys=data_key.encrypted,
        frame_length=RANGE_FRAME,
        commitment=keys.commitment,
    )
    encryptor = FrameEncryptor(keys.cipher, message_id, RANGE_FRAME, RANGE_FRAME, buffers=2)
    frames = (
        encryptor.encrypt(memoryview(bytes(RANGE_FRAME)), final=False),
        encryptor.encrypt(memoryview(b""), final=True),
    )
    return b"".join((body, keys.header_tag(body), *frames))


def test_range_beyond_the_end_opens_the_final_frame_even_if_it_is_empty(with_empty_final_frame, range_read):
    assert range_read(with_empty_final_frame, 10, RANGE_FRAME)[0] == bytes(RANGE_FRAME - 10)
    forged = bytearray(with_empty_final_frame)
    forged[-1] ^= 1
    assert range_read(forged, 10, RANGE_FRAME - 10)[0] == bytes(RANGE_FRAME - 10)
    with pytest.raises(MessageAuthenticationFailed, match="frame 2"):
        range_read(forged, 10, RANGE_FRAME - 9)


@pytest.mark.parametrize(("start", "length"), [(-1, 1), (0, 0), (0, -5)])
def test_what_is_not_a_range_is_refused(start, length, message_of, range_read, kms):
    message = message_of(b"hello")
    kms.calls.clear()
    with pytest.raises(InvalidRequest, match=f"{length} bytes from byte {start}"):
        range_read(message, start, length)
    assert kms.calls == []


def test_wrong_context_and_start_beyond_the_end_cost_no_kms_call(message_of, range_read, kms):
    message = message_of(b"hello")
    kms.calls.clear()
    with pytest.raises(EncryptionContextMismatch):
        range_read(message, 0, 1, encryption_context={"tenant": "b"})
    with pytest.raises(RangeNotSatisfiable):
        range_read(message, 5, 1)
    assert kms.calls == []


def test_signed_message_is_refused(message_of, range_read):
    message = message_of(b"hello", algorithm_suite=AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384)
    with pytest.raises(InvalidRequest, match="signature covers every byte"):
        range_read(message, 0, 1)


@pytest.mark.parametrize("official", ["legacy"], indirect=True)
def test_message_that_is_not_framed_is_refused(official, client, range_read):
    algorithm = Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY
    message, _ = client.encrypt(
        source=b"hello", encryption_context=RANGE_CONTEXT, algorithm=algorithm, frame_length=0, **official
    )
    with pytest.raises(InvalidRequest, match="not framed"):
        range_read(message, 0, 1)


def test_regular_frame_where_the_size_says_final_is_refused(message_of, range_read):
    message = message_of(os.urandom(3 * RANGE_FRAME))
    header = len(message) - 3 * (RANGE_FRAME + 32) - 8
    # Cut so that the size is that of two frames: the second is a whole regular one, its last 8 bytes garbage.
    with pytest.raises(MessageFormatError, match="frame 2"):
        range_read(message[: header + 2 * (RANGE_FRAME + 32) + 8], RANGE_FRAME, RANGE_FRAME)


def test_empty_file_is_truncated(range_read):
    with pytest.raises(MessageTruncated):
        range_read(b"", 0, 1)


DATA = os.urandom(PIECE) * 5


class Slow:
    """Gives ``data`` in odd amounts and counts what was taken."""

    def __init__(self, data, *, error=None):
        self.data, self.position, self.error = memoryview(data), 0, error
        self.size = len(data)
        self.read_enough = threading.Event()

    def readinto(self, buffer):
        taken = min(len(buffer), 100_003, len(self.data) - self.position)
        if not taken and self.error:
            raise self.error
        buffer[:taken] = self.data[self.position : self.position + taken]
        self.position += taken
        if self.position >= PIECES * PIECE:
            self.read_enough.set()
        return taken


def read_all(source):
    fill, out = filler(source), bytearray()
    buffer = bytearray(99_991)
    while got := fill(memoryview(buffer)):
        out += buffer[:got]
    return bytes(out)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, len(DATA)])
def test_every_byte_arrives_in_order_and_the_end_is_the_end(size):
    with ReadAhead(Slow(DATA[:size])) as ahead:
        assert read_all(ahead) == DATA[:size]
        assert ahead.readinto(memoryview(bytearray(1))) == 0
        assert ahead.read(1) == b""
    assert threads() == []


def test_small_reads_and_large_ones_may_alternate():
    with ReadAhead(Slow(DATA)) as ahead:
        take = taker(ahead)
        assert take(3) == DATA[:3]
        assert read_all(ahead) == DATA[3:]


def test_reads_while_nobody_asks_but_no_more_than_the_pieces_hold():
    source = Slow(DATA)
    with ReadAhead(source) as ahead:
        assert source.read_enough.wait(10)
        assert source.position == PIECES * PIECE
        assert ahead.read(1) == DATA[:1]
        assert source.position == PIECES * PIECE
    assert source.position == PIECES * PIECE


def test_error_of_the_source_is_raised_where_its_bytes_are_asked_for():
    with ReadAhead(Slow(DATA[: PIECE + 5], error=SourceChanged("replaced"))) as ahead:
        assert taker(ahead)(PIECE) == DATA[:PIECE]
        with pytest.raises(SourceChanged, match="replaced"):
            ahead.read(1)
        assert ahead.read(1) == b""
    assert threads() == []


def test_closing_early_stops_the_thread_and_wipes_what_was_read(monkeypatch):
    wiped = []
    monkeypatch.setattr(module, "wipe", lambda piece: wiped.append(len(piece)))
    with ReadAhead(Slow(DATA)) as ahead:
        ahead.read(1)
    assert threads() == []
    assert wiped == [PIECE] * PIECES


def test_small_object_is_read_without_a_thread():
    small, large = Slow(DATA[:WORTH_A_THREAD]), Slow(DATA[: WORTH_A_THREAD + 1])
    with read_ahead(small) as source:
        assert source is small
    with read_ahead(large) as source:
        assert isinstance(source, ReadAhead)


AHEAD_CONTEXT = {"tenant": "a"}
SUITES = [AES_256_GCM_HKDF_SHA512_COMMIT_KEY, AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384]


class Dribble(io.RawIOBase):
    """Gives ``amount`` bytes at a time."""

    def __init__(self, data, amount):
        self.data, self.amount = io.BytesIO(data), amount

    def readable(self):
        return True

    def readinto(self, buffer):
        return self.data.readinto(memoryview(buffer)[: self.amount])


SOURCES = [
    io.BytesIO,
    lambda data: io.BufferedReader(io.BytesIO(data)),
    *(lambda data, amount=amount: Dribble(data, amount) for amount in (1, 7, 2047, 2048, 2049)),
]


def ahead_read(message, keyring, source):
    sink = io.BytesIO()
    result = decrypt(source(message), sink, keyring=keyring, encryption_context=AHEAD_CONTEXT)
    return sink.getvalue(), result


@pytest.mark.parametrize("suite", SUITES, ids=str)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("frame_length", [1, 40, 2048])
def test_body_of_any_frames_is_read_whole_from_any_source(frame_length, source, suite, keyring):
    for size in (0, 1, frame_length, 700, 5000):
        plaintext = os.urandom(min(size, 300 * frame_length))
        options = {"frame_length": frame_length, "algorithm_suite": suite}
        message = encrypt_bytes(plaintext, keyring=keyring, encryption_context=AHEAD_CONTEXT, **options)
        found, result = ahead_read(message, keyring, source)
        assert found == plaintext
        assert (result.plaintext_bytes, result.ciphertext_bytes) == (len(plaintext), len(message))
        with pytest.raises(MessageFormatError, match="bytes follow the end"):
            ahead_read(message + b"x", keyring, source)
        with pytest.raises(MessageTruncated):
            ahead_read(message[:-1], keyring, source)


def test_reader_takes_no_more_from_the_source_than_it_was_told_to_take_ahead():
    data = io.BytesIO(bytes(range(100)))
    fields = FieldReader(data.read, ahead=10)
    assert fields.take(3, "a") == bytes([0, 1, 2])
    assert (data.tell(), fields.rest, fields.consumed) == (10, bytes(range(3, 10)), bytes([0, 1, 2]))
    assert fields.take(20, "b") == bytes(range(3, 23))
    assert (data.tell(), fields.rest, fields.position) == (23, b"", 23)
    exact = FieldReader(data.read)
    assert (exact.unsigned(2, "c"), data.tell()) == (23 * 256 + 24, 25)
    with pytest.raises(MessageTruncated, match="the message ends after 77 bytes, inside the field"):
        exact.take(100, "the field")


def test_block_whose_length_field_or_content_is_cut_is_truncated():
    for cut in (b"", b"\x00", b"\x00\x05", b"\x00\x05abcd"):
        with pytest.raises(MessageTruncated, match=f"after {len(cut)} bytes, inside the block"):
            FieldReader(io.BytesIO(cut).read, ahead=64).block("the block")


MESSAGE_DIGEST = hashlib.sha384(b"message").digest()


def test_every_signature_has_the_length_that_the_legacy_sdk_reads_and_verifies():
    signer = MessageSigner()
    verifier = MessageVerifier("secp384r1", signer.verification_key)
    footers = [signer.footer(MESSAGE_DIGEST) for _ in range(60)]
    assert {(len(footer), footer[:2]) for footer in footers} == {(105, b"\x00\x67")}
    for footer in footers:
        verifier.verify(MESSAGE_DIGEST, footer[2:])


def test_signature_of_another_message_or_key_is_refused():
    signer, other = MessageSigner(), MessageSigner()
    signature = signer.footer(MESSAGE_DIGEST)[2:]
    for key, digest in ((signer, bytes(48)), (other, MESSAGE_DIGEST)):
        with pytest.raises(MessageAuthenticationFailed, match="signature"):
            MessageVerifier("secp384r1", key.verification_key).verify(digest, signature)


def points():
    public = ec.generate_private_key(ec.SECP384R1()).public_key()
    yield "no Base64!"
    yield base64.b64encode(public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)).decode()
    yield base64.b64encode(b"\x02" + b"\xff" * 48).decode()
    yield base64.b64encode(b"\x05" + bytes(48)).decode()
    yield ""


@pytest.mark.parametrize(
    "text", list(points()), ids=["text", "uncompressed", "not on the curve", "unknown form", "empty"]
)
def test_verification_key_must_be_a_compressed_point(text):
    with pytest.raises(MessageFormatError, match="verification key"):
        MessageVerifier("secp384r1", text)


@pytest.mark.parametrize("size", [10, 256 * 1024])
def test_hash_is_the_same_with_and_without_a_thread(size):
    blocks = [os.urandom(size) for _ in range(20)]
    with MessageDigest("secp384r1", size) as digest:
        for block in blocks:
            digest.update(block)
        assert digest.finish() == hashlib.sha384(b"".join(blocks)).digest()


@pytest.mark.timeout(60)
def test_large_signed_message_comes_back_and_leaves_no_thread_even_if_it_fails(keyring):
    suite, plaintext = AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384, os.urandom(3_000_000)
    before, message, restored = threading.active_count(), io.BytesIO(), io.BytesIO()
    encrypt(io.BytesIO(plaintext), message, keyring=keyring, encryption_context={}, algorithm_suite=suite)
    decrypt(io.BytesIO(message.getvalue()), restored, keyring=keyring, encryption_context={})
    assert restored.getvalue() == plaintext
    altered = bytearray(message.getvalue())
    altered[1_500_000] ^= 1
    with pytest.raises(MessageAuthenticationFailed):
        decrypt(io.BytesIO(altered), io.BytesIO(), keyring=keyring, encryption_context={})
    broken = type("Full", (), {"write": lambda *_: 1 / 0})()
    with pytest.raises(ZeroDivisionError):
        encrypt(io.BytesIO(plaintext), broken, keyring=keyring, encryption_context={}, algorithm_suite=suite)
    assert threading.active_count() == before


@pytest.mark.timeout(30)
def test_error_of_the_hashing_thread_is_raised_and_blocks_nobody():
    class Broken:
        def update(self, _):
            raise MemoryError("no memory")

    with MessageDigest("secp384r1", 256 * 1024) as digest:
        digest._hash = Broken()
        for _ in range(AHEAD + 2):
            digest.update(b"block")
        with pytest.raises(MemoryError, match="no memory"):
            digest.finish()
