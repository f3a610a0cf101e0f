"""The rows of the KMS contract, and where they run: the embedded AWS, or with ``--contract-profile`` a real account."""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import boto3
import botocore
import pytest
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from kms_patterns.local.server.kms.permissions import PERMISSIONS
from kms_runtime.kms_model import ml_kem_session
from tests.conftest import users_settings

CONTEXT = {"tenant": "a", "purpose": "contract"}
MESSAGE = b"a message of the contract"
DIGEST = hashlib.sha256(MESSAGE).digest()
MISSING = "00000000-0000-0000-0000-000000000000"
TAG = {"TagKey": "kms-patterns", "TagValue": "contract"}


class Bench:
    """One account: the embedded AWS's root, or a real one's profile.

    ``made`` is what must be cleaned up, ``outcomes`` what came of each row: operation, case, expected, found;
    ``cells`` the same of each operation and type of key.
    """

    def __init__(self, kms: Any) -> None:
        self.kms = kms
        self.made: list[str] = []
        self.outcomes: list[tuple[str, str, str, str]] = []
        self.cells: list[tuple[str, str, str, str]] = []
        self._keys: dict[tuple[str, str], str] = {}

    def key(self, spec: str = "SYMMETRIC_DEFAULT", usage: str = "ENCRYPT_DECRYPT") -> str:
        """Return the one key of a spec and usage."""
        if (spec, usage) not in self._keys:
            self._keys[spec, usage] = self.new(KeySpec=spec, KeyUsage=usage)
        return self._keys[spec, usage]

    def new(self, **request: Any) -> str:
        """Make a key of its own for one row."""
        made = self.kms.create_key(Description="kms-patterns contract test", Tags=[TAG], **request)
        self.made.append(made["KeyMetadata"]["Arn"])
        return self.made[-1]

    @cached_property
    def other(self) -> str:
        """A second symmetric key."""
        return self.new()

    @cached_property
    def disabled(self) -> str:
        """A disabled key."""
        key = self.new()
        self.kms.disable_key(KeyId=key)
        return key

    @cached_property
    def pending_deletion(self) -> str:
        """A key on its way out."""
        key = self.new()
        self.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        return key

    @cached_property
    def pending_import(self) -> str:
        """A key without material."""
        return self.new(Origin="EXTERNAL")

    @cached_property
    def ciphertext(self) -> bytes:
        """``MESSAGE`` under the symmetric key and ``CONTEXT``."""
        blob: bytes = self.kms.encrypt(KeyId=self.key(), Plaintext=MESSAGE, EncryptionContext=CONTEXT)["CiphertextBlob"]
        return blob

    @cached_property
    def signature(self) -> bytes:
        """The P-256 signature of ``MESSAGE``."""
        answer = self.kms.sign(KeyId=self.p256, Message=MESSAGE, SigningAlgorithm="ECDSA_SHA_256")
        signature: bytes = answer["Signature"]
        return signature

    @property
    def p256(self) -> str:
        """The P-256 signing key."""
        return self.key("ECC_NIST_P256", "SIGN_VERIFY")

    @property
    def hmac(self) -> str:
        """The HMAC key."""
        return self.key("HMAC_256", "GENERATE_VERIFY_MAC")

    @property
    def rsa(self) -> str:
        """The RSA encryption key."""
        return self.key("RSA_2048")

    @property
    def rsa_signing(self) -> str:
        """The RSA signing key."""
        return self.key("RSA_2048", "SIGN_VERIFY")

    @property
    def agreement(self) -> str:
        """The key agreement key."""
        return self.key("ECC_NIST_P256", "KEY_AGREEMENT")

    @property
    def ml_kem(self) -> str:
        """The ML-KEM-768 key."""
        return self.key("ML_KEM_768", "ENCAPSULATE_DECAPSULATE")

    @cached_property
    def encapsulated(self) -> bytes:
        """The ciphertext of a secret under the ML-KEM-768 key."""
        made = self.kms.encapsulate(KeyId=self.ml_kem, EncapsulationAlgorithm="ML_KEM")
        return bytes(made["SharedSecretCiphertextBlob"])

    def clean_up(self) -> list[str]:
        """Schedule every key for deletion, as soon as KMS allows; return those that could not be."""
        left = []
        for key in self.made:
            try:
                self.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
            except self.kms.exceptions.KMSInvalidStateException:
                continue  # already scheduled, by the row that needed it
            except Exception as failed:  # noqa: BLE001 - the others must be tried, this one reported
                left.append(f"{key}: {failed}")
        return left


