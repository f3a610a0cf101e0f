"""Verifies a signature with the published document of a key: python verify_signature.py DOCUMENT MESSAGE SIGNATURE."""

import json
import sys
from pathlib import Path

from kms_runtime.public_keys import PublicKey
from kms_runtime.signatures import verify

published, message, signature = (Path(name).read_bytes() for name in sys.argv[1:])
key = PublicKey.from_document(json.loads(published))  # no AWS from here on
verify(key, message, signature, algorithm="RSASSA_PSS_SHA_256")  # returns, or raises KMSInvalidSignatureException
print("valid")
