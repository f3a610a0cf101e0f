"""Lambda functions of the DataKeyPairs construct.

Events and responses: ``schemas/data_key_pairs.json``.
"""

import os
from typing import Any

from kms_runtime.backoff import Backoff
from kms_runtime.errors import FunctionMisconfigured, InvalidRequest, KeyPairSpecNotAllowed
from kms_runtime.handlers.outcome import logged
from kms_runtime.handlers.settings import (
    kms_client,
    kms_client_without_retries,
    required_variable,
    settings_and_context,
)
from kms_runtime.handlers.validation import Event, Response, decode_base64, encode_base64
from kms_runtime.key_pairs.data_key_pair_use import decrypt_with_pair, sign_with_pair
from kms_runtime.key_pairs.data_key_pairs import DataKeyPair, make_data_key_pair, make_data_key_pair_with_private_key
from kms_runtime.message.suite import wipe


@logged("DataKeyPairGenerate", "data_key_pairs/generate_request")
def generate(event: Event, _context: Any) -> Response:
    """Make a pair; refusals raise, and Lambda reports the class name as ``errorType``."""
    spec, usage = event["keyPairSpec"], event["keyUsage"]
    allowed = required_variable("KEY_PAIR_SPECS").split()
    if spec not in allowed:
        raise KeyPairSpecNotAllowed(f"this function makes pairs of {', '.join(allowed)}, not of {spec}")
    arguments = _common(event) | {"kms_client": kms_client_without_retries(), "backoff": _backoff()}
    if os.environ.get("PRIVATE_KEY_RETURNED") != "true":
        return _stored(make_data_key_pair(spec, usage, **arguments))
    pair, private_key = make_data_key_pair_with_private_key(spec, usage, **arguments)
    try:
        return _stored(pair) | {"privateKey": encode_base64(private_key)}
    finally:
        wipe(private_key)


@logged("DataKeyPairSign", "data_key_pairs/sign_request")
def sign(event: Event, _context: Any) -> Response:
    """Sign with a pair's private key; refusals raise, and Lambda reports the class name as ``errorType``."""
    message, private_key = decode_base64(event, "message"), decode_base64(event, "encryptedPrivateKey")
    common = _common(event)
    signature = sign_with_pair(message, private_key, algorithm=event["algorithm"], kms_client=kms_client(), **common)
    return {"signature": encode_base64(signature), "algorithm": event["algorithm"], "keyArn": common["key_arn"]}


@logged("DataKeyPairDecrypt", "data_key_pairs/decrypt_request")
def decrypt(event: Event, _context: Any) -> Response:
    """Decrypt with a pair's private key; refusals raise, and Lambda reports the class name as ``errorType``."""
    ciphertext, private_key = decode_base64(event, "ciphertext"), decode_base64(event, "encryptedPrivateKey")
    algorithm, common = event.get("algorithm", "RSAES_OAEP_SHA_256"), _common(event)
    plaintext = decrypt_with_pair(ciphertext, private_key, algorithm=algorithm, kms_client=kms_client(), **common)
    return {"plaintext": encode_base64(plaintext), "algorithm": algorithm, "keyArn": common["key_arn"]}


def _common(request: Event) -> dict[str, Any]:
    settings, context = settings_and_context(request.get("encryptionContext", {}))
    return {"key_arn": settings.key_arn, "encryption_context": context}


def _backoff() -> Backoff:
    text = os.environ.get("RETRY_SECONDS") or "10"
    try:
        return Backoff(budget=float(text))
    except (ValueError, InvalidRequest):
        raise FunctionMisconfigured(f"RETRY_SECONDS is {text!r}, not a number of seconds") from None


def _stored(pair: DataKeyPair) -> Response:
    public_key = pair.public_key
    return {
        "keyPairSpec": public_key.key_spec,
        "keyUsage": public_key.key_usage,
        "algorithms": list(public_key.algorithms),
        "publicKey": encode_base64(public_key.der),
        "publicKeyPem": public_key.pem,
        "encryptedPrivateKey": encode_base64(pair.encrypted_private_key),
        "keyArn": public_key.key_arn,
    }
