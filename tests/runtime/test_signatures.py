"""Signatures of messages: the one length that every official SDK reads, the key as it must be, threads that end."""

import base64
import hashlib
import io
import os
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kms_runtime import AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384, decrypt, encrypt
from kms_runtime.errors import MessageAuthenticationFailed, MessageFormatError
from kms_runtime.message.signature import MessageSigner, MessageVerifier
from kms_runtime.streams import AHEAD, MessageDigest

DIGEST = hashlib.sha384(b"message").digest()


def test_every_signature_has_the_length_that_the_legacy_sdk_reads_and_verifies():
    signer = MessageSigner()
    verifier = MessageVerifier("secp384r1", signer.verification_key)
    footers = [signer.footer(DIGEST) for _ in range(60)]
    assert {(len(footer), footer[:2]) for footer in footers} == {(105, b"\x00\x67")}
    for footer in footers:
        verifier.verify(DIGEST, footer[2:])


def test_signature_of_another_message_or_key_is_refused():
    signer, other = MessageSigner(), MessageSigner()
    signature = signer.footer(DIGEST)[2:]
    for key, digest in ((signer, bytes(48)), (other, DIGEST)):
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
