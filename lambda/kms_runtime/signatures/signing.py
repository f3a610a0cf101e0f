"""Signatures by a key that never leaves AWS KMS, verified there or, without any call, with the public key.

What is accepted is what the algorithm's standard allows and no more: RSASSA-PSS with a salt of the digest's length;
ECDSA in strict DER, with a high s as well as a low one (AWS KMS makes both); Ed25519 with S below the group's order.

See https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
"""

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature

from kms_runtime.aws_errors import KMSInvalidSignatureException
from kms_runtime.errors import InvalidRequest
from kms_runtime.key_arn import call_kms
from kms_runtime.signatures.signing_messages import SigningInput, of_digest, of_message, of_stream
from kms_runtime.signatures.verifying_keys import check_for
from kms_runtime.signing_algorithms import RAW, signing_algorithm
from kms_runtime.streams import Source

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

    from kms_runtime.signatures.verifying_keys import VerifyingKey

SIGNATURE_LIMIT = 6144
"""Bytes that AWS KMS Verify takes as a signature."""


def sign(
    message: bytes, *, key_arn: str, algorithm: str, kms_client: "KMSClient", public_key: "VerifyingKey | None" = None
) -> bytes:
    """Return the signature of ``message``: one call.

    Up to 4096 bytes are sent as they are, more as a digest; both are verified in the same way.

    Args:
        message: Any length; 1 to 4096 bytes with ED25519_SHA_512.
        key_arn: ARN of the key.
        algorithm: One that the key has, such as ``ECDSA_SHA_256``.
        kms_client: A ``boto3.client("kms")``.
        public_key: The key's public half; needed with ML-DSA for more than 4096 bytes only.

    Raises:
        MessageTooLarge: More than 4096 bytes for an algorithm that takes no digest; AWS KMS is not called.
        InvalidRequest: The algorithm is unknown or the message empty; AWS KMS is not called.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    ready = of_message(message, signing_algorithm(algorithm), public_key)
    return sign_input(ready, key_arn=key_arn, algorithm=algorithm, kms_client=kms_client)


def sign_digest(digest: bytes, *, key_arn: str, algorithm: str, kms_client: "KMSClient") -> bytes:
    """Return the signature of the message that has ``digest`` (with ML-DSA, mu).

    Raises:
        InvalidRequest: The algorithm takes no digest or one of another length; AWS KMS is not called.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    ready = of_digest(digest, signing_algorithm(algorithm))
    return sign_input(ready, key_arn=key_arn, algorithm=algorithm, kms_client=kms_client)


def sign_stream(
    file: Source, *, key_arn: str, algorithm: str, kms_client: "KMSClient", public_key: "VerifyingKey | None" = None
) -> bytes:
    """Return the signature of what ``file`` still holds, of any size, read in pieces of 1 MiB; errors as ``sign``."""
    ready = of_stream(file, signing_algorithm(algorithm), public_key)
    return sign_input(ready, key_arn=key_arn, algorithm=algorithm, kms_client=kms_client)


def sign_input(ready: SigningInput, *, key_arn: str, algorithm: str, kms_client: "KMSClient") -> bytes:
    """Return the signature of a message in the form that AWS KMS takes it in; raises AwsError if it refuses."""
    given = {"Message": ready.data, "MessageType": ready.message_type, "SigningAlgorithm": algorithm}
    return bytes(call_kms(kms_client.sign, "Sign", key_arn, **given)["Signature"])


def verify(public_key: "VerifyingKey", message: bytes, signature: bytes, *, algorithm: str) -> None:
    """Verify without AWS: return if ``signature`` is the key's over ``message``.

    Args:
        public_key: Of the key that must have signed.
        message: What was signed, of any length.
        signature: As AWS KMS returned it; ECDSA in DER (see ``kms_runtime.signatures.elliptic_curves.raw_to_der``).
        algorithm: The one algorithm that is accepted. Never take it from the sender of the signature.

    Raises:
        KMSInvalidSignatureException: Another message, another key, another algorithm, or altered.
        InvalidKeyUsageException: The key has no such algorithm.
    """
    verify_input(public_key, SigningInput(RAW, message), signature, algorithm=algorithm)


def verify_digest(public_key: "VerifyingKey", digest: bytes, signature: bytes, *, algorithm: str) -> None:
    """Verify without AWS what has ``digest`` (with ML-DSA, mu); errors as of ``verify``.

    Raises:
        InvalidRequest: The algorithm takes no digest or one of another length.
    """
    verify_input(public_key, of_digest(digest, signing_algorithm(algorithm)), signature, algorithm=algorithm)


def verify_stream(public_key: "VerifyingKey", file: Source, signature: bytes, *, algorithm: str) -> None:
    """Verify without AWS what ``file`` still holds, of any size, read in pieces of 1 MiB; errors as of ``verify``.

    Raises:
        MessageTooLarge: More than 4096 bytes for an algorithm that AWS KMS signs no more with.
    """
    ready = of_stream(file, signing_algorithm(algorithm), public_key)
    verify_input(public_key, ready, signature, algorithm=algorithm)


def verify_input(public_key: "VerifyingKey", ready: SigningInput, signature: bytes, *, algorithm: str) -> None:
    """Verify without AWS a message in the form that AWS KMS takes it in; errors as of ``verify``."""
    check = check_for(public_key, algorithm, ready.message_type)
    try:
        check(signature, ready.data)
    except InvalidSignature as error:
        raise _invalid(public_key.key_arn, algorithm) from error


def verify_with_kms(
    message: bytes,
    signature: bytes,
    *,
    key_arn: str,
    algorithm: str,
    kms_client: "KMSClient",
    public_key: "VerifyingKey | None" = None,
) -> None:
    """Verify by a call of AWS KMS, which costs, counts against the quota and stands in AWS CloudTrail.

    Raises:
        KMSInvalidSignatureException: Another message, another key, another algorithm, or altered.
        MessageTooLarge: More than 4096 bytes for an algorithm that takes no digest; AWS KMS is not called.
        InvalidRequest: The algorithm is unknown or the message empty; AWS KMS is not called.
        AwsError: AWS KMS refused for another reason; the class name is its error code.
    """
    ready = of_message(message, signing_algorithm(algorithm), public_key)
    verify_input_with_kms(ready, signature, key_arn=key_arn, algorithm=algorithm, kms_client=kms_client)


def verify_input_with_kms(
    ready: SigningInput, signature: bytes, *, key_arn: str, algorithm: str, kms_client: "KMSClient"
) -> None:
    """Verify by a call of AWS KMS a message in the form that it takes it in; errors as of ``verify_with_kms``.

    Raises:
        InvalidRequest: The signature is empty or longer than any; AWS KMS is not called.
    """
    if not 1 <= len(signature) <= SIGNATURE_LIMIT:
        raise InvalidRequest(f"the signature has {len(signature)} bytes; AWS KMS Verify takes 1 to {SIGNATURE_LIMIT}")
    given = {"Message": ready.data, "MessageType": ready.message_type, "SigningAlgorithm": algorithm}
    try:
        call_kms(kms_client.verify, "Verify", key_arn, **given, Signature=signature)
    except KMSInvalidSignatureException as error:
        # AWS KMS gives no reason: its message is empty.
        raise _invalid(key_arn, algorithm, operation="Verify") from error


def _invalid(key_arn: str, algorithm: str, operation: str | None = None) -> KMSInvalidSignatureException:
    return KMSInvalidSignatureException(
        f"not a signature of {key_arn} with {algorithm} over this message: "
        "the message or the signature was altered, or another key or algorithm made it",
        operation=operation,
    )
