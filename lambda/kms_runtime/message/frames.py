"""Frames of the message body: encrypted and decrypted in place, in buffers that are used again for every frame.

Layout of a regular frame: sequence number (4), IV (12), ciphertext, tag (16). The final frame has ``FFFFFFFF`` before
and its content length (4) between IV and ciphertext, so a regular frame's head is laid out 8 bytes shorter.
"""

from itertools import cycle
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kms_runtime.errors import MessageAuthenticationFailed, MessageFormatError, MessageTruncated
from kms_runtime.message.suite import IV_LENGTH, TAG_LENGTH

FINAL_MARK = 0xFFFFFFFF
MAX_FRAMES = 0xFFFFFFFF
REGULAR_HEAD = 4 + IV_LENGTH
FINAL_HEAD = 4 + 4 + IV_LENGTH + 4
FRAME_OVERHEAD = FINAL_HEAD + TAG_LENGTH

_REGULAR = Struct(">I12s")
_FINAL = Struct(">II12sI")
_IV = Struct(">8xI")
_COUNTERS = Struct(">IQ")
_REGULAR_AAD = b"AWSKMSEncryptionClient Frame" + bytes(_COUNTERS.size)
_FINAL_AAD = b"AWSKMSEncryptionClient Final Frame" + bytes(_COUNTERS.size)


class _FrameCipher:
    """What encryption and decryption share: the sequence number, and IV and AAD made from it.

    Args:
        cipher: AES-256-GCM under the message's derived key.
        message_id: The header's message id.
        frame_length: The header's frame length, in bytes.
    """

    def __init__(self, cipher: AESGCM, message_id: bytes, frame_length: int) -> None:
        self._cipher = cipher
        self._frame_length = frame_length
        self._sequence = 0
        self._iv = bytearray(IV_LENGTH)
        self._regular_aad = bytearray(message_id + _REGULAR_AAD)
        self._final_aad = bytearray(message_id + _FINAL_AAD)

    def _next(self, length: int, *, final: bool) -> bytearray:
        """Advance to the next frame, set its IV and return its additional authenticated data."""
        if self._sequence == MAX_FRAMES:
            raise MessageFormatError(f"a message has at most {MAX_FRAMES} frames: use a larger frame length")
        self._sequence += 1
        _IV.pack_into(self._iv, 0, self._sequence)
        aad = self._final_aad if final else self._regular_aad
        _COUNTERS.pack_into(aad, len(aad) - _COUNTERS.size, self._sequence, length)
        return aad


class FrameEncryptor(_FrameCipher):
    """Encrypts plaintext into one frame after the other; the first arguments are those of the base.

    Args:
        capacity: Largest plaintext of a frame; smaller than the frame length for a short message.
        buffers: How many frames are kept: a frame is overwritten after that many calls.
    """

    def __init__(
        self, cipher: AESGCM, message_id: bytes, frame_length: int, capacity: int, *, buffers: int = 1
    ) -> None:
        super().__init__(cipher, message_id, frame_length)
        frames = [memoryview(bytearray(FINAL_HEAD + capacity + TAG_LENGTH)) for _ in range(buffers)]
        self._frames = cycle(frames)

    def encrypt(self, plaintext: memoryview, *, final: bool) -> memoryview:
        """Return the frame for ``plaintext``."""
        length, memory = len(plaintext), next(self._frames)
        aad = self._next(length, final=final)
        start = 0 if final else FINAL_HEAD - REGULAR_HEAD
        end = FINAL_HEAD + length + TAG_LENGTH
        if final:
            _FINAL.pack_into(memory, start, FINAL_MARK, self._sequence, self._iv, length)
        else:
            _REGULAR.pack_into(memory, start, self._sequence, self._iv)
        self._cipher.encrypt_into(self._iv, plaintext, aad, memory[FINAL_HEAD:end])
        return memory[start:end]


class FrameDecryptor(_FrameCipher):
    """Decrypts one frame after the other and gives out authenticated plaintext only; see the base.

    Args:
        plaintext: Receives each frame's plaintext, and is used again for the next.
        first: Sequence number of the first frame that is decrypted.
    """

    def __init__(
        self, cipher: AESGCM, message_id: bytes, frame_length: int, plaintext: memoryview, *, first: int = 1
    ) -> None:
        super().__init__(cipher, message_id, frame_length)
        self._plaintext = plaintext
        self._sequence = first - 1

    def decrypt(self, buffered: memoryview) -> tuple[int, memoryview, bool]:
        """Decrypt the frame at the start of ``buffered``, which holds a whole frame unless the source has ended.

        Returns:
            Bytes consumed, the plaintext (valid until the next call), and whether this was the final frame.

        Raises:
            MessageTruncated: ``buffered`` ends inside the frame.
            MessageFormatError: The frame is out of sequence, or its length is not what the format asks for.
            MessageAuthenticationFailed: The frame's tag does not verify.
        """
        final = self._is_final(buffered)
        head, length = FINAL_HEAD if final else REGULAR_HEAD, self._frame_length
        if final:
            length = self._final_length(buffered)
        aad = self._next(length, final=final)
        end = head + length + TAG_LENGTH
        self._check_head(buffered, length, final=final)
        if len(buffered) < end:
            raise MessageTruncated(f"the message ends inside frame {self._sequence}")
        plaintext = self._plaintext[:length]
        try:
            self._cipher.decrypt_into(self._iv, buffered[head:end], aad, plaintext)
        except InvalidTag:
            raise MessageAuthenticationFailed(f"the tag of frame {self._sequence} does not verify") from None
        return end, plaintext, final

    def _is_final(self, buffered: memoryview) -> bool:
        if len(buffered) < REGULAR_HEAD:
            raise MessageTruncated(f"the message ends after {self._sequence} frames, without its final frame")
        return int.from_bytes(buffered[:4]) == FINAL_MARK

    def _final_length(self, buffered: memoryview) -> int:
        if len(buffered) < FINAL_HEAD:
            raise MessageTruncated("the message ends inside the head of its final frame")
        length = int.from_bytes(buffered[FINAL_HEAD - 4 : FINAL_HEAD])
        if length > self._frame_length:
            raise MessageFormatError(f"the final frame holds {length} bytes, more than the frame length")
        return length

    def _check_head(self, buffered: memoryview, length: int, *, final: bool) -> None:
        """Take the frame's IV, and compare the rest of its head with the only one that the format allows here."""
        # Writers need not take the sequence number for the IV, and not all did; the tag verifies under no other IV.
        start = 8 if final else 4
        self._iv[:] = buffered[start : start + IV_LENGTH]
        if final:
            expected = _FINAL.pack(FINAL_MARK, self._sequence, self._iv, length)
        else:
            expected = _REGULAR.pack(self._sequence, self._iv)
        if buffered[: len(expected)] != expected:
            raise MessageFormatError(f"frame {self._sequence} does not carry its own sequence number")
