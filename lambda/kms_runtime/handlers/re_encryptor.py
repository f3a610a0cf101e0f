"""Lambda function of the ReEncryptor construct.

Event and response: ``schemas/re_encryptor.json``.
"""

import os
from collections.abc import Mapping
from typing import Any

from kms_runtime.handlers.outcome import logged
from kms_runtime.handlers.settings import kms_client, names_variable, settings_and_context
from kms_runtime.handlers.validation import Event, Response, decode_base64, encode_base64
from kms_runtime.secrets.symmetric import SYMMETRIC, Side, check_kept
from kms_runtime.secrets.symmetric import re_encrypt as re_encrypt_ciphertext


@logged("ReEncrypt", "re_encryptor/request")
def re_encrypt(event: Event, _context: Any) -> Response:
    """Move a ciphertext; refusals raise, and Lambda reports the class name as ``errorType``."""
    source = _side("SOURCE_", event.get("sourceEncryptionContext", {}))
    destination = _side("DESTINATION_", event.get("destinationEncryptionContext", {}))
    check_kept(names_variable("KEPT_CONTEXT_KEYS"), source, destination)
    moved = re_encrypt_ciphertext(
        decode_base64(event, "ciphertext"), source=source, destination=destination, kms_client=kms_client()
    )
    return {
        "ciphertext": encode_base64(moved.ciphertext),
        "sourceKeyArn": moved.source_key_arn,
        "keyArn": moved.key_arn,
    }


def _side(prefix: str, given: Mapping[str, str]) -> Side:
    variables = {name.removeprefix(prefix): value for name, value in os.environ.items() if name.startswith(prefix)}
    settings, context = settings_and_context(given, variables)
    return Side(settings.key_arn, context, variables.get("ALGORITHM") or SYMMETRIC)
