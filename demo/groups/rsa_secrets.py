"""Direct RSA: anyone with the public key encrypts a small secret, one function decrypts it."""

import base64
import json
import os
import subprocess
from dataclasses import replace

from demo.groups.public_key import published
from demo.principals import altered, directly, invoke_as, other_role, own_calls
from demo.scenario import Group, Stage
from kms_patterns.toolchain import node_executable
from kms_runtime import KmsRuntimeError, encrypt_with_public_key

SECRET = b"account 4711, limit 90000"
SHA_1, SHA_256 = "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"
LIMIT = 318

rsa_secrets = Group("Direct RSA: encrypted outside AWS with the public key, decrypted by one function", order=70)


def decrypt(stage: Stage, ciphertext: bytes, **more: object) -> bytes:
    """Have the reader decrypt ``ciphertext``."""
    answer = invoke_as(stage, "PublicKey", "Reader", "Decrypt", ciphertext=ciphertext, **more)
    return base64.b64decode(answer["plaintext"])


def _encrypt(stage: Stage, plaintext: bytes) -> bytes:
    return base64.b64decode(invoke_as(stage, "PublicKey", "Writer", "Encrypt", plaintext=plaintext)["ciphertext"])


def _outside(stage: Stage, plaintext: bytes = SECRET) -> bytes:
    return encrypt_with_public_key(plaintext, public_key=published(stage, "PublicKey"))


def _same(found: bytes, expected: bytes) -> str:
    return "the same bytes" if found == expected else "other bytes"


@rsa_secrets.scenario(
    "anyone with the public key; reader",
    "encrypts 318 bytes, without AWS; decrypts them",
    "0 calls to encrypt; the same bytes, by Decrypt of the decrypt function",
)
def outsider_encrypts(stage: Stage) -> str:
    key, plaintext, before = published(stage, "PublicKey"), os.urandom(LIMIT), len(stage.aws.kms_calls())
    ciphertext = encrypt_with_public_key(plaintext, public_key=key)
    calls = len(stage.aws.kms_calls()) - before
    same = _same(decrypt(stage, ciphertext), plaintext)
    return f"{calls} calls to encrypt; {same}, by {own_calls(stage, before, 'PublicKey')}"


_NODE = """
const { pem, secret } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'))
const oaep = { key: pem, padding: require('node:crypto').constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
process.stdout.write(require('node:crypto').publicEncrypt(oaep, Buffer.from(secret)).toString('base64'))
"""


@rsa_secrets.scenario(
    "anyone with Node and nothing else; reader",
    "encrypts with its built-in crypto; decrypts",
    "0 calls to encrypt; the same bytes",
)
def node_encrypts(stage: Stage) -> str:
    given = json.dumps({"pem": published(stage, "PublicKey").pem, "secret": SECRET.decode()}).encode()
    before = len(stage.aws.kms_calls())
    command = [str(node_executable()), "--eval", _NODE]
    made = subprocess.run(command, input=given, env={}, capture_output=True, check=True).stdout
    calls = len(stage.aws.kms_calls()) - before
    return f"{calls} calls to encrypt; {_same(decrypt(stage, base64.b64decode(made)), SECRET)}"


@rsa_secrets.refused("anyone", "encrypts 319 bytes", "PlaintextTooLarge, before any call")
def outsider_is_told_the_limit(stage: Stage) -> str:
    before = len(stage.aws.kms_calls())
    try:
        _outside(stage, bytes(LIMIT + 1))
    except KmsRuntimeError as error:
        when = "before any call" if len(stage.aws.kms_calls()) == before else "after a call"
        return f"refused: {error.code}, {when}"
    return "encrypted"


@rsa_secrets.scenario(
    "writer; reader",
    "encrypts in KMS; decrypts",
    "the same bytes, by Encrypt of the encrypt function, Decrypt of the decrypt function",
)
def writer_encrypts_in_kms(stage: Stage) -> str:
    before = len(stage.aws.kms_calls())
    same = _same(decrypt(stage, _encrypt(stage, SECRET)), SECRET)
    return f"{same}, by {own_calls(stage, before, 'PublicKey')}"


@rsa_secrets.refused("writer", "encrypts 319 bytes in KMS", "PlaintextTooLarge")
def writer_is_told_the_limit(stage: Stage) -> str:
    return f"{len(_encrypt(stage, bytes(LIMIT + 1)))} bytes"


@rsa_secrets.refused("reader", "decrypts what was encrypted with SHA-1", "InvalidCiphertextException")
def other_algorithm_does_not_decrypt(stage: Stage) -> str:
    every = replace(published(stage, "PublicKey"), algorithms=(SHA_1, SHA_256))
    return str(len(decrypt(stage, encrypt_with_public_key(SECRET, public_key=every, algorithm=SHA_1))))


@rsa_secrets.refused("decrypt function's role", "calls Decrypt with SHA-1", "AccessDeniedException (kms:Decrypt)")
def policy_pins_the_algorithm(stage: Stage) -> None:
    directly(stage, "PublicKey", "Decrypt", "decrypt", CiphertextBlob=_outside(stage), EncryptionAlgorithm=SHA_1)


@rsa_secrets.refused("reader", "decrypts a tampered ciphertext", "InvalidCiphertextException")
def tampered_ciphertext(stage: Stage) -> str:
    return str(len(decrypt(stage, altered(_outside(stage), 100))))


@rsa_secrets.refused("reader", "names an encryption context, which RSA does not have", "InvalidRequest")
def context_is_refused(stage: Stage) -> str:
    return str(len(decrypt(stage, _outside(stage), encryptionContext={"tenant": "a"})))


@rsa_secrets.refused("writer", "invokes the decrypt function", "AccessDeniedException (lambda:InvokeFunction)")
def writer_may_not_read(stage: Stage) -> None:
    invoke_as(stage, "PublicKey", "Writer", "Decrypt", ciphertext=_outside(stage))


@rsa_secrets.refused(
    "role with kms:Decrypt in IAM, not named by the key", "calls Decrypt", "AccessDeniedException (kms:Decrypt)"
)
def other_role_may_not_decrypt(stage: Stage) -> None:
    key = stage.output("PublicKey", "KeyArn")
    kms = other_role(stage, "kms", "kms-patterns-demo-rsa", [("kms:Decrypt", key)])
    kms.decrypt(KeyId=key, CiphertextBlob=_outside(stage), EncryptionAlgorithm=SHA_256)
