"""Lambda function of the HpkeReceiver construct.

Event and response: ``schemas/hpke_receiver.json``.
"""

import os
from typing import Any

from kms_runtime.handlers.outcome import logged
from kms_runtime.handlers.settings import kms_client_with_ml_kem, required_variable
from kms_runtime.handlers.validation import Event, Response, decode_base64, encode_base64, validator
from kms_runtime.key_agreement.hpke import KmsRecipient
from kms_runtime.key_agreement.hpke import decrypt as decrypt_message

_decrypt_request = validator("hpke_receiver/decrypt_request")


@logged("HpkeDecrypt")
def decrypt(event: Event, _context: Any) -> Response:
    """Decrypt a message of an outsider; refusals raise, and Lambda reports the class name as ``errorType``."""
    request = _decrypt_request(event)
    message = decode_base64(request, "message")
    associated_data = decode_base64(request, "associatedData") if "associatedData" in request else b""
    key_arn, key_spec = (required_variable(os.environ, name) for name in ("KEY_ARN", "KEY_SPEC"))
    payload = decrypt_message(
        message,
        recipient=KmsRecipient(key_arn, key_spec, kms_client_with_ml_kem()),
        info=required_variable(os.environ, "PURPOSE").encode(),
        associated_data=associated_data,
    )
    return {"payload": encode_base64(payload), "keyArn": key_arn}
