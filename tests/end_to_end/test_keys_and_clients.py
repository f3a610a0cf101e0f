"""Every type of key, deployed and used by the roles of its grants; clients outside AWS that have a public key only."""

import base64
import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate

from demo.groups.rsa_envelopes import deliver, open_delivered, opened_digest
from demo.groups.rsa_secrets import decrypt
from demo.principals import ask_until_published
from demo.scenario import Stage
from docs.write_site import CLIENT, client_page
from kms_patterns.cli.main import main
from kms_patterns.local.aws_session import local_address
from kms_patterns.toolchain import node_executable
from kms_runtime.cli import aws_clients
from tests.browser import Browser, started
from tests.end_to_end.conftest import AWAY, HOME, Family

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "examples" / "clients"
LIMIT = 318
pytestmark = pytest.mark.end_to_end

PYTHON = [sys.executable, str(CLIENTS / "encrypt.py")]
NODE = [str(node_executable()), str(CLIENTS / "encrypt.mjs")]
OPENSSL = ["sh", str(CLIENTS / "encrypt_openssl.sh")]
needs_openssl = pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("curl")), reason="no OpenSSL or curl: `apt-get install openssl curl`"
)
SECRETS = pytest.mark.parametrize(
    ("client", "form"),
    [
        pytest.param(PYTHON, "json", id="python"),
        pytest.param(NODE, "json", id="node"),
        pytest.param(OPENSSL, "pem", id="openssl", marks=needs_openssl),
    ],
)
FILES = pytest.mark.parametrize(
    "client",
    [
        pytest.param([sys.executable, str(CLIENTS / "encrypt_file.py")], id="python"),
        pytest.param([str(node_executable()), str(CLIENTS / "encrypt_file.mjs")], id="node"),
    ],
)


def address(stage: Stage, stack: str, form: str = "json") -> str:
    """The address of a published key on this machine, once the key is there."""
    url = stage.output(stack, "PublicKeyUrl")
    assert ask_until_published(stage, url).status == 200
    return local_address(url, stage.aws.endpoint_url).removesuffix("json") + form


