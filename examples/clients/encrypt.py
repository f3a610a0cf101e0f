"""Python, no boto3: python encrypt.py https://…/partners.json < SECRET; prints the ciphertext in Base64."""

import base64
import sys

from kms_runtime import RemotePublicKey, encrypt_with_public_key

partners = RemotePublicKey(sys.argv[1])  # asks again when the answer's max-age is over, not for every secret
print(base64.b64encode(encrypt_with_public_key(sys.stdin.buffer.read(), public_key=partners.get())).decode())
