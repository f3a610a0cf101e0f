"""Each type of key, deployed by the CDK command line: what is granted works, its neighbour is denied."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kms_patterns.local import LocalAws
from kms_patterns.toolchain import cdk_command, toolchain_environment

ROOT = Path(__file__).parents[2]
APP = Path(__file__).parent / "apps" / "key_family.py"
QUIET = ["--no-notices", "--no-version-reporting", "--no-color", "--ci", "--require-approval", "never"]
EC2 = "ec2.amazonaws.com"
PEER = ec.generate_private_key(ec.SECP256R1()).public_key()
PEER_KEY = PEER.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
pytestmark = pytest.mark.end_to_end


class Family:
    """The deployed keys, and sessions of the roles."""

    def __init__(self, aws: LocalAws, outputs: dict[str, str]) -> None:
        self.aws, self.outputs = aws, outputs

    def kms(self, role: str) -> Any:
        return self.aws.assume(self.outputs[role], EC2).client("kms")

    def key(self, name: str) -> str:
        return self.outputs[f"{name}Key"]


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Family]:
    folder = tmp_path_factory.mktemp("family")
    with LocalAws.start() as aws:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
        environment |= toolchain_environment(cache=ROOT / ".cache")
        environment |= aws.cdk_environment() | {"PYTHONPATH": str(ROOT / "constructs")}
        command = [*cdk_command(ROOT), "deploy", "--app", f"{sys.executable} {APP}", "--output", str(folder / "out")]
        outputs = folder / "outputs.json"
        done = subprocess.run(
            [*command, "--outputs-file", str(outputs), *QUIET],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield Family(aws, json.loads(outputs.read_text())["KeyFamily"])


def encrypt(kms: Any, key: str, **more: Any) -> Any:
    return kms.encrypt(KeyId=key, Plaintext=b"secret", **more)


def made(family: Family, call: str, key: str, **request: Any) -> Any:
    """What the root of the account, whom no policy binds here, makes for the operations that read it."""
    return getattr(family.aws.client("kms"), call)(KeyId=family.key(key), **request)


OAEP = {"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
ECDSA = {"SigningAlgorithm": "ECDSA_SHA_256", "Message": b"message"}
HMAC = {"MacAlgorithm": "HMAC_SHA_256", "Message": b"message"}
PAIR = {"KeyPairSpec": "ECC_NIST_P256"}
DATA_KEY = {"KeySpec": "AES_256"}
AGREEMENT = {"KeyAgreementAlgorithm": "ECDH", "PublicKey": PEER_KEY}

Request = Callable[[Family], dict[str, Any]]
OPERATIONS: dict[str, tuple[str, str, Request]] = {
    "SymmetricEncrypt": ("Symmetric", "encrypt", lambda _: {"Plaintext": b"secret"}),
    "SymmetricDecrypt": (
        "Symmetric",
        "decrypt",
        lambda it: {"CiphertextBlob": made(it, "encrypt", "Symmetric", Plaintext=b"secret")["CiphertextBlob"]},
    ),
    "SymmetricGenerateDataKey": ("Symmetric", "generate_data_key", lambda _: DATA_KEY),
    "SymmetricGenerateDataKeyWithoutPlaintext": (
        "Symmetric",
        "generate_data_key_without_plaintext",
        lambda _: DATA_KEY,
    ),
    "SymmetricGenerateDataKeyPair": ("Symmetric", "generate_data_key_pair", lambda _: PAIR),
    "SymmetricGenerateDataKeyPairWithoutPlaintext": (
        "Symmetric",
        "generate_data_key_pair_without_plaintext",
        lambda _: PAIR,
    ),
    "RsaEncrypt": ("Rsa", "encrypt", lambda _: {"Plaintext": b"secret", **OAEP}),
    "RsaDecrypt": (
        "Rsa",
        "decrypt",
        lambda it: {
            "CiphertextBlob": made(it, "encrypt", "Rsa", Plaintext=b"secret", **OAEP)["CiphertextBlob"],
            **OAEP,
        },
    ),
    "RsaPublicKey": ("Rsa", "get_public_key", lambda _: {}),
    "SigningSign": ("Signing", "sign", lambda _: ECDSA),
    "SigningVerify": (
        "Signing",
        "verify",
        lambda it: {"Signature": made(it, "sign", "Signing", **ECDSA)["Signature"], **ECDSA},
    ),
    "SigningPublicKey": ("Signing", "get_public_key", lambda _: {}),
    "MacGenerateMac": ("Mac", "generate_mac", lambda _: HMAC),
    "MacVerifyMac": ("Mac", "verify_mac", lambda it: {"Mac": made(it, "generate_mac", "Mac", **HMAC)["Mac"], **HMAC}),
    "AgreementDeriveSharedSecret": ("Agreement", "derive_shared_secret", lambda _: AGREEMENT),
    "AgreementPublicKey": ("Agreement", "get_public_key", lambda _: {}),
}


@pytest.mark.parametrize("role", OPERATIONS)
def test_granted_operation_succeeds(role: str, family: Family) -> None:
    key, operation, request = OPERATIONS[role]

    answer = getattr(family.kms(role), operation)(KeyId=family.key(key), **request(family))

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize("role", OPERATIONS)
def test_every_operation_that_was_not_granted_is_denied(role: str, family: Family) -> None:
    key = OPERATIONS[role][0]
    kms = family.kms(role)
    neighbours = [row for name, row in OPERATIONS.items() if row[0] == key and name != role]

    for _, operation, request in neighbours:
        with pytest.raises(ClientError, match="AccessDeniedException"):
            getattr(kms, operation)(KeyId=family.key(key), **request(family))


@pytest.mark.parametrize("spec", ["RSA2048", "ECCSECGP256K1", "ECCNISTEDWARDS25519"])
def test_key_of_another_spec_is_deployed_as_such(spec: str, family: Family) -> None:
    described = family.aws.client("kms").describe_key(KeyId=family.outputs[f"Other{spec}"])["KeyMetadata"]

    assert described["KeySpec"].replace("_", "") == spec


def test_scoped_alias_leads_to_its_key(family: Family) -> None:
    found = family.aws.client("kms").describe_key(KeyId="alias/KeyFamily/inbox")["KeyMetadata"]

    assert found["Arn"] == family.key("Rsa")
