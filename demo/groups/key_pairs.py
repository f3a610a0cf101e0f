"""Data key pairs: made, signing, decrypting, each by a function of its own; the public half needs no AWS."""

import base64
import time
from typing import Any

from botocore.exceptions import ClientError

from demo.principals import client, function_client, invoke, other_role
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
    maker = client(stage, "lambda", STACK, "MakerRoleArn")
    event = {"keyPairSpec": spec, "keyUsage": usage, "encryptionContext": TENANT if context is None else context}
    return invoke(maker, stage.output(STACK, "GenerateFunctionName"), event)


def _pair(stage: Stage, spec: str, usage: str) -> dict[str, Any]:
    """Return a pair that the maker has had made, once."""
    name = f"pair {spec} {usage}"
    if name not in stage.notes:
        stage.notes[name] = _make(stage, spec, usage)
    pair: dict[str, Any] = stage.notes[name]
    return pair


def _signing(stage: Stage) -> dict[str, Any]:
    return _pair(stage, "ECC_NIST_P256", "SIGN_VERIFY")


def _public_key(pair: dict[str, Any]) -> PublicKey:
    der = base64.b64decode(pair["publicKey"])
    return PublicKey(pair["keyArn"], pair["keyPairSpec"], pair["keyUsage"], tuple(pair["algorithms"]), der)


def _sign(stage: Stage, pair: dict[str, Any], context: dict[str, str] | None = None, role: str = "Signer") -> bytes:
    event = {
        "message": base64.b64encode(INVOICE).decode(),
        "encryptedPrivateKey": pair["encryptedPrivateKey"],
        "algorithm": "ECDSA_SHA_256",
        "encryptionContext": TENANT if context is None else context,
    }
    caller = client(stage, "lambda", STACK, f"{role}RoleArn")
    return base64.b64decode(invoke(caller, stage.output(STACK, "SignFunctionName"), event)["signature"])


@pairs.scenario(
    who="maker", what="has an ECC_NIST_P256 pair made", expected="a pair whose private key no one saw; bound to tenant"
)
def maker_makes_a_pair(stage: Stage) -> str:
    pair = _signing(stage)
    call = stage.aws.kms_calls()[-1]
    seen = "someone saw" if "privateKey" in pair or call["action"] == "kms:GenerateDataKeyPair" else "no one saw"
    return f"a pair whose private key {seen}; bound to {next(name for name in call['encryptionContext'])}"


@pairs.scenario(who="signer", what="signs with it; anyone verifies", expected="verified without AWS; 1 call to sign")
def signer_signs(stage: Stage) -> str:
    pair, before = _signing(stage), len(stage.aws.kms_calls())
    signature = _sign(stage, pair)
    calls = stage.aws.kms_calls()[before:]
    verify(_public_key(pair), INVOICE, signature, algorithm="ECDSA_SHA_256")
    verified = "without AWS" if len(stage.aws.kms_calls()) == before + len(calls) else "with AWS"
    return f"verified {verified}; {len(calls)} call to sign"


@pairs.scenario(
    who="anyone", what="verifies an altered invoice", expected="refused: KMSInvalidSignatureException, without AWS"
)
def altered_invoice(stage: Stage) -> str:
    pair = _signing(stage)
    signature = _sign(stage, pair)
    try:
        verify(_public_key(pair), INVOICE + b"0", signature, algorithm="ECDSA_SHA_256")
    except KMSInvalidSignatureException as error:
        return f"refused: {error.code}, without AWS"
    return "verified"


@pairs.scenario(
    who="outsider, reader", what="encrypt to an RSA_2048 pair, decrypt with it", expected="the secret; calls: Decrypt"
)
def reader_decrypts(stage: Stage) -> str:
    pair = _pair(stage, "RSA_2048", "ENCRYPT_DECRYPT")
    before = len(stage.aws.kms_calls())
    sealed = encrypt_with_public_key(b"the secret", public_key=_public_key(pair))
    event = {
        "ciphertext": base64.b64encode(sealed).decode(),
        "encryptedPrivateKey": pair["encryptedPrivateKey"],
        "encryptionContext": TENANT,
    }
    reader = client(stage, "lambda", STACK, "ReaderRoleArn")
    answer = invoke(reader, stage.output(STACK, "DecryptFunctionName"), event)
    return f"{base64.b64decode(answer['plaintext']).decode()}; calls: {summarize(stage.aws.kms_calls()[before:])}"


