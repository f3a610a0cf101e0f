"""Lambda function of the RandomBytes construct.

Events and responses: ``schemas/random_bytes.json``.
"""

from typing import Any

from kms_runtime.handlers.outcome import logged
from kms_runtime.handlers.settings import kms_client
from kms_runtime.handlers.validation import Event, Response, encode_base64
from kms_runtime.random_bytes import random_bytes


@logged("RandomBytes", "random_bytes/generate_request")
def generate(event: Event, _context: Any) -> Response:
    """Return random bytes; refusals raise, and Lambda reports the class name as ``errorType``."""
    return {"randomBytes": encode_base64(random_bytes(event["count"], kms_client()))}
