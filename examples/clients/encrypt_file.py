"""Python, no boto3: python encrypt_file.py https://…/mail.json FILE MESSAGE SENDER; any size, constant memory."""

import sys
from pathlib import Path

from kms_runtime import KmsRsaKeyring, RemotePublicKey, encrypt

address, file, message, sender = sys.argv[1:]
key = RemotePublicKey(address).get()
with Path(file).open("rb") as source, Path(message).open("wb") as sink:
    encrypt(source, sink, keyring=KmsRsaKeyring(key.key_arn, public_key=key.der), encryption_context={"sender": sender})
