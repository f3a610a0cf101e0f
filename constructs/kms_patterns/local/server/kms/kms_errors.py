"""KMS refusals, named as AWS names them.

AWS: https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html
"""

import json

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


def constraint(member: str, requirement: str) -> KmsError:
    """One member breaks its constraint, worded as AWS does."""
    return invalid(
        f"1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must {requirement}"
    )


def invalid_ciphertext() -> KmsError:
    """Altered, truncated, foreign, or another encryption context: AWS deliberately says no more."""
    return KmsError("InvalidCiphertextException", "")


def incorrect_key() -> KmsError:
    """The ciphertext was made under another key than the request names."""
    return KmsError(
        "IncorrectKeyException",
        "The key ID in the request does not identify a CMK that can perform this operation.",
    )


def not_found(reference: str) -> KmsError:
    """No such key or alias in this account and Region."""
    if reference.startswith("alias/") or ":alias/" in reference:
        return KmsError("NotFoundException", f"Alias {reference} is not found.")
    return KmsError("NotFoundException", f"Key '{reference}' does not exist")


def error_response(refused: KmsError) -> Response:
    """Return the HTTP response of a refusal."""
    body = json.dumps({"__type": refused.code, "message": refused.message}).encode()
    return 400, {"Content-Type": JSON_TYPE, "x-amzn-errortype": refused.code}, body
