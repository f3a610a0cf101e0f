"""AWS Encryption SDK message format, version 2: framed bodies under the committing suite 0x0478.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html
"""

from kms_runtime.message.context import check_context, parse_context, serialize_context
from kms_runtime.message.frames import FrameOpener, FrameSealer
from kms_runtime.message.header import EncryptedDataKey, Header, read_header, serialize_header
from kms_runtime.message.suite import SUITE_ID, MessageKeys

__all__ = [
    "SUITE_ID",
    "EncryptedDataKey",
    "FrameOpener",
    "FrameSealer",
    "Header",
    "MessageKeys",
    "check_context",
    "parse_context",
    "read_header",
    "serialize_context",
    "serialize_header",
]
