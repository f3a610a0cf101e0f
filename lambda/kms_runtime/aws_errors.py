"""Typed errors for the errors of the AWS SDK, with its code, message and operation."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from kms_runtime.errors import KmsRuntimeError, ServiceUnreachable


class AwsError(KmsRuntimeError):
    """AWS refused a call; the class name is AWS's error code."""


class AccessDeniedException(AwsError):
    """Neither key policy, IAM policy nor grant allows the call, or one of them denies it."""


class DependencyTimeoutException(AwsError):
    """AWS KMS timed out on a dependency; the request can be retried."""


class DisabledException(AwsError):
    """The KMS key is disabled."""


class IncorrectKeyException(AwsError):
    """The ciphertext belongs to another KMS key than the one that was named."""


class InvalidArnException(AwsError):
    """The key identifier is not a valid key ARN."""


class InvalidCiphertextException(AwsError):
    """The ciphertext was altered, is corrupt, or was made under another encryption context."""


class InvalidGrantTokenException(AwsError):
    """The grant token is not valid."""


class InvalidKeyUsageException(AwsError):
    """The KMS key's usage or spec does not serve the operation."""


class KeyUnavailableException(AwsError):
    """The KMS key is not available at the moment; the request can be retried."""


class KMSInternalException(AwsError):
    """AWS KMS had an internal error; the request can be retried."""


class KMSInvalidMacException(AwsError):
    """The authentication code is not that of the message under the key and the algorithm."""


class KMSInvalidSignatureException(AwsError):
    """The signature is not this key's over this message: one of the three is another, or was altered."""


class KMSInvalidStateException(AwsError):
    """The KMS key's state (pending deletion, pending import, …) does not allow the operation."""


class NotFoundException(AwsError):
    """The KMS key does not exist in this account and Region."""


class ThrottlingException(AwsError):
    """The request quota is exceeded and the client's retries did not help."""


@cache
def error_class(code: str) -> type[AwsError]:
    """Return the class named like AWS's error ``code``, made on first use if this module does not list it."""
    name = "".join(filter(str.isalnum, code)) or "UnknownError"
    known = _KNOWN.get(name)
    return known or type(name, (AwsError,), {"__doc__": f"AWS returned the error {code}."})


_KNOWN = {error.__name__: error for error in AwsError.__subclasses__()}


def error_of(response: dict[str, Any], operation: str) -> AwsError:
    """Return the typed error for the parsed error ``response`` of ``operation``; it says if retries were in vain."""
    detail, attempts = response.get("Error", {}), response.get("ResponseMetadata", {})
    message = f"{operation}: {detail.get('Message') or detail.get('Code') or 'no reason given'}"
    if attempts.get("MaxAttemptsReached") and attempts.get("RetryAttempts"):
        message += f" (given up after {attempts['RetryAttempts'] + 1} attempts)"
    return error_class(str(detail.get("Code", "")))(message, operation=operation)


@contextmanager
def typed_errors(service: str) -> Iterator[None]:
    """Raise AWS SDK errors of the block as this package's typed errors.

    Args:
        service: Name for the message if AWS cannot be reached, such as ``"AWS KMS"``.

    Raises:
        AwsError: AWS refused; the class name is AWS's error code.
        ServiceUnreachable: No response after the client's retries.
    """
    # A caller with a client has imported botocore; importing it here keeps it out of this package's import.
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        yield
    except ClientError as error:
        raise error_of(dict(error.response), error.operation_name) from error
    except BotoCoreError as error:
        raise ServiceUnreachable(f"{service}: {error}") from error