def foreign_public_key(curve: ec.EllipticCurve) -> bytes:
    """Return a public key that is not in KMS, DER."""
    public = ec.generate_private_key(curve).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


API = "https://docs.aws.amazon.com/kms/latest/APIReference/API_{}.html"
SERVICE, SOURCE = "dynamodb.amazonaws.com", "arn:aws:dynamodb:us-east-1:111122223333:table/orders"
PSS, OAEP = "RSASSA_PSS_SHA_256", "RSAES_OAEP_SHA_256"
_INVALID, _USAGE = "ValidationException", "InvalidKeyUsageException"
_STATE = "KMSInvalidStateException"
_ML_KEM = ("ML_KEM_768", "ENCAPSULATE_DECAPSULATE")


@dataclass(frozen=True)
class Row:
    """One row. ``expected`` is an error code, or ``ok``, or what ``call`` returns."""

    operation: str
    case: str
    call: Callable[[Bench], Any]
    expected: object = "ok"

    @property
    def page(self) -> str:
        """The page of AWS's documentation."""
        return API.format(self.operation)


def _encrypt(bench: Bench, **request: Any) -> Any:
    return bench.kms.encrypt(**{"KeyId": bench.key(), "Plaintext": MESSAGE} | request)


def _decrypt(bench: Bench, **request: Any) -> Any:
    call = {"CiphertextBlob": bench.ciphertext, "EncryptionContext": CONTEXT} | request
    return bench.kms.decrypt(**call)["Plaintext"]


def _data_key(bench: Bench, **request: Any) -> int:
    return len(bench.kms.generate_data_key(**{"KeyId": bench.key()} | request)["Plaintext"])


def _re_encrypt(bench: Bench, **request: Any) -> Any:
    call = {"CiphertextBlob": bench.ciphertext, "SourceEncryptionContext": CONTEXT, "DestinationKeyId": bench.other}
    return bench.kms.re_encrypt(**call | request)


def _sign(bench: Bench, **request: Any) -> Any:
    return bench.kms.sign(**{"KeyId": bench.p256, "Message": MESSAGE, "SigningAlgorithm": "ECDSA_SHA_256"} | request)


def _verify(bench: Bench, **request: Any) -> Any:
    call = {"KeyId": bench.p256, "Message": MESSAGE, "SigningAlgorithm": "ECDSA_SHA_256", "Signature": bench.signature}
    return bench.kms.verify(**call | request)["SignatureValid"]


def _mac(bench: Bench, **request: Any) -> Any:
    return bench.kms.generate_mac(**{"KeyId": bench.hmac, "Message": MESSAGE, "MacAlgorithm": "HMAC_SHA_256"} | request)


def _derive(bench: Bench, **request: Any) -> int:
    public_key = foreign_public_key(ec.SECP256R1())
    call = {"KeyId": bench.agreement, "KeyAgreementAlgorithm": "ECDH", "PublicKey": public_key}
    return len(bench.kms.derive_shared_secret(**call | request)["SharedSecret"])


def _decapsulate(bench: Bench, **request: Any) -> Any:
    call = {"KeyId": bench.ml_kem, "EncapsulationAlgorithm": "ML_KEM", "SharedSecretCiphertextBlob": bench.encapsulated}
    return bench.kms.decapsulate(**call | request)["SharedSecret"]


def _encapsulate(bench: Bench, **request: Any) -> Any:
    return bench.kms.encapsulate(**{"KeyId": bench.ml_kem, "EncapsulationAlgorithm": "ML_KEM"} | request)


def _secrets_agree(bench: Bench) -> bool:
    made = _encapsulate(bench)
    opened = _decapsulate(bench, SharedSecretCiphertextBlob=made["SharedSecretCiphertextBlob"])
    return bool(made["SharedSecret"] == opened)


def _on(bench: Bench, operation: str, key: str) -> Any:
    return getattr(bench.kms, operation)(KeyId=key)


def _disabled(bench: Bench, spec: str = "ECC_NIST_P256", usage: str = "SIGN_VERIFY") -> str:
    key = bench.new(KeySpec=spec, KeyUsage=usage)
    bench.kms.disable_key(KeyId=key)
    return key


def _flipped(blob: bytes) -> bytes:
    return blob[:-1] + bytes([blob[-1] ^ 1])


def _last_usage(bench: Bench) -> dict[str, Any]:
    return dict(bench.kms.get_key_last_usage(KeyId=bench.new()))


