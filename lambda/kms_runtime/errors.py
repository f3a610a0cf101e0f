"""Every refusal of the data plane, as a typed error whose class name is its code.

AWS Lambda reports the *class name* of an exception as ``errorType``, so callers, alarms and dead-letter queues see the
same code as Python code does. Where AWS KMS has a name for an error, that name is used.

See https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html
"""


class KmsRuntimeError(Exception):
    """Base of every refusal raised by ``kms_runtime``.

    Args:
        message: What was refused and what is allowed. Never holds plaintext or key material.
        operation: The AWS operation that refused (``"Decrypt"``), or None if the request was refused before any call.
    """

    def __init__(self, message: str, *, operation: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation

    @property
    def code(self) -> str:
        """The error's code: the class name."""
        return type(self).__name__


class InvalidRequest(KmsRuntimeError):
    """The request is not what the documented JSON Schema or the function's configuration allows."""


class FunctionMisconfigured(KmsRuntimeError):
    """An environment variable of the Lambda function is missing or not of the expected form."""


class PlaintextEmpty(KmsRuntimeError):
    """AWS KMS Encrypt needs at least one byte of plaintext."""


class PlaintextTooLarge(KmsRuntimeError):
    """AWS KMS Encrypt takes at most 4096 bytes of plaintext under a symmetric key."""


class MessageTooLarge(KmsRuntimeError):
    """AWS KMS signs at most 4096 bytes as they are; the algorithm takes no digest of a longer message."""


class AttestationInvalid(KmsRuntimeError):
    """The bytes are not a DSSE envelope around one in-toto statement, or not in a form that this reader accepts."""


class ArtifactMismatch(KmsRuntimeError):
    """The statement is genuine, and about another artifact: another digest, another name."""


class EncryptionContextInvalid(KmsRuntimeError):
    """The encryption context cannot be written into a message: a reserved name, or too large."""


class EncryptionContextMismatch(KmsRuntimeError):
    """The ciphertext was made under another encryption context than the caller expects."""


class EncryptionContextRequired(KmsRuntimeError):
    """A pair that the function's configuration requires is missing from the encryption context."""


class PublicKeyInvalid(KmsRuntimeError):
    """The bytes or the document are not a public key that this package can use, or its parts disagree."""


class KeyPairSpecNotAllowed(KmsRuntimeError):
    """The function makes data key pairs of other specs only."""


class PeerNotAllowed(KmsRuntimeError):
    """The function agrees on keys with other parties only."""


class MessageFormatError(KmsRuntimeError):
    """The bytes are not an AWS Encryption SDK message that this reader accepts."""


class CommitmentRequired(MessageFormatError):
    """The message does not commit to its key, and the commitment policy requires that."""


class MessageTruncated(MessageFormatError):
    """The message ends before its final frame is complete."""


class MessageAuthenticationFailed(KmsRuntimeError):
    """A tag or the key commitment does not verify: the message was altered, or belongs to another data key."""


class RangeNotSatisfiable(KmsRuntimeError):
    """The byte range that was asked for lies beyond the end of the plaintext."""


class SourceNotReadable(KmsRuntimeError):
    """Amazon S3 returned 403 or 404 for reading the source object."""


class SourceChanged(KmsRuntimeError):
    """The source object was replaced while it was being read."""


class DestinationNotOurs(KmsRuntimeError):
    """There is an object at the destination that no bulk run wrote, and it stays as it is."""


class SourceCorrupted(KmsRuntimeError):
    """The bytes received of the source object do not match the checksum that Amazon S3 keeps of it."""


class SourceInterrupted(KmsRuntimeError):
    """The stream of the source object broke more often than the retry limit allows."""


class DestinationNotWritable(KmsRuntimeError):
    """Amazon S3 returned 403 or 404 for writing the destination object."""


class ObjectTooLarge(KmsRuntimeError):
    """The object exceeds what one multipart upload can hold."""


class RecordsFailed(KmsRuntimeError):
    """At least one record of an S3 notification failed; the message names each with its code."""


class ObjectsFailed(KmsRuntimeError):
    """At least one object of a batch or run failed.

    The message of a batch is JSON, with each failure by its place; that of a run names its report.
    """


class TokenRefused(KmsRuntimeError):
    """Base of every refusal of a token that a caller presents."""


class TokenMalformed(TokenRefused):
    """The text is not a signed token in compact form as this package issues them."""


class TokenTooLarge(TokenRefused):
    """The token is larger than AWS KMS signs in one piece: its header and claims take at most 4096 bytes."""


class TokenAlgorithmRefused(TokenRefused):
    """The token names no algorithm, or another one than its key is for."""


class TokenKeyUnknown(TokenRefused):
    """No key of the key set has the key id that the token names."""


class TokenSignatureInvalid(TokenRefused):
    """The signature or the authentication code is not that of the token under the key."""


class TokenExpired(TokenRefused):
    """The token's ``exp`` has passed, allowing for clock skew."""


class TokenNotYetValid(TokenRefused):
    """The token's ``nbf`` or ``iat`` lies in the future, allowing for clock skew."""


class TokenIssuerMismatch(TokenRefused):
    """The token was issued by another issuer than expected."""


class TokenAudienceMismatch(TokenRefused):
    """The token is for another audience."""


class TokenClaimMissing(TokenRefused):
    """A required claim is missing."""


class TokenKeySetInvalid(KmsRuntimeError):
    """The document is not a JSON Web Key Set that tokens can be verified with."""


class PublicKeysNotPublished(KmsRuntimeError):
    """At least one public key could not be published; the message names each with its code."""


class ServiceUnreachable(KmsRuntimeError):
    """No response from AWS after the client's retries."""
