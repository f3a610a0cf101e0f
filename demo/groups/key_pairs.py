"""Data key pairs: made, signing, decrypting, each by a function of its own; the public half needs no AWS."""

import base64
import time
from typing import Any

from botocore.exceptions import ClientError

from demo.principals import directly, invoke_as, other_role
from demo.scenario import Group, Stage, summarize
from kms_runtime.aws_errors import KMSInvalidSignatureException
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.secrets.rsa_secrets import encrypt_with_public_key
from kms_runtime.signatures.signing import verify

STACK = "DataKeyPairs"
TENANT = {"tenant": "a"}
INVOICE = b"invoice 4711: 42.00"
_SOON = 10

pairs = Group("Data key pairs: private keys encrypted under a KMS key", order=110)


def _make(stage: Stage, spec: str, usage: str, context: dict[str, str] | None = None) -> dict[str, Any]:
    event = {"keyPairSpec": spec, "keyUsage": usage, "encryptionContext": TENANT if context is None else context}
    return invoke_as(stage, STACK, "Maker", "Generate", **event)


def _pair(stage: Stage, spec: str, usage: str) -> dict[str, Any]:
    """Return a pair that the maker has had made, once."""
    pair: dict[str, Any] = stage.once(f"pair {spec} {usage}", lambda: _make(stage, spec, usage))
    return pair


def _signing(stage: Stage) -> dict[str, Any]:
    return _pair(stage, "ECC_NIST_P256", "SIGN_VERIFY")


def _public_key(pair: dict[str, Any]) -> PublicKey:
    der = base64.b64decode(pair["publicKey"])
    return PublicKey(pair["keyArn"], pair["keyPairSpec"], pair["keyUsage"], tuple(pair["algorithms"]), der)


def _sign(stage: Stage, pair: dict[str, Any], context: dict[str, str] | None = None, role: str = "Signer") -> bytes:
    event = {
        "message": INVOICE,
        "encryptedPrivateKey": pair["encryptedPrivateKey"],
        "algorithm": "ECDSA_SHA_256",
        "encryptionContext": TENANT if context is None else context,
    }
    return base64.b64decode(invoke_as(stage, STACK, role, "Sign", **event)["signature"])


@pairs.scenario("maker", "has an ECC_NIST_P256 pair made", "a pair whose private key no one saw; bound to tenant")
def maker_makes_a_pair(stage: Stage) -> str:
    pair = _signing(stage)
    call = stage.aws.kms_calls()[-1]
    seen = "someone saw" if "privateKey" in pair or call["action"] == "kms:GenerateDataKeyPair" else "no one saw"
    return f"a pair whose private key {seen}; bound to {next(name for name in call['encryptionContext'])}"


@pairs.scenario("signer", "signs with it; anyone verifies", "verified without AWS; 1 call to sign")
def signer_signs(stage: Stage) -> str:
    pair, before = _signing(stage), len(stage.aws.kms_calls())
    signature = _sign(stage, pair)
    calls = stage.aws.kms_calls()[before:]
    verify(_public_key(pair), INVOICE, signature, algorithm="ECDSA_SHA_256")
    verified = "without AWS" if len(stage.aws.kms_calls()) == before + len(calls) else "with AWS"
    return f"verified {verified}; {len(calls)} call to sign"


@pairs.refused("anyone", "verifies an altered invoice", "KMSInvalidSignatureException, without AWS")
def altered_invoice(stage: Stage) -> str:
    pair = _signing(stage)
    signature = _sign(stage, pair)
    try:
        verify(_public_key(pair), INVOICE + b"0", signature, algorithm="ECDSA_SHA_256")
    except KMSInvalidSignatureException as error:
        return f"refused: {error.code}, without AWS"
    return "verified"


@pairs.scenario("outsider, reader", "encrypt to an RSA_2048 pair, decrypt with it", "the secret; calls: Decrypt")
def reader_decrypts(stage: Stage) -> str:
    pair = _pair(stage, "RSA_2048", "ENCRYPT_DECRYPT")
    before = len(stage.aws.kms_calls())
    ciphertext = encrypt_with_public_key(b"the secret", public_key=_public_key(pair))
    event = {"encryptedPrivateKey": pair["encryptedPrivateKey"], "encryptionContext": TENANT}
    answer = invoke_as(stage, STACK, "Reader", "Decrypt", ciphertext=ciphertext, **event)
    return f"{base64.b64decode(answer['plaintext']).decode()}; calls: {summarize(stage.aws.kms_calls()[before:])}"


