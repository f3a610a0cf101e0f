"""Python, no boto3: python encrypt_file.py https://…/mail.json FILE MESSAGE SENDER; any size, constant memory."""

import json
import sys
import urllib.request
from pathlib import Path

from kms_runtime import KmsRsaKeyring, PublicKey, encrypt

address, file, message, sender = sys.argv[1:]
if not address.startswith("https://"):
    sys.exit(f"{address}: a public key is only as good as the connection that it comes by; give an https address")
with urllib.request.urlopen(address) as answer:
    key = PublicKey.from_document(json.load(answer))
with Path(file).open("rb") as source, Path(message).open("wb") as sink:
    encrypt(source, sink, keyring=KmsRsaKeyring(key.key_arn, public_key=key.der), encryption_context={"sender": sender})
