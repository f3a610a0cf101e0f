"""Lambda functions of the MessageAuthenticator construct.

Events and responses: ``schemas/message_authenticator.json``.
"""

from typing import Any

from kms_runtime.errors import FunctionMisconfigured
from kms_runtime.handlers.outcome import logged
from kms_runtime.handlers.settings import kms_client, required_variable
from kms_runtime.handlers.validation import Event, Response, decode_base64, encode_base64
from kms_runtime.macs import MAC_BYTES, generate_mac, verify_mac


@logged("MacGenerate", "message_authenticator/generate_request")
def generate(event: Event, _context: Any) -> Response:
    """Make the authentication code of a message; refusals raise, and Lambda reports the class name as ``errorType``."""
    message = decode_base64(event, "message")
    key_arn, algorithm = _key()
    mac = generate_mac(message, key_arn=key_arn, algorithm=algorithm, kms_client=kms_client())
    return {"mac": encode_base64(mac), "keyArn": key_arn, "macAlgorithm": algorithm}


@logged("MacVerify", "message_authenticator/verify_request")
def verify(event: Event, _context: Any) -> Response:
    """Verify the authentication code of a message; one that is not genuine raises KMSInvalidMacException."""
    message, mac = decode_base64(event, "message"), decode_base64(event, "mac")
    key_arn, algorithm = _key()
    verify_mac(message, mac, key_arn=key_arn, algorithm=algorithm, kms_client=kms_client())
    return {"macValid": True, "keyArn": key_arn, "macAlgorithm": algorithm}


def _key() -> tuple[str, str]:
    algorithm = required_variable("MAC_ALGORITHM")
    if algorithm not in MAC_BYTES:
        raise FunctionMisconfigured(f"MAC_ALGORITHM is {algorithm!r}; AWS KMS has {', '.join(MAC_BYTES)}")
    return required_variable("KEY_ARN"), algorithm
