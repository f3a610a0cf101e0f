"""The body of a message that is not framed: one block, whose plaintext is released when all of it is authenticated.

Layout: IV (12), content length (8), ciphertext, tag (16). This package reads such messages and never writes one.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kms_runtime.errors import MessageAuthenticationFailed, MessageFormatError, MessageTruncated
from kms_runtime.message.fields import FieldReader, Take
from kms_runtime.message.suite import IV_LENGTH, TAG_LENGTH, wipe

_AAD = b"AWSKMSEncryptionClient Single Block" + (1).to_bytes(4)


def read_block(take: Take, cipher: AESGCM, message_id: bytes, *, limit: int) -> tuple[bytes, bytearray]:
    """Read and authenticate the block.

    Args:
        take: Gives bytes of the source.
        cipher: AES-GCM under the message's derived key.
        message_id: The header's message id.
        limit: Largest plaintext accepted, in bytes: all of it is held in memory, twice.

    Returns:
        The bytes of the body as the signature covers them, and the plaintext.

    Raises:
        MessageFormatError: The plaintext would be larger than ``limit``.
        MessageTruncated: The message ends inside the block.
        MessageAuthenticationFailed: The block's tag does not verify.
    """
    fields = FieldReader(take)
    iv = fields.take(IV_LENGTH, "the IV of its body")
    length = fields.unsigned(8, "the length of its body")
    if length > limit:
        raise MessageFormatError(f"a body of {length} bytes that is not framed; this reader accepts {limit}")
    sealed = take(length + TAG_LENGTH)
    if len(sealed) < length + TAG_LENGTH:
        raise MessageTruncated("the message ends inside its body")
    plaintext = bytearray(length)
    try:
        cipher.decrypt_into(iv, sealed, message_id + _AAD + length.to_bytes(8), plaintext)
    except InvalidTag:
        wipe(plaintext)  # AES-GCM decrypts before it compares the tag
        raise MessageAuthenticationFailed("the tag of the body does not verify") from None
    return fields.consumed + sealed, plaintext
