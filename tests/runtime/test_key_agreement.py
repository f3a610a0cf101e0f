"""The half of a key agreement that is in KMS, and outsiders: Node's built-in crypto and the example."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from kms_patterns.toolchain import node_executable
from kms_runtime import KmsRuntimeError
from kms_runtime.key_agreement.agreement import KmsParty, LocalParty, decrypt, encrypt
from kms_runtime.key_agreement.agreement_message import Envelope
from tests.runtime.asymmetric_kms import AsymmetricKms


@pytest.fixture
def agreement_kms(kms) -> AsymmetricKms:
    return AsymmetricKms(kms)


@pytest.fixture
def inside(agreement_kms, key_arn) -> KmsParty:
    return KmsParty(key_arn, agreement_kms)


@pytest.fixture
def published(agreement_kms) -> bytes:
    public_key = agreement_kms.agreement_key.public_key()
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def outside() -> LocalParty:
    return LocalParty(ec.generate_private_key(ec.SECP256R1()))


def test_outsider_encrypts_and_decrypts_without_a_call_and_kms_derives_once_for_each(inside, outside, published, kms):
    order = encrypt(b"order", party=outside, sender=outside.public_key, recipient=published, purpose="orders")
    assert kms.calls == []
    assert decrypt(order, party=inside, purpose="orders").payload == b"order"
    answer = encrypt(b"answer", party=inside, sender=published, recipient=outside.public_key, purpose="orders")
    assert len(kms.calls) == 2
    assert decrypt(answer, party=outside, purpose="orders", sender=published).payload == b"answer"
    request = {"KeyId": inside.key_arn, "KeyAgreementAlgorithm": "ECDH", "PublicKey": outside.public_key}
    assert kms.calls == [("DeriveSharedSecret", request)] * 2


def test_message_encrypted_under_another_key_than_the_callers_does_not_decrypt(inside, outside, published):
    other = LocalParty(ec.generate_private_key(ec.SECP256R1())).public_key
    made = encrypt(b"answer", party=inside, sender=other, recipient=outside.public_key, purpose="p")
    with pytest.raises(KmsRuntimeError) as caught:
        decrypt(made, party=outside, purpose="p")
    assert caught.value.code == "MessageAuthenticationFailed"
    with pytest.raises(KmsRuntimeError, match="another sender"):
        decrypt(made, party=outside, purpose="p", sender=published)


def test_sender_that_names_another_recipient_is_refused_by_who_knows_its_own_key(inside, outside, published, kms):
    """Whoever shares a secret with the recipient can write down any recipient: only comparing tells."""
    named = LocalParty(ec.generate_private_key(ec.SECP256R1())).public_key
    envelope = Envelope.new(outside.public_key, named)
    secret = outside.shared_secret(published)
    made = envelope.encrypt(b"order", secret, purpose="p", associated_data=b"")
    assert decrypt(made, party=inside, purpose="p").payload == b"order"
    calls = len(kms.calls)
    with pytest.raises(KmsRuntimeError, match="names another recipient's public key") as caught:
        decrypt(made, party=replace(inside, public_key=published), purpose="p")
    assert (caught.value.code, len(kms.calls)) == ("PublicKeyInvalid", calls)


def test_message_for_somebody_else_does_not_decrypt_though_no_public_key_is_known(inside, outside):
    other = LocalParty(ec.generate_private_key(ec.SECP256R1())).public_key
    made = encrypt(b"order", party=outside, sender=outside.public_key, recipient=other, purpose="p")
    with pytest.raises(KmsRuntimeError) as caught:
        decrypt(made, party=inside, purpose="p")
    assert caught.value.code == "MessageAuthenticationFailed"


def test_known_public_key_does_not_keep_own_messages_out(inside, outside, published):
    made = encrypt(b"order", party=outside, sender=outside.public_key, recipient=published, purpose="p")
    assert decrypt(made, party=replace(inside, public_key=published), purpose="p").payload == b"order"


def test_local_party_refuses_a_message_that_names_another_recipient(outside):
    sender, named = (LocalParty(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
    envelope = Envelope.new(sender.public_key, named.public_key)
    secret = sender.shared_secret(outside.public_key)
    made = envelope.encrypt(b"order", secret, purpose="p", associated_data=b"")
    with pytest.raises(KmsRuntimeError, match="names another recipient's public key"):
        decrypt(made, party=outside, purpose="p")


def test_answer_about_another_key_is_refused(inside, outside, kms, other_key_arn):
    kms.answer_as = other_key_arn
    with pytest.raises(KmsRuntimeError) as caught:
        inside.shared_secret(outside.public_key)
    assert (caught.value.code, caught.value.operation) == ("IncorrectKeyException", "DeriveSharedSecret")


def test_secret_of_another_length_is_refused(key_arn, outside):
    class Short:
        def derive_shared_secret(self, **_request):
            return {"KeyId": key_arn, "SharedSecret": bytes(31)}

    with pytest.raises(KmsRuntimeError, match="31 bytes, not 32") as caught:
        KmsParty(key_arn, Short()).shared_secret(outside.public_key)
    assert caught.value.code == "KMSInternalException"


def test_refusal_of_kms_keeps_its_name(inside, outside, kms, kms_error):
    kms.failure = kms_error("DisabledException", "DeriveSharedSecret")
    with pytest.raises(KmsRuntimeError) as caught:
        inside.shared_secret(outside.public_key)
    assert caught.value.code == "DisabledException"


def test_secrets_and_clients_are_not_shown(inside, outside):
    assert "kms_client" not in repr(inside)
    assert "private_key" not in repr(outside)


def test_local_party_refuses_another_curve(outside):
    other = LocalParty(ec.generate_private_key(ec.SECP521R1()))
    with pytest.raises(KmsRuntimeError, match="on secp521r1, this private key on secp256r1") as caught:
        outside.shared_secret(other.public_key)
    assert caught.value.code == "PublicKeyInvalid"


ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "agreement_outsider.mjs"
CURVES = [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()]


class Setting:
    """Our key, an outsider's, and the files that an outsider has."""

    def __init__(self, folder: Path, curve: ec.EllipticCurve) -> None:
        self.folder = folder
        self.ours, self.theirs = (LocalParty(ec.generate_private_key(curve)) for _ in range(2))
        pem = self.theirs.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "outsider.pem").write_bytes(pem)
        (folder / "kms.der").write_bytes(self.ours.public_key)
        published = self.ours.private_key.public_key()
        (folder / "kms.pem").write_bytes(published.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def node(self, verb: str, content: bytes, purpose: str = "orders") -> subprocess.CompletedProcess[bytes]:
        words = [str(node_executable()), str(SCRIPT), verb, "outsider.pem", "kms.der", purpose]
        return subprocess.run(words, cwd=self.folder, input=content, capture_output=True, check=False)

    def example(self, verb: str, content: bytes) -> bytes:
        (self.folder / "in").write_bytes(content)
        script = str(ROOT / "examples" / "encrypt_order.py")
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "lambda")}
        words = [sys.executable, script, verb, "kms.pem", "outsider.pem", "in", "out"]
        subprocess.run(words, cwd=self.folder, env=environment, check=True)
        return (self.folder / "out").read_bytes()

    def answer(self, payload: bytes) -> bytes:
        keys = {"sender": self.ours.public_key, "recipient": self.theirs.public_key}
        return encrypt(payload, party=self.ours, purpose="orders", **keys)

    def read(self, message: bytes, purpose: str = "orders") -> bytes:
        return decrypt(message, party=self.ours, purpose=purpose, sender=self.theirs.public_key).payload