def outside(stage: Stage, *command: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a client that knows the certificate authority of the embedded AWS and nothing else of it."""
    trust = dict.fromkeys(("SSL_CERT_FILE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), str(stage.aws.ca_bundle))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "lambda"), "NO_PROXY": "127.0.0.1", **trust}
    return subprocess.run(command, input=given, env=environment, capture_output=True, check=False)


@SECRETS
def test_secret_encrypted_outside_aws_is_decrypted_by_the_function(client: list[str], form: str, stage: Stage) -> None:
    secret, where = os.urandom(LIMIT), address(stage, "PublicKey", form)
    before = len(stage.aws.kms_calls())
    done = outside(stage, *client, where, given=secret)
    assert done.returncode == 0, done.stderr
    assert len(stage.aws.kms_calls()) == before
    assert decrypt(stage, base64.b64decode(done.stdout)) == secret


@SECRETS
def test_client_refuses_a_secret_that_is_too_large(client: list[str], form: str, stage: Stage) -> None:
    done = outside(stage, *client, address(stage, "PublicKey", form), given=bytes(LIMIT + 1))
    assert done.returncode != 0
    assert done.stdout == b""
    assert b"318" in done.stderr or b"data too large for key size" in done.stderr


@SECRETS
def test_client_refuses_an_address_without_tls(client: list[str], form: str, stage: Stage) -> None:
    insecure = address(stage, "PublicKey", form).replace("https:", "http:")
    done = outside(stage, *client, insecure, given=b"secret")
    assert done.returncode != 0
    assert done.stdout == b""


@needs_openssl
def test_openssl_client_refuses_a_key_that_is_not_the_expected_one(stage: Stage) -> None:
    where = address(stage, "PublicKey", "pem")
    done = outside(stage, *OPENSSL, where, hashlib.sha256(b"another").hexdigest(), given=b"secret")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"is the key" in done.stderr


def test_python_client_needs_no_aws_sdk(stage: Stage) -> None:
    script = (
        "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__'); "
        "assert not {'boto3', 'botocore'} & set(sys.modules), 'the AWS SDK was loaded'"
    )
    done = outside(stage, sys.executable, "-c", script, PYTHON[1], address(stage, "PublicKey"), given=b"secret")
    assert done.returncode == 0, done.stderr


@FILES
@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, 1_000_003])
def test_file_encrypted_outside_aws_is_opened_by_the_function(
    client: list[str], size: int, stage: Stage, tmp_path: Path
) -> None:
    file, message = tmp_path / "letter", tmp_path / "letter.encrypted"
    file.write_bytes(os.urandom(size))
    where, before = address(stage, "RsaEnvelope"), len(stage.aws.kms_calls())
    done = outside(stage, *client, where, str(file), str(message), "Zoë")
    assert done.returncode == 0, done.stderr
    assert len(stage.aws.kms_calls()) == before
    key = f"{Path(client[1]).suffix}-{size}"
    deliver(stage, f"{key}.encrypted", message.read_bytes())
    open_delivered(stage, f"{key}.encrypted", {"sender": "Zoë"})
    assert opened_digest(stage, key) == hashlib.sha256(file.read_bytes()).hexdigest()


def run_example(stage: Stage, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / "encrypt_file.py"), *arguments]
    environment = {**os.environ, **stage.aws.environment(), "PYTHONPATH": str(ROOT / "lambda")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_file_comes_back_and_its_message_is_ciphertext(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_bytes(b"Meet me at noon. " * 100_000)
    done = run_example(stage, stage.output("Envelope", "KeyArn"), str(file), "a")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "letter.txt.decrypted").read_bytes() == file.read_bytes()
    assert b"Meet me at noon" not in (tmp_path / "letter.txt.encrypted").read_bytes()
    last = [call["action"] for call in stage.aws.kms_calls()][-2:]
    assert last == ["kms:GenerateDataKey", "kms:Decrypt"]


# Fills the fields of the page, presses its button, and returns what it shows.
FILL_IN = """(async (given) => {
  const at = (id) => document.getElementById(id)
  at('address').value = given.address
  at('secret').value = given.secret
  at('sender').value = 'page'
  if (given.file !== null) {
    const files = new DataTransfer()
    files.items.add(new File([Uint8Array.from(atob(given.file), (c) => c.charCodeAt(0))], 'letter'))
    at('file').files = files.files
  }
  // The policy of the page forbids it to fetch what it offers for download.
  const offered = []
  const create = URL.createObjectURL
  URL.createObjectURL = (blob) => { offered.push(blob); return create.call(URL, blob) }
  at(given.file === null ? 'encrypt-secret' : 'encrypt-file').click()
  const shown = () => at('ciphertext').textContent || at('error').textContent || !at('message').hidden
  while (!shown()) await new Promise((resolve) => setTimeout(resolve, 20))
  let message = null
  if (!at('message').hidden) {
    const bytes = new Uint8Array(await offered.at(-1).arrayBuffer())
    message = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
  }
  return { ciphertext: at('ciphertext').textContent, error: at('error').textContent, message }
})(GIVEN)"""


def certificate_pin(endpoint_url: str) -> str:
    """The only certificate that the browser is to trust besides those it knows: that of the embedded AWS."""
    where = urlsplit(endpoint_url)
    assert where.hostname
    assert where.port
    certificate = load_pem_x509_certificate(ssl.get_server_certificate((where.hostname, where.port)).encode())
    public_key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(public_key).digest()).decode()


@pytest.fixture(scope="module")
def browser(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    pin = f"--ignore-certificate-errors-spki-list={certificate_pin(stage.aws.endpoint_url)}"
    with started(tmp_path_factory.mktemp("profile"), [pin]) as browser:
        yield browser


@pytest.fixture
def use_page(stage: Stage, browser: Browser) -> Callable[..., dict[str, Any]]:
    """Fill in the page, opened as a file, and return what it shows; without a file, the secret's button is pressed."""

    def use(stack: str, *, secret: str = "", file: bytes | None = None) -> dict[str, Any]:
        url = stage.output(stack, "PublicKeyUrl")
        assert ask_until_published(stage, url).status == 200
        given = {
            "address": local_address(url, stage.aws.endpoint_url),
            "secret": secret,
            "file": None if file is None else base64.b64encode(file).decode(),
        }
        shown: dict[str, Any] = browser.run(CLIENT.as_uri(), FILL_IN.replace("GIVEN", json.dumps(given)))
        return shown

    return use


def test_page_is_as_written() -> None:
    assert CLIENT.read_text(encoding="utf-8") == client_page()


def test_secret_encrypted_in_the_page_is_decrypted_by_the_function(
    use_page: Callable[..., dict[str, Any]], stage: Stage
) -> None:
    secret = "größtes Geheimnis " * 15
    before = len(stage.aws.kms_calls())
    shown = use_page("PublicKey", secret=secret)
    assert shown["error"] == ""
    assert len(stage.aws.kms_calls()) == before
    assert decrypt(stage, base64.b64decode(shown["ciphertext"])).decode() == secret


def test_page_refuses_a_secret_that_is_too_large(use_page: Callable[..., dict[str, Any]]) -> None:
    shown = use_page("PublicKey", secret="x" * 319)
    assert shown == {
        "ciphertext": "",
        "error": "the secret has 319 bytes; this key takes 1 to 318: encrypt more as a file",
        "message": None,
    }


def test_file_encrypted_in_the_page_is_opened_by_the_function(
    use_page: Callable[..., dict[str, Any]], stage: Stage
) -> None:
    file = os.urandom(600_001)
    shown = use_page("RsaEnvelope", file=file)
    assert shown["error"] == ""
    deliver(stage, "page.encrypted", base64.b64decode(shown["message"]))
    open_delivered(stage, "page.encrypted", {"sender": "page"})
    assert opened_digest(stage, "page") == hashlib.sha256(file).hexdigest()


PEER = ec.generate_private_key(ec.SECP256R1()).public_key()
PEER_KEY = PEER.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

OAEP = {"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
ECDSA = {"SigningAlgorithm": "ECDSA_SHA_256", "Message": b"message"}
HMAC = {"MacAlgorithm": "HMAC_SHA_256", "Message": b"message"}
PAIR = {"KeyPairSpec": "ECC_NIST_P256"}
ML_KEM = {"EncapsulationAlgorithm": "ML_KEM"}
ML_DSA = {"SigningAlgorithm": "ML_DSA_SHAKE_256", "Message": b"message"}
DATA_KEY = {"KeySpec": "AES_256"}
AGREEMENT = {"KeyAgreementAlgorithm": "ECDH", "PublicKey": PEER_KEY}

Request = Callable[[Family], dict[str, Any]]
OPERATIONS: dict[str, tuple[str, str, Request]] = {
    "SymmetricEncrypt": ("Symmetric", "encrypt", lambda _: {"Plaintext": b"secret"}),
    "SymmetricDecrypt": (
        "Symmetric",
        "decrypt",
        lambda it: {"CiphertextBlob": it.made("encrypt", "Symmetric", Plaintext=b"secret")["CiphertextBlob"]},
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
            "CiphertextBlob": it.made("encrypt", "Rsa", Plaintext=b"secret", **OAEP)["CiphertextBlob"],
            **OAEP,
        },
    ),
    "RsaPublicKey": ("Rsa", "get_public_key", lambda _: {}),
    "SigningSign": ("Signing", "sign", lambda _: ECDSA),
    "SigningVerify": (
        "Signing",
        "verify",
        lambda it: {"Signature": it.made("sign", "Signing", **ECDSA)["Signature"], **ECDSA},
    ),
    "SigningPublicKey": ("Signing", "get_public_key", lambda _: {}),
    "MlDsaSign": ("MlDsa", "sign", lambda _: ML_DSA),
    "MlDsaVerify": (
        "MlDsa",
        "verify",
        lambda it: {"Signature": it.made("sign", "MlDsa", **ML_DSA)["Signature"], **ML_DSA},
    ),
    "MlDsaPublicKey": ("MlDsa", "get_public_key", lambda _: {}),
    "MlKemEncapsulate": ("MlKem", "encapsulate", lambda _: ML_KEM),
    "MlKemDecapsulate": (
        "MlKem",
        "decapsulate",
        lambda it: {
            "SharedSecretCiphertextBlob": it.made("encapsulate", "MlKem", **ML_KEM)["SharedSecretCiphertextBlob"],
            **ML_KEM,
        },
    ),
    "MlKemPublicKey": ("MlKem", "get_public_key", lambda _: {}),
    "MacGenerateMac": ("Mac", "generate_mac", lambda _: HMAC),
    "MacVerifyMac": ("Mac", "verify_mac", lambda it: {"Mac": it.made("generate_mac", "Mac", **HMAC)["Mac"], **HMAC}),
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


TENANT = {"tenant": "a"}
RSA_OAEP = "RSAES_OAEP_SHA_256"


def denied(call: Callable[..., Any], **request: Any) -> None:
    with pytest.raises(ClientError, match="AccessDeniedException"):
        call(**request)


def sealed(family: Family, key: str, **request: Any) -> bytes:
    blob: bytes = family.made("encrypt", key, Plaintext=b"secret", **request)["CiphertextBlob"]
    return blob


class TestReplica:
    def test_opens_in_its_region_what_its_primary_sealed_elsewhere(self, family: Family) -> None:
        blob = sealed(family, "Symmetric", EncryptionContext=TENANT)

        opened = family.kms("ReplicaDecrypt", AWAY).decrypt(CiphertextBlob=blob, EncryptionContext=TENANT)

        assert (opened["KeyId"], opened["Plaintext"]) == (family.key("Replica"), b"secret")
        assert family.key("Replica") == family.key("Symmetric").replace(HOME, AWAY)

    def test_denies_what_was_not_granted_on_it(self, family: Family) -> None:
        reader = family.kms("ReplicaDecrypt", AWAY)
        other = sealed(family, "Symmetric", EncryptionContext={"tenant": "b"})
        denied(reader.encrypt, KeyId=family.key("Replica"), Plaintext=b"x", EncryptionContext=TENANT)
        denied(reader.decrypt, CiphertextBlob=other, EncryptionContext={"tenant": "b"})

    def test_grants_of_primary_and_replica_are_apart(self, family: Family) -> None:
        blob = sealed(family, "Symmetric", EncryptionContext=TENANT)
        denied(
            family.kms("SymmetricDecrypt", AWAY).decrypt,
            KeyId=family.key("Replica"), CiphertextBlob=blob, EncryptionContext=TENANT,
        )  # fmt: skip
        denied(family.kms("ReplicaDecrypt").decrypt, CiphertextBlob=blob, EncryptionContext=TENANT)


class TestReEncrypt:
    @pytest.mark.parametrize(("source", "algorithm"), [("Symmetric", "SYMMETRIC_DEFAULT"), ("Rsa", RSA_OAEP)])
    def test_moves_a_ciphertext_from_one_key_to_the_other_and_not_back(
        self, source: str, algorithm: str, family: Family
    ) -> None:
        mover = family.kms(f"{source}ReEncrypt")
        here, there = family.key(source), family.key("Second")
        given = {"CiphertextBlob": sealed(family, source, EncryptionAlgorithm=algorithm), "SourceKeyId": here}

        moved = mover.re_encrypt(**given, SourceEncryptionAlgorithm=algorithm, DestinationKeyId=there)

        assert family.made("decrypt", "Second", CiphertextBlob=moved["CiphertextBlob"])["Plaintext"] == b"secret"
        denied(
            mover.re_encrypt,
            CiphertextBlob=moved["CiphertextBlob"], SourceKeyId=there, DestinationKeyId=here,
            DestinationEncryptionAlgorithm=algorithm,
        )  # fmt: skip
        denied(mover.decrypt, KeyId=here, CiphertextBlob=given["CiphertextBlob"], EncryptionAlgorithm=algorithm)

    def test_takes_both_halves(self, family: Family) -> None:
        given = {"CiphertextBlob": sealed(family, "Symmetric"), "DestinationKeyId": family.key("Symmetric")}
        denied(family.kms("SymmetricReEncrypt").re_encrypt, **given)


def command_as(family: Family, role: str, *arguments: str) -> Any:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    for cached in (aws_clients.kms_client, aws_clients.s3_client, aws_clients._session):
        cached.cache_clear()  # it keeps the credentials of the command before
    return CliRunner().invoke(main, arguments, env=environment | family.session(role).environment())


def test_key_without_material_is_filled_by_its_administrator_and_used_by_others(family: Family, tmp_path: Path) -> None:
    writer, reader = family.kms("ImportedEncrypt"), family.kms("ImportedDecrypt")
    with pytest.raises(ClientError, match=r"KMSInvalidStateException.*pending import"):
        writer.encrypt(KeyId=family.key("Imported"), Plaintext=b"secret")
    arguments = ["import-key-material", "--generate", str(tmp_path / "material"), "--key", family.key("Imported")]

    refused = command_as(family, "ImportedEncrypt", *arguments)
    done = command_as(family, "Administrator", *arguments)

    assert (refused.exit_code, "AccessDeniedException" in refused.stderr) == (1, True)
    assert done.exit_code == 0, done.stderr
    blob = writer.encrypt(KeyId=family.key("Imported"), Plaintext=b"secret")["CiphertextBlob"]
    assert reader.decrypt(CiphertextBlob=blob)["Plaintext"] == b"secret"
    denied(writer.decrypt, CiphertextBlob=blob)
    denied(family.kms("Administrator").decrypt, CiphertextBlob=blob)


class TestKeyGrant:
    """Last: its stack is deleted."""

    def test_grantee_uses_the_key_within_the_constraint_and_no_further(self, family: Family) -> None:
        grantee, key = family.kms("Grantee"), family.key("Granted")
        made = grantee.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=TENANT | {"more": "b"})
        opened = grantee.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=TENANT | {"more": "b"})
        assert opened["Plaintext"] == made["Plaintext"]
        denied(grantee.generate_data_key, KeyId=key, KeySpec="AES_256", EncryptionContext={"tenant": "b"})
        denied(grantee.encrypt, KeyId=key, Plaintext=b"x", EncryptionContext=TENANT)

    def test_nobody_else_has_it(self, family: Family) -> None:
        denied(
            family.kms("Stranger").generate_data_key,
            KeyId=family.key("Granted"), KeySpec="AES_256", EncryptionContext=TENANT,
        )  # fmt: skip

    def test_is_revoked_by_its_maker_when_its_stack_is_deleted(self, family: Family) -> None:
        grants = family.aws.client("kms").list_grants(KeyId=family.key("Granted"))["Grants"]
        assert [(it["Operations"], it["Constraints"]) for it in grants] == [
            (["Decrypt", "GenerateDataKey"], {"EncryptionContextSubset": TENANT})
        ]
        formation = family.aws.client("cloudformation")

        formation.delete_stack(StackName="KeyFamilyGrant")
        formation.get_waiter("stack_delete_complete").wait(StackName="KeyFamilyGrant", WaiterConfig={"Delay": 1})

        assert family.aws.client("kms").list_grants(KeyId=family.key("Granted"))["Grants"] == []
        made = [call for call in family.aws.kms_calls() if call.get("keyArn") == family.key("Granted")]
        (revoked,) = [call for call in made if call["action"] == "kms:RevokeGrant"]
        assert "MakerRole" in revoked["principal"]
        assert revoked["decision"] == "allow"

    def test_alias_of_an_ephemeral_key_went_with_it_so_that_the_stack_can_be_made_again(self, family: Family) -> None:
        kms = family.aws.client("kms")
        names = [alias["AliasName"] for alias in kms.list_aliases()["Aliases"]]
        assert ("alias/KeyFamily/inbox" in names, "alias/KeyFamilyGrant/granted" in names) == (True, False)
        assert kms.describe_key(KeyId=family.key("Granted"))["KeyMetadata"]["KeyState"] == "PendingDeletion"