@pairs.refused("maker", "asks for an RSA_4096 pair", "KeyPairSpecNotAllowed")
def other_spec(stage: Stage) -> str:
    return str(_make(stage, "RSA_4096", "SIGN_VERIFY"))


@pairs.refused(
    "generate function's role",
    "asks KMS for an RSA_3072 pair",
    "AccessDeniedException (kms:GenerateDataKeyPairWithoutPlaintext)",
)
def other_spec_directly(stage: Stage) -> None:
    wanted = {"KeyPairSpec": "RSA_3072", "EncryptionContext": {**TENANT, "key-usage": "SIGN_VERIFY"}}
    directly(stage, STACK, "Generate", "generate_data_key_pair_without_plaintext", **wanted)


@pairs.refused(
    "generate function's role", "asks for the private key as well", "AccessDeniedException (kms:GenerateDataKeyPair)"
)
def private_key_as_well(stage: Stage) -> None:
    wanted = {"KeyPairSpec": "ECC_NIST_P256", "EncryptionContext": {**TENANT, "key-usage": "SIGN_VERIFY"}}
    directly(stage, STACK, "Generate", "generate_data_key_pair", **wanted)


@pairs.refused("maker", "asks for a pair without the context", "EncryptionContextRequired")
def pair_without_context(stage: Stage) -> str:
    return str(_make(stage, "ECC_NIST_P256", "SIGN_VERIFY", context={}))


@pairs.refused("signer", "signs under another tenant's context", "InvalidCiphertextException")
def signing_under_another_context(stage: Stage) -> str:
    return _sign(stage, _signing(stage), context={"tenant": "b"}).hex()


@pairs.refused("signer", "signs with a pair that is for decryption", "InvalidCiphertextException")
def signing_with_a_decrypting_pair(stage: Stage) -> str:
    return _sign(stage, _pair(stage, "RSA_2048", "ENCRYPT_DECRYPT")).hex()


@pairs.refused("sign function's role", "opens a pair that is for decryption", "AccessDeniedException (kms:Decrypt)")
def opening_a_decrypting_pair(stage: Stage) -> None:
    blob = base64.b64decode(_pair(stage, "RSA_2048", "ENCRYPT_DECRYPT")["encryptedPrivateKey"])
    context = {**TENANT, "key-usage": "ENCRYPT_DECRYPT"}
    directly(stage, STACK, "Sign", "decrypt", CiphertextBlob=blob, EncryptionContext=context)


@pairs.refused("another role, with kms:Decrypt in IAM", "opens the signing pair", "AccessDeniedException (kms:Decrypt)")
def opening_by_another_role(stage: Stage) -> None:
    key = stage.output(STACK, "KeyArn")
    kms = other_role(stage, "kms", "kms-patterns-demo-pair-thief", [("kms:Decrypt", key)])
    blob = base64.b64decode(_signing(stage)["encryptedPrivateKey"])
    kms.decrypt(KeyId=key, CiphertextBlob=blob, EncryptionContext={**TENANT, "key-usage": "SIGN_VERIFY"})


@pairs.refused("maker", "invokes the sign function", "AccessDeniedException (lambda:InvokeFunction)")
def maker_may_not_sign(stage: Stage) -> str:
    return _sign(stage, _signing(stage), role="Maker").hex()


@pairs.refused("maker", "exceeds the quota for longer than 3 s", "ThrottlingException, within 10 s")
def quota_exceeded(stage: Stage) -> str:
    stage.aws.inject_faults({"kind": "throttle", "service": "kms", "operation": "GenerateDataKeyPairWithoutPlaintext"})
    start = time.monotonic()
    try:
        _make(stage, "ECC_NIST_P256", "SIGN_VERIFY")
    except ClientError as error:
        soon = "within 10 s" if time.monotonic() - start < _SOON else "too late"
        return f"refused: {error.response['Error']['Code']}, {soon}"
    finally:
        stage.aws.inject_faults()
    return "made"