@pytest.fixture(params=CURVES, ids=lambda curve: curve.name)
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> Setting:
    return Setting(tmp_path, request.param)


def test_node_encrypts_what_we_decrypt_and_decrypts_what_we_encrypt(setting: Setting) -> None:
    assert setting.read(setting.node("encrypt", b"two bicycles").stdout) == b"two bicycles"
    assert setting.node("decrypt", setting.answer(b"accepted")).stdout == b"accepted"


def test_node_and_we_refuse_the_same(tmp_path: Path) -> None:
    setting = Setting(tmp_path, CURVES[0])
    altered = bytearray(setting.answer(b"accepted"))
    altered[-1] ^= 1
    for message, purpose in ((bytes(altered), "orders"), (setting.answer(b"accepted"), "payments")):
        refused = setting.node("decrypt", message, purpose)
        assert (refused.returncode, refused.stdout) == (1, b"")
        assert b"unable to authenticate data" in refused.stderr
    with pytest.raises(KmsRuntimeError, match="tag does not verify"):
        setting.read(setting.node("encrypt", b"x", "payments").stdout)


def test_example_encrypts_and_decrypts_without_aws(tmp_path: Path) -> None:
    setting = Setting(tmp_path, CURVES[0])
    assert setting.read(setting.example("encrypt", b"two bicycles")) == b"two bicycles"
    assert setting.example("decrypt", setting.answer(b"accepted")) == b"accepted"
