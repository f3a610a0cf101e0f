"""Lambda functions of the Signer construct.

Events and responses: ``schemas/signer.json``.
"""

from typing import Any

from kms_runtime.handlers.outcome import logged
from kms_runtime.handlers.settings import kms_client, required_variable, signing_algorithm_setting
from kms_runtime.handlers.validation import Event, Response, decode_base64, encode_base64
from kms_runtime.signatures.signing import sign_input, verify_input_with_kms
from kms_runtime.signatures.signing_messages import of_type


@logged("Sign", "signer/sign_request")
def sign(event: Event, _context: Any) -> Response:
    """Sign a message or a digest; refusals raise, and Lambda reports the class name as ``errorType``."""
    ready, common, facts = _parts(event)
    return {"signature": encode_base64(sign_input(ready, **common)), **facts}


@logged("Verify", "signer/verify_request")
def verify(event: Event, _context: Any) -> Response:
    """Verify a signature by AWS KMS; one that is not genuine raises KMSInvalidSignatureException."""
    ready, common, facts = _parts(event)
    verify_input_with_kms(ready, decode_base64(event, "signature"), **common)
    return {"signatureValid": True, **facts}


def _parts(valid: Event) -> tuple[Any, dict[str, Any], Response]:
    key_arn, algorithm = required_variable("KEY_ARN"), signing_algorithm_setting()
    ready = of_type(valid.get("messageType", "RAW"), decode_base64(valid, "message"), algorithm)
    common = {"key_arn": key_arn, "algorithm": algorithm.name, "kms_client": kms_client()}
    return (ready, common, {"messageType": ready.message_type, "keyArn": key_arn, "signingAlgorithm": algorithm.name})
