"""Lambda function of the HpkeReceiver construct.

Event and response: ``schemas/hpke_receiver.json``.
"""

import os
from functools import cache
from typing import Any

from kms_runtime.handlers.outcome import logged
from kms_runtime.handlers.settings import kms_client_with_ml_kem, required_variable
from kms_runtime.handlers.validation import Event, Response, decode_base64, encode_base64, validator
from kms_runtime.key_agreement.agreement import KmsParty
from kms_runtime.key_agreement.hpke import KmsRecipient, Recipient
from kms_runtime.key_agreement.hpke import decrypt as decrypt_message
from kms_runtime.key_agreement.hybrid_hpke import KmsHybridRecipient
from kms_runtime.public_keys.public_key import PublicKey

_decrypt_request = validator("hpke_receiver/decrypt_request")


@logged("HpkeDecrypt")
def decrypt(event: Event, _context: Any) -> Response:
    """Decrypt a message of an outsider; refusals raise, and Lambda reports the class name as ``errorType``."""
    request = _decrypt_request(event)
    message = decode_base64(request, "message")
    key_arn = required_variable(os.environ, "KEY_ARN")
    payload = decrypt_message(
        message,
        recipient=_recipient(key_arn),
        info=required_variable(os.environ, "PURPOSE").encode(),
        associated_data=decode_base64(request, "associatedData", ""),
    )
    return {"payload": encode_base64(payload), "keyArn": key_arn}


def _recipient(key_arn: str) -> Recipient:
    client = kms_client_with_ml_kem()
    kem = KmsRecipient(key_arn, required_variable(os.environ, "KEY_SPEC"), client)
    other = os.environ.get("AGREEMENT_KEY_ARN")
    return KmsHybridRecipient(kem, KmsParty(other, client, _public_key(other))) if other else kem


@cache
def _public_key(key_arn: str) -> bytes:
    """Return a key's public half, which never changes: one call per execution environment."""
    return PublicKey.fetch(key_arn, kms_client=kms_client_with_ml_kem()).der
