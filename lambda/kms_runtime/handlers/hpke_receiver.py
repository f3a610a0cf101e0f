"""Lambda function of the HpkeReceiver construct.

Event and response: ``schemas/hpke_receiver.json``.
"""

import os
from functools import cache
from typing import Any

from kms_runtime.handlers.outcome import logged
from kms_runtime.handlers.settings import kms_client_with_ml_kem, required_variable
from kms_runtime.handlers.validation import Event, Response, decode_base64, encode_base64
from kms_runtime.key_agreement.agreement import KmsParty
from kms_runtime.key_agreement.hpke import KmsRecipient, Recipient
from kms_runtime.key_agreement.hpke import decrypt as decrypt_message
from kms_runtime.key_agreement.hybrid_hpke import KmsHybridRecipient
from kms_runtime.public_keys.public_key import PublicKey


@logged("HpkeDecrypt", "hpke_receiver/decrypt_request")
def decrypt(event: Event, _context: Any) -> Response:
    """Decrypt a message of an outsider; refusals raise, and Lambda reports the class name as ``errorType``."""
    message = decode_base64(event, "message")
    key_arn = required_variable("KEY_ARN")
    client = kms_client_with_ml_kem()
    recipient: Recipient = (kem := KmsRecipient(key_arn, required_variable("KEY_SPEC"), client))
    if other := os.environ.get("AGREEMENT_KEY_ARN"):
        recipient = KmsHybridRecipient(kem, KmsParty(other, client, _public_key(other)))
    payload = decrypt_message(
        message,
        recipient=recipient,
        info=required_variable("PURPOSE").encode(),
        associated_data=decode_base64(event, "associatedData", ""),
    )
    return {"payload": encode_base64(payload), "keyArn": key_arn}


@cache
def _public_key(key_arn: str) -> bytes:
    """Return a key's public half, which never changes: one call per execution environment."""
    return PublicKey.fetch(key_arn, kms_client=kms_client_with_ml_kem()).der