def _grant_to_a_service(bench: Bench, **more: Any) -> Any:
    return bench.kms.create_grant(KeyId=bench.key(), GranteeServicePrincipal=SERVICE, Operations=["Decrypt"], **more)


def imported(kms: Any, key: str, material: bytes | None = None, **more: str) -> str:
    """Import key material, new unless it is given, and return its id."""
    wrapping = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
    given = kms.get_parameters_for_import(KeyId=key, **wrapping)
    public: Any = load_der_public_key(given["PublicKey"])
    wrapped = public.encrypt(material or os.urandom(32), padding.OAEP(padding.MGF1(SHA256()), SHA256(), None))
    call = {"ImportToken": given["ImportToken"], "EncryptedKeyMaterial": wrapped}
    model = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
    # Material that is not of a symmetric key has no id.
    return str(kms.import_key_material(KeyId=key, **call, **model, **more).get("KeyMaterialId"))


def _states(bench: Bench, key: str) -> dict[str, str]:
    """Return the state of each key material."""
    found = bench.kms.list_key_rotations(KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
    return {rotation["KeyMaterialId"]: rotation["KeyMaterialState"] for rotation in found}


def _second_material(bench: Bench, **request: Any) -> list[str]:
    """Return the states of a new key's materials: two were imported, the second one waits."""
    key = bench.new(Origin="EXTERNAL", **request)
    materials = [imported(bench.kms, key), imported(bench.kms, key, ImportType="NEW_KEY_MATERIAL")]
    return [_states(bench, key)[material] for material in materials]


def _rotated_to_imported(bench: Bench, **request: Any) -> bytes:
    key = bench.new(Origin="EXTERNAL", **request)
    imported(bench.kms, key)
    blob = bench.kms.encrypt(KeyId=key, Plaintext=MESSAGE)["CiphertextBlob"]
    imported(bench.kms, key, ImportType="NEW_KEY_MATERIAL")
    bench.kms.rotate_key_on_demand(KeyId=key)
    return bytes(bench.kms.decrypt(CiphertextBlob=blob)["Plaintext"])


def _replicated(bench: Bench, use: Callable[[str, bytes, Any], Any]) -> Any:
    """Use an imported multi-Region key, its second material, and a client of its replica, which has the first."""
    here, server = bench.kms.meta.region_name, str(bench.kms.meta.endpoint_url)
    there = "us-east-1" if here == "us-west-2" else "us-west-2"
    verify = bench.kms._endpoint.http_session._verify
    named = {} if urlsplit(server).hostname == f"kms.{here}.amazonaws.com" else {"endpoint_url": server}
    away: Any = _session(bench, there).client("kms", config=CONFIG, verify=verify, **named)
    key, materials = bench.new(Origin="EXTERNAL", MultiRegion=True), [os.urandom(32), os.urandom(32)]
    imported(bench.kms, key, materials[0])
    bench.kms.replicate_key(KeyId=key, ReplicaRegion=there)
    replica = key.replace(f":{here}:", f":{there}:")
    try:
        while away.describe_key(KeyId=replica)["KeyMetadata"]["KeyState"] == "Creating":
            time.sleep(10)
        imported(away, replica, materials[0])
        imported(bench.kms, key, materials[1], ImportType="NEW_KEY_MATERIAL")
        return use(key, materials[1], away)
    finally:
        away.schedule_key_deletion(KeyId=replica, PendingWindowInDays=7)


def _older_again(bench: Bench) -> list[str]:
    """Return the states of two materials, the first of which was imported again after the rotation to the second."""
    key, first = bench.new(Origin="EXTERNAL"), os.urandom(32)
    materials = [imported(bench.kms, key, first), imported(bench.kms, key, ImportType="NEW_KEY_MATERIAL")]
    bench.kms.rotate_key_on_demand(KeyId=key)
    imported(bench.kms, key, first, ImportType="EXISTING_KEY_MATERIAL")
    return [_states(bench, key)[material] for material in materials]


def _rotated_without_material(bench: Bench) -> Any:
    key = bench.new(Origin="EXTERNAL")
    imported(bench.kms, key)
    return bench.kms.rotate_key_on_demand(KeyId=key)


def _service_grant(bench: Bench) -> Any:
    """Return the grant to a service as ListGrants shows it."""
    bound = {"Constraints": {"SourceArn": SOURCE}, "RetiringServicePrincipal": SERVICE}
    made = _grant_to_a_service(bench, **bound)["GrantId"]
    listed = bench.kms.list_grants(KeyId=bench.key(), GrantId=made)["Grants"]
    bench.kms.revoke_grant(KeyId=bench.key(), GrantId=made)
    members = ("GranteePrincipal", "GranteeServicePrincipal", "RetiringServicePrincipal")
    return [[name, grant[name]] for grant in listed for name in members if name in grant]


def _session(bench: Bench, region: str) -> boto3.Session:
    credentials = bench.kms._request_signer._credentials.get_frozen_credentials()
    return boto3.Session(*credentials[:3], region_name=region)


def _rotated_with_its_replica(bench: Bench, key: str, material: bytes, away: Any) -> bytes:
    blob, replica = bench.kms.encrypt(KeyId=key, Plaintext=MESSAGE)["CiphertextBlob"], key.rpartition("/")[2]
    imported(away, replica, material)
    bench.kms.rotate_key_on_demand(KeyId=key)
    again = away.re_encrypt(CiphertextBlob=blob, DestinationKeyId=replica)["CiphertextBlob"]
    return bytes(bench.kms.decrypt(CiphertextBlob=again, KeyId=key)["Plaintext"])


def _dual_stack(bench: Bench) -> str:
    """Encrypt through ``kms.<region>.api.aws``, and return the host's name without the Region."""
    region, server = bench.kms.meta.region_name, urlsplit(bench.kms.meta.endpoint_url)
    verify = bench.kms._endpoint.http_session._verify
    client: Any = _session(bench, region).client(
        "kms", config=CONFIG.merge(Config(use_dualstack_endpoint=True)), verify=verify
    )
    host = str(urlsplit(client.meta.endpoint_url).hostname)

    def reach(request: Any, **_: Any) -> None:
        # The embedded AWS has no names in DNS: it is told by the header which host was meant.
        request.headers["Host"] = host
        request.url = urlunsplit((server.scheme, server.netloc, *urlsplit(request.url)[2:]))

    if not str(server.hostname).endswith(".amazonaws.com"):
        client.meta.events.register("before-send.kms", reach)
    made = client.encrypt(KeyId=bench.key(), Plaintext=MESSAGE)
    assert bench.kms.decrypt(CiphertextBlob=made["CiphertextBlob"])["Plaintext"] == MESSAGE
    return host.replace(f".{region}.", ".<region>.")


def _after_rotation(bench: Bench) -> bytes:
    key = bench.new()
    blob = bench.kms.encrypt(KeyId=key, Plaintext=MESSAGE)["CiphertextBlob"]
    bench.kms.rotate_key_on_demand(KeyId=key)
    return bytes(bench.kms.decrypt(CiphertextBlob=blob)["Plaintext"])


ROWS = [
    Row("Encrypt", "4096 bytes",
        lambda b: _encrypt(b, Plaintext=b"x" * 4096)["EncryptionAlgorithm"], "SYMMETRIC_DEFAULT"),
    Row("Encrypt", "4097 bytes", lambda b: _encrypt(b, Plaintext=b"x" * 4097), _INVALID),
    Row("Encrypt", "no bytes", lambda b: _encrypt(b, Plaintext=b""), _INVALID),
    Row("Encrypt", "a key that does not exist", lambda b: _encrypt(b, KeyId=MISSING), "NotFoundException"),
    Row("Encrypt", "an alias that does not exist", lambda b: _encrypt(b, KeyId="alias/none-here"), "NotFoundException"),
    Row("Encrypt", "a disabled key", lambda b: _encrypt(b, KeyId=b.disabled), "DisabledException"),
    Row("Encrypt", "a key pending deletion",
        lambda b: _encrypt(b, KeyId=b.pending_deletion), "KMSInvalidStateException"),
    Row("Encrypt", "a key pending import", lambda b: _encrypt(b, KeyId=b.pending_import), "KMSInvalidStateException"),
    Row("Encrypt", "a signing key", lambda b: _encrypt(b, KeyId=b.p256), _USAGE),
    Row("Encrypt", "an RSA algorithm, a symmetric key", lambda b: _encrypt(b, EncryptionAlgorithm=OAEP), _USAGE),
    Row("Encrypt", "RSA-2048, 190 bytes",
        lambda b: _encrypt(b, KeyId=b.rsa, Plaintext=b"x" * 190, EncryptionAlgorithm=OAEP)["EncryptionAlgorithm"],
        OAEP),
    Row("Encrypt", "RSA-2048, 191 bytes",
        lambda b: _encrypt(b, KeyId=b.rsa, Plaintext=b"x" * 191, EncryptionAlgorithm=OAEP), _INVALID),
    Row("Encrypt", "RSA without an algorithm", lambda b: _encrypt(b, KeyId=b.rsa), _USAGE),
    Row("Encrypt", "a dry run", lambda b: _encrypt(b, DryRun=True), "DryRunOperationException"),
    Row("Encrypt", "a token of no grant", lambda b: _encrypt(b, GrantTokens=["bm9uZQ"]), "InvalidGrantTokenException"),
    Row("Decrypt", "the same context", _decrypt, MESSAGE),
    Row("Decrypt", "the pairs in another order",
        lambda b: _decrypt(b, EncryptionContext=dict(reversed(CONTEXT.items()))), MESSAGE),
    Row("Decrypt", "another context",
        lambda b: _decrypt(b, EncryptionContext={"tenant": "b"}), "InvalidCiphertextException"),
    Row("Decrypt", "no context", lambda b: _decrypt(b, EncryptionContext={}), "InvalidCiphertextException"),
    Row("Decrypt", "an altered ciphertext",
        lambda b: _decrypt(b, CiphertextBlob=_flipped(b.ciphertext)), "InvalidCiphertextException"),
    Row("Decrypt", "no ciphertext of KMS",
        lambda b: _decrypt(b, CiphertextBlob=b"x" * 100), "InvalidCiphertextException"),
    Row("Decrypt", "another key named", lambda b: _decrypt(b, KeyId=b.other), "IncorrectKeyException"),
    Row("Decrypt", "RSA, a ciphertext of another length",
        lambda b: _decrypt(b, KeyId=b.rsa, EncryptionAlgorithm=OAEP, CiphertextBlob=b"x" * 256,
        EncryptionContext={}), "InvalidCiphertextException"),
    Row("ReEncrypt", "to another key", lambda b: _re_encrypt(b)["KeyId"] == b.other, True),
    Row("ReEncrypt", "another source context",
        lambda b: _re_encrypt(b, SourceEncryptionContext={}), "InvalidCiphertextException"),
    Row("ReEncrypt", "another source key named",
        lambda b: _re_encrypt(b, SourceKeyId=b.other), "IncorrectKeyException"),
    Row("ReEncrypt", "to RSA", lambda b: _re_encrypt(b, DestinationKeyId=b.rsa,
        DestinationEncryptionAlgorithm=OAEP)["DestinationEncryptionAlgorithm"], OAEP),
    Row("GenerateDataKey", "AES_256", lambda b: _data_key(b, KeySpec="AES_256"), 32),
    Row("GenerateDataKey", "AES_128", lambda b: _data_key(b, KeySpec="AES_128"), 16),
    Row("GenerateDataKey", "1024 bytes", lambda b: _data_key(b, NumberOfBytes=1024), 1024),
    Row("GenerateDataKey", "1025 bytes", lambda b: _data_key(b, NumberOfBytes=1025), _INVALID),
    Row("GenerateDataKey", "spec and number", lambda b: _data_key(b, KeySpec="AES_256", NumberOfBytes=32), _INVALID),
    Row("GenerateDataKey", "neither spec nor number", _data_key, _INVALID),
    Row("GenerateDataKey", "an RSA key", lambda b: _data_key(b, KeyId=b.rsa, KeySpec="AES_256"), _USAGE),
    Row("GenerateDataKeyPair", "ECC_NIST_P256",
        lambda b: b.kms.generate_data_key_pair(KeyId=b.key(), KeyPairSpec="ECC_NIST_P256")["KeyPairSpec"],
        "ECC_NIST_P256"),
    Row("GenerateDataKeyPair", "an RSA key",
        lambda b: b.kms.generate_data_key_pair(KeyId=b.rsa, KeyPairSpec="ECC_NIST_P256"), _USAGE),
    Row("GenerateDataKeyPair", "no such spec",
        lambda b: b.kms.generate_data_key_pair(KeyId=b.key(), KeyPairSpec="RSA_1024"), _INVALID),
    Row("Sign", "a digest",
        lambda b: _sign(b, Message=DIGEST, MessageType="DIGEST")["SigningAlgorithm"], "ECDSA_SHA_256"),
    Row("Sign", "a digest of another length", lambda b: _sign(b, Message=b"x" * 31, MessageType="DIGEST"), _INVALID),
    Row("Sign", "4097 bytes", lambda b: _sign(b, Message=b"x" * 4097), _INVALID),
    Row("Sign", "an algorithm of another spec", lambda b: _sign(b, SigningAlgorithm=PSS), _USAGE),
    Row("Sign", "a symmetric key", lambda b: _sign(b, KeyId=b.key(), SigningAlgorithm=PSS), _USAGE),
    Row("Sign", "RSA", lambda b: len(_sign(b, KeyId=b.rsa_signing, SigningAlgorithm=PSS)["Signature"]), 256),
    Row("Sign", "ML-DSA-65", lambda b: len(_sign(b, KeyId=b.key("ML_DSA_65", "SIGN_VERIFY"),
        SigningAlgorithm="ML_DSA_SHAKE_256")["Signature"]), 3309),
    Row("Sign", "Ed25519", lambda b: len(_sign(b, KeyId=b.key("ECC_NIST_EDWARDS25519", "SIGN_VERIFY"),
        SigningAlgorithm="ED25519_SHA_512")["Signature"]), 64),
    Row("Sign", "a dry run", lambda b: _sign(b, DryRun=True), "DryRunOperationException"),
    Row("Verify", "the signature", _verify, True),
    Row("Verify", "the digest", lambda b: _verify(b, Message=DIGEST, MessageType="DIGEST"), True),
    Row("Verify", "another message", lambda b: _verify(b, Message=b"other"), "KMSInvalidSignatureException"),
    Row("Verify", "an altered signature",
        lambda b: _verify(b, Signature=_flipped(b.signature)), "KMSInvalidSignatureException"),
    Row("GenerateMac", "HMAC_256", lambda b: len(_mac(b)["Mac"]), 32),
    Row("GenerateMac", "an algorithm of another spec", lambda b: _mac(b, MacAlgorithm="HMAC_SHA_512"), _USAGE),
    Row("GenerateMac", "a symmetric key", lambda b: _mac(b, KeyId=b.key()), _USAGE),
    Row("VerifyMac", "another MAC",
        lambda b: b.kms.verify_mac(KeyId=b.hmac, Message=MESSAGE, MacAlgorithm="HMAC_SHA_256", Mac=b"x" * 32),
        "KMSInvalidMacException"),
    Row("GetPublicKey", "a signing key",
        lambda b: b.kms.get_public_key(KeyId=b.p256)["SigningAlgorithms"], ["ECDSA_SHA_256"]),
    Row("GetPublicKey", "a symmetric key",
        lambda b: b.kms.get_public_key(KeyId=b.key()), "UnsupportedOperationException"),
    Row("GetPublicKey", "an HMAC key", lambda b: b.kms.get_public_key(KeyId=b.hmac), "UnsupportedOperationException"),
    Row("DeriveSharedSecret", "the same curve", _derive, 32),
    Row("DeriveSharedSecret", "another curve",
        lambda b: _derive(b, PublicKey=foreign_public_key(ec.SECP384R1())), _INVALID),
    Row("DeriveSharedSecret", "a signing key", lambda b: _derive(b, KeyId=b.p256), _USAGE),
    Row("Encapsulate", "ML-KEM-768", lambda b: len(_encapsulate(b)["SharedSecretCiphertextBlob"]), 1088),
    Row("Encapsulate", "a signing key", lambda b: _encapsulate(b, KeyId=b.p256), _USAGE),
    Row("Encapsulate", "another algorithm", lambda b: _encapsulate(b, EncapsulationAlgorithm="RSA"), _INVALID),
    Row("Encapsulate", "a dry run", lambda b: _encapsulate(b, DryRun=True), "DryRunOperationException"),
    Row("Encapsulate", "a key that does not exist", lambda b: _encapsulate(b, KeyId=MISSING), "NotFoundException"),
    Row("Encapsulate", "a disabled key", lambda b: _encapsulate(b, KeyId=_disabled(b, *_ML_KEM)), "DisabledException"),
    Row("Encapsulate", "a token of no grant",
        lambda b: _encapsulate(b, GrantTokens=["bm9uZQ"]), "InvalidGrantTokenException"),
    Row("Decapsulate", "a key that does not exist", lambda b: _decapsulate(b, KeyId=MISSING), "NotFoundException"),
    Row("Decapsulate", "a disabled key", lambda b: _decapsulate(b, KeyId=_disabled(b, *_ML_KEM)), "DisabledException"),
    Row("Decapsulate", "a dry run", lambda b: _decapsulate(b, DryRun=True), "DryRunOperationException"),
    Row("Decapsulate", "another algorithm", lambda b: _decapsulate(b, EncapsulationAlgorithm="RSA"), _INVALID),
    Row("Decapsulate", "the secret that was encapsulated", _secrets_agree, True),
    Row("GetPublicKey", "ML-KEM-768",
        lambda b: b.kms.get_public_key(KeyId=b.ml_kem)["EncapsulationAlgorithms"], ["ML_KEM"]),
    Row("Decapsulate", "ML-KEM-768", lambda b: len(_decapsulate(b)), 32),
    Row("Decapsulate", "altered: 32 other bytes",
        lambda b: len(_decapsulate(b, SharedSecretCiphertextBlob=_flipped(b.encapsulated))), 32),
    Row("Decapsulate", "a byte too few",
        lambda b: _decapsulate(b, SharedSecretCiphertextBlob=b.encapsulated[1:]), "InvalidCiphertextException"),
    Row("Decapsulate", "a key agreement key", lambda b: _decapsulate(b, KeyId=b.agreement), _USAGE),
    Row("CreateKey", "ML-KEM-768 for key agreement",
        lambda b: b.new(KeySpec="ML_KEM_768", KeyUsage="KEY_AGREEMENT"), _INVALID),
    Row("GetKeyLastUsage", "a new key", lambda b: bool(_last_usage(b).get("KeyLastUsage")), False),
    Row("GetKeyLastUsage", "a new key is tracked from its creation",
        lambda b: _last_usage(b)["KeyCreationDate"] >= _last_usage(b)["TrackingStartDate"], True),
    Row("GetKeyLastUsage", "a key that does not exist",
        lambda b: b.kms.get_key_last_usage(KeyId=MISSING), "NotFoundException"),
    Row("CreateGrant", "to a service, listed and revoked", _service_grant,
        [["GranteeServicePrincipal", SERVICE], ["RetiringServicePrincipal", SERVICE]]),
    Row("CreateGrant", "to a service and a principal",
        lambda b: _grant_to_a_service(b, GranteePrincipal=SERVICE, RetiringServicePrincipal=SERVICE,
        Constraints={"SourceArn": SOURCE}), _INVALID),
    Row("CreateGrant", "a service without SourceArn",
        lambda b: _grant_to_a_service(b, RetiringServicePrincipal=SERVICE), _INVALID),
    Row("CreateGrant", "a service that no principal retires",
        lambda b: _grant_to_a_service(b, Constraints={"SourceArn": SOURCE}), _INVALID),
    Row("RotateKeyOnDemand", "old ciphertext is readable", _after_rotation, MESSAGE),
    Row("ImportKeyMaterial", "a second material", _second_material, ["CURRENT", "PENDING_ROTATION"]),
    Row("ImportKeyMaterial", "a second material of a multi-Region key without replicas",
        lambda b: _second_material(b, MultiRegion=True), ["CURRENT", "PENDING_ROTATION"]),
    Row("RotateKeyOnDemand", "to imported material, old ciphertext is readable", _rotated_to_imported, MESSAGE),
    Row("RotateKeyOnDemand", "to imported material of a multi-Region key",
        lambda b: _rotated_to_imported(b, MultiRegion=True), MESSAGE),
    Row("ImportKeyMaterial", "a second material that a replica has not yet",
        lambda b: _replicated(b, lambda key, _, _away: sorted(_states(b, key).values())),
        ["CURRENT", "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"]),
    Row("ImportKeyMaterial", "a material of before a rotation again", _older_again, ["NON_CURRENT", "CURRENT"]),
    Row("ImportKeyMaterial", "into a replica, not its primary's",
        lambda b: _replicated(b, lambda key, _, away: imported(away, key.rpartition("/")[2])),
        "IncorrectKeyMaterialException"),
    Row("RotateKeyOnDemand", "to imported material that a replica has not yet",
        lambda b: _replicated(b, lambda key, _, _away: _on(b, "rotate_key_on_demand", key)), _STATE),
    Row("RotateKeyOnDemand", "to imported material that its replica has, old ciphertext is readable there",
        lambda b: _replicated(b, lambda *it: _rotated_with_its_replica(b, *it)), MESSAGE),
    Row("RotateKeyOnDemand", "an imported key without a second material", _rotated_without_material, _STATE),
    Row("Encrypt", "by the dual-stack endpoint", _dual_stack, "kms.<region>.api.aws"),
    Row("RotateKeyOnDemand", "an RSA key",
        lambda b: b.kms.rotate_key_on_demand(KeyId=b.rsa), "UnsupportedOperationException"),
    Row("EnableKeyRotation", "an RSA key",
        lambda b: b.kms.enable_key_rotation(KeyId=b.rsa), "UnsupportedOperationException"),
    Row("EnableKeyRotation", "every 89 days",
        lambda b: b.kms.enable_key_rotation(KeyId=b.key(), RotationPeriodInDays=89), _INVALID),
    Row("CreateKey", "RSA without a usage", lambda b: b.new(KeySpec="RSA_2048"), _INVALID),
    Row("CreateKey", "secp256k1 for key agreement",
        lambda b: b.new(KeySpec="ECC_SECG_P256K1", KeyUsage="KEY_AGREEMENT"), _INVALID),
    Row("PutKeyPolicy", "no JSON",
        lambda b: b.kms.put_key_policy(KeyId=b.key(), Policy="{"), "MalformedPolicyDocumentException"),
    Row("CreateAlias", "alias/aws/",
        lambda b: b.kms.create_alias(AliasName="alias/aws/own", TargetKeyId=b.key()), "NotAuthorizedException"),
    Row("ScheduleKeyDeletion", "in 6 days",
        lambda b: b.kms.schedule_key_deletion(KeyId=b.key(), PendingWindowInDays=6), _INVALID),
    Row("ScheduleKeyDeletion", "again", lambda b: _on(b, "schedule_key_deletion", b.pending_deletion), _STATE),
    Row("CancelKeyDeletion", "a key that stays", lambda b: _on(b, "cancel_key_deletion", b.key()), _STATE),
    Row("EnableKey", "a key pending deletion", lambda b: _on(b, "enable_key", b.pending_deletion), _STATE),
    Row("EnableKey", "a key pending import", lambda b: _on(b, "enable_key", b.pending_import), _STATE),
    Row("GetPublicKey", "a disabled key", lambda b: _on(b, "get_public_key", _disabled(b)), "DisabledException"),
    Row("GenerateRandom", "1025 bytes", lambda b: b.kms.generate_random(NumberOfBytes=1025), _INVALID),
]  # fmt: skip


# KMS itself is to refuse, not the client; and a real account's throttling is no part of the contract.
CONFIG = Config(parameter_validation=False, retries={"mode": "standard", "max_attempts": 6})
REPORT = Path(__file__).parents[2] / "build" / "contract.md"


def write_report(bench: Bench, file: Path) -> None:
    """Write a table with pass or fail for each row that was run, and how many types of key each operation serves."""
    outcomes, cells = bench.outcomes, bench.cells
    names = {*ml_kem_session().get_service_model("kms").operation_names}
    served = names & PERMISSIONS.keys()
    lines = [
        f"botocore {botocore.__version__} with kms_runtime/models: {len(names)} operations of KMS, of which the "
        f"embedded AWS serves {len(served)}",
        "",
    ]
    lines += ["| operation | case | expected | found | |", "|---|---|---|---|---|"]
    for operation, case, expected, found in outcomes:
        verdict = "pass" if found == expected else "**fail**"
        lines.append(f"| {operation} | {case} | {expected} | {found} | {verdict} |")
    failed = sum(found != expected for _, _, expected, found in outcomes)
    lines += ["", "| operation | types of key |", "|---|---|"]
    for operation in dict.fromkeys(cell[0] for cell in cells):
        own = [
            found if found == due else f"**{found}, not {due}**" for name, _, due, found in cells if name == operation
        ]
        lines.append(f"| {operation} | {', '.join(f'{count} {found}' for found, count in Counter(own).items())} |")
    other = sum(found != due for _, _, due, found in cells)
    lines.append(f"\n{len(outcomes)} rows, {len(outcomes) - failed} pass, {failed} fail")
    lines.append(
        f"{len(cells)} pairs of operation and type of key, {len(cells) - other} as AWS's pages say, {other} not"
    )
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for a real account; ``make contract`` asks before it passes it."""
    parser.addoption("--contract-every-key", action="store_true", help="operations on each key spec, not on each type")
    parser.addoption("--contract-profile", help="an AWS profile to run the contract against: keys cost money there")


@pytest.fixture(scope="session")
def bench(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """The bench; whatever it made is scheduled for deletion at the end, also after a failure."""
    profile = pytestconfig.getoption("contract_profile", default=None)
    if profile:
        with pytest.MonkeyPatch.context() as patch:
            users_settings(patch)
            session = boto3.Session(profile_name=profile, botocore_session=ml_kem_session())
            yield from _cleaned(Bench(session.client("kms", config=CONFIG)))
        return
    yield from _cleaned(Bench(request.getfixturevalue("aws").client("kms", config=CONFIG)))


def _cleaned(bench: Bench) -> Iterator[Bench]:
    try:
        yield bench
    finally:
        write_report(bench, REPORT)
        left = bench.clean_up()
        assert not left, f"delete these keys yourself: {left}"
