"""Lambda functions of the KeyAgreement construct.

Events and responses: ``schemas/key_agreement.json``.
"""

import hashlib
import os
from typing import Any

from kms_runtime.errors import PeerNotAllowed
from kms_runtime.handlers.outcome import logged
from kms_runtime.handlers.settings import kms_client, required_variable
from kms_runtime.handlers.validation import Event, Response, decode_base64, encode_base64
from kms_runtime.key_agreement.agreement import KmsParty
from kms_runtime.key_agreement.agreement import decrypt as decrypt_from
from kms_runtime.key_agreement.agreement import encrypt as encrypt_for
from kms_runtime.key_agreement.agreement_message import Envelope


@logged("AgreementEncrypt", "key_agreement/encrypt_request")
def encrypt(event: Event, _context: Any) -> Response:
    """Encrypt a payload for a peer; refusals raise, and Lambda reports the class name as ``errorType``."""
    payload, recipient = decode_base64(event, "payload"), decode_base64(event, "recipientPublicKey")
    _check_peer(recipient)
    party = _party()
    message = encrypt_for(
        payload,
        party=party,
        sender=decode_base64(event, "senderPublicKey"),
        recipient=recipient,
        purpose=required_variable("PURPOSE"),
        associated_data=decode_base64(event, "associatedData", ""),
    )
    return {"message": encode_base64(message), "keyArn": party.key_arn}


@logged("AgreementDecrypt", "key_agreement/decrypt_request")
def decrypt(event: Event, _context: Any) -> Response:
    """Decrypt a message of a peer; refusals raise, and Lambda reports the class name as ``errorType``."""
    message = decode_base64(event, "message")
    _check_peer(Envelope.of(message)[0].sender)
    party, purpose = _party(), required_variable("PURPOSE")
    found = decrypt_from(
        message, party=party, purpose=purpose, associated_data=decode_base64(event, "associatedData", "")
    )
    return {
        "payload": encode_base64(found.payload),
        "senderPublicKey": encode_base64(found.sender),
        "keyArn": party.key_arn,
    }


def _party() -> KmsParty:
    return KmsParty(required_variable("KEY_ARN"), kms_client())


def _check_peer(public_key: bytes) -> None:
    allowed = os.environ.get("ALLOWED_PEERS", "").split()
    fingerprint = hashlib.sha256(public_key).hexdigest()
    if allowed and fingerprint not in allowed:
        raise PeerNotAllowed(
            f"the peer's public key, SHA-256 {fingerprint}, is not one of the {len(allowed)} allowed ones"
        )
