"""A file encrypted and decrypted on any machine with AWS credentials: python encrypt_file.py KEY_ARN FILE TENANT."""

import sys
from pathlib import Path

import boto3

from kms_runtime import KmsKeyring, decrypt, encrypt

key_arn, file, tenant = sys.argv[1:]
message, copy, unverified = (Path(f"{file}.{suffix}") for suffix in ("encrypted", "decrypted", "unverified"))

keyring = KmsKeyring(key_arn, kms_client=boto3.client("kms"))
with Path(file).open("rb") as source, message.open("wb") as sink:
    encrypt(source, sink, keyring=keyring, encryption_context={"tenant": tenant})
with message.open("rb") as source, unverified.open("wb") as sink:
    decrypt(source, sink, keyring=keyring, encryption_context={"tenant": tenant})
unverified.rename(copy)  # only now is the end of the message verified
