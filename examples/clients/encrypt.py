"""Python, no boto3: python encrypt.py https://…/partners.json < SECRET; prints the ciphertext in Base64."""

import base64
import json
import sys
import urllib.request

from kms_runtime import PublicKey, encrypt_with_public_key

address = sys.argv[1]
if not address.startswith("https://"):
    sys.exit(f"{address}: a public key is only as good as the connection that it comes by; give an https address")
with urllib.request.urlopen(address) as answer:
    key = PublicKey.from_document(json.load(answer))
print(base64.b64encode(encrypt_with_public_key(sys.stdin.buffer.read(), public_key=key)).decode())