@pairs.scenario(who="maker", what="asks for an RSA_4096 pair", expected="refused: KeyPairSpecNotAllowed")
def other_spec(stage: Stage) -> str:
    return str(_make(stage, "RSA_4096", "SIGN_VERIFY"))


@pairs.scenario(
    who="generate function's role",
    what="asks KMS for an RSA_3072 pair",
    expected="refused: AccessDeniedException (kms:GenerateDataKeyPairWithoutPlaintext)",
)
def other_spec_directly(stage: Stage) -> str:
    context = {**TENANT, "key-usage": "SIGN_VERIFY"}
    _direct(stage, "Generate").generate_data_key_pair_without_plaintext(
        KeyId=stage.output(STACK, "KeyArn"), KeyPairSpec="RSA_3072", EncryptionContext=context
    )
    return "made"


@pairs.scenario(
    who="generate function's role",
    what="asks for the private key as well",
    expected="refused: AccessDeniedException (kms:GenerateDataKeyPair)",
)
def private_key_as_well(stage: Stage) -> str:
    context = {**TENANT, "key-usage": "SIGN_VERIFY"}
    _direct(stage, "Generate").generate_data_key_pair(
        KeyId=stage.output(STACK, "KeyArn"), KeyPairSpec="ECC_NIST_P256", EncryptionContext=context
    )
    return "made"


@pairs.scenario(who="maker", what="asks for a pair without the context", expected="refused: EncryptionContextRequired")
def pair_without_context(stage: Stage) -> str:
    return str(_make(stage, "ECC_NIST_P256", "SIGN_VERIFY", context={}))


@pairs.scenario(
    who="signer", what="signs under another tenant's context", expected="refused: InvalidCiphertextException"
)
def signing_under_another_context(stage: Stage) -> str:
    return _sign(stage, _signing(stage), context={"tenant": "b"}).hex()


@pairs.scenario(
    who="signer", what="signs with a pair that is for decryption", expected="refused: InvalidCiphertextException"
)
def signing_with_a_decrypting_pair(stage: Stage) -> str:
    return _sign(stage, _pair(stage, "RSA_2048", "ENCRYPT_DECRYPT")).hex()


@pairs.scenario(
    who="sign function's role",
    what="opens a pair that is for decryption",
    expected="refused: AccessDeniedException (kms:Decrypt)",
)
def opening_a_decrypting_pair(stage: Stage) -> str:
    blob = base64.b64decode(_pair(stage, "RSA_2048", "ENCRYPT_DECRYPT")["encryptedPrivateKey"])
    context = {**TENANT, "key-usage": "ENCRYPT_DECRYPT"}
    key = stage.output(STACK, "KeyArn")
    _direct(stage, "Sign").decrypt(KeyId=key, CiphertextBlob=blob, EncryptionContext=context)
    return "opened"


@pairs.scenario(
    who="another role, with kms:Decrypt in IAM",
    what="opens the signing pair",
    expected="refused: AccessDeniedException (kms:Decrypt)",
)
def opening_by_another_role(stage: Stage) -> str:
    key = stage.output(STACK, "KeyArn")
    kms = other_role(stage, "kms", "kms-patterns-demo-pair-thief", [("kms:Decrypt", key)])
    blob = base64.b64decode(_signing(stage)["encryptedPrivateKey"])
    kms.decrypt(KeyId=key, CiphertextBlob=blob, EncryptionContext={**TENANT, "key-usage": "SIGN_VERIFY"})
    return "opened"


@pairs.scenario(
    who="maker",
    what="invokes the sign function",
    expected="refused: AccessDeniedException (lambda:InvokeFunction)",
)
def maker_may_not_sign(stage: Stage) -> str:
    return _sign(stage, _signing(stage), role="Maker").hex()


@pairs.scenario(
    who="maker", what="exceeds the quota for longer than 3 s", expected="refused: ThrottlingException, within 10 s"
)
def quota_exceeded(stage: Stage) -> str:
    stage.aws.inject_faults({"kind": "throttle", "service": "kms", "operation": "GenerateDataKeyPairWithoutPlaintext"})
    try:
        return _timed(stage)
    finally:
        stage.aws.inject_faults()


def _timed(stage: Stage) -> str:
    start = time.monotonic()
    try:
        _make(stage, "ECC_NIST_P256", "SIGN_VERIFY")
    except ClientError as error:
        soon = "within 10 s" if time.monotonic() - start < _SOON else "too late"
        return f"refused: {error.response['Error']['Code']}, {soon}"
    return "made"


def _direct(stage: Stage, function: str) -> Any:
    return function_client(stage, "kms", STACK, f"{function}RoleArn")
