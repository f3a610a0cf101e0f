"""KMS refusals, named as AWS names them.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html
"""

import json
from collections.abc import Sequence

Response = tuple[int, dict[str, str], bytes]
JSON_TYPE = "application/x-amz-json-1.1"


class KmsError(Exception):
    """A refusal by KMS: the code is the name that boto3 puts into ``error.response["Error"]["Code"]``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def access_denied(message: str) -> KmsError:
    """No permission, or the key could not be determined."""
    return KmsError("AccessDeniedException", message)


def invalid(message: str) -> KmsError:
    """The request breaks a documented constraint."""
    return KmsError("ValidationException", message)


def unsupported(message: str) -> KmsError:
    """The operation is not possible with this key."""
    return KmsError("UnsupportedOperationException", message)


def constraints(violations: Sequence[str]) -> KmsError:
    """Members break their constraints, worded as AWS does: ``Value … at 'member' failed to satisfy constraint: …``."""
    counted = f"{len(violations)} validation error{'s' if len(violations) > 1 else ''} detected"
    return invalid(f"{counted}: {'; '.join(violations)}")


def invalid_ciphertext() -> KmsError:
    """Altered, truncated, foreign, or another encryption context: AWS deliberately says no more."""
    return KmsError("InvalidCiphertextException", "")


def incorrect_key() -> KmsError:
    """The ciphertext was made under another key than the request names."""
    return KmsError(
        "IncorrectKeyException",
        "The key ID in the request does not identify a CMK that can perform this operation.",
    )


def error_response(refused: KmsError) -> Response:
    """Return the HTTP response of a refusal; AWS leaves an empty message out."""
    body = {"__type": refused.code} | ({"message": refused.message} if refused.message else {})
    return 400, {"Content-Type": JSON_TYPE, "x-amzn-errortype": refused.code}, json.dumps(body).encode()
