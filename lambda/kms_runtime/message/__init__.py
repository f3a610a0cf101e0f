"""AWS Encryption SDK message format: writes version 2, framed and with key commitment; reads versions 1 and 2.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html
"""

from kms_runtime.message.context import FieldReader, check_context, parse_context, serialize_context
from kms_runtime.message.frames import FrameDecryptor, FrameEncryptor
from kms_runtime.message.header import EncryptedDataKey, Header, read_header, serialize_header
from kms_runtime.message.suite import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    AlgorithmSuite,
    CommitmentPolicy,
    MessageKeys,
)

__all__ = [
    "AES_256_GCM_HKDF_SHA512_COMMIT_KEY",
    "AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384",
    "AlgorithmSuite",
    "CommitmentPolicy",
    "EncryptedDataKey",
    "FieldReader",
    "FrameDecryptor",
    "FrameEncryptor",
    "Header",
    "MessageKeys",
    "check_context",
    "parse_context",
    "read_header",
    "serialize_context",
    "serialize_header",
]
