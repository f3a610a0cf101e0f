"""Key agreement: its message, each byte authenticated, and both parties."""

import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from kms_patterns.toolchain import node_executable
from kms_runtime import KmsRuntimeError
from kms_runtime.key_agreement.agreement import PAYLOAD_LIMIT, KmsParty, LocalParty, decrypt, encrypt
from kms_runtime.key_agreement.agreement_message import Envelope, agreement_key, derive_into
from tests.runtime.conftest import AsymmetricKms


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


def party(curve: ec.EllipticCurve = CURVES[0]) -> LocalParty:
    return LocalParty(ec.generate_private_key(curve))


@pytest.fixture(scope="module")
def ours() -> LocalParty:
    return party()


@pytest.fixture(scope="module")
def theirs() -> LocalParty:
    return party()


@pytest.fixture(scope="module")
def message(ours, theirs) -> bytes:
    return encrypt(
        b"two bicycles",
        party=theirs,
        sender=theirs.public_key,
        recipient=ours.public_key,
        purpose="orders",
        associated_data=b"4711",
    )


def code_of(call, *arguments, **options) -> str:
    with pytest.raises(KmsRuntimeError) as caught:
        call(*arguments, **options)
    return caught.value.code


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
@pytest.mark.parametrize("payload", [b"", b"x", bytes(100_000)], ids=len)
def test_payload_comes_back_with_its_sender(curve, payload):
    one, other = party(curve), party(curve)
    made = encrypt(payload, party=one, sender=one.public_key, recipient=other.public_key, purpose="p")
    found = decrypt(made, party=other, purpose="p", sender=one.public_key)
    assert (found.payload, found.sender) == (payload, one.public_key)
    assert "bicycles" not in repr(found)


def test_message_of_known_keys_and_salt_never_changes():
    """The layout and the derivation, as documented: messages that were stored must open in every later version."""
    sender, recipient = (LocalParty(ec.derive_private_key(number, CURVES[0])) for number in (0xA11CE, 0xB0B))
    envelope = Envelope(sender.public_key, recipient.public_key, bytes(range(32)))
    secret = sender.shared_secret(recipient.public_key)
    made = envelope.encrypt(b"two bicycles", secret, purpose="orders", associated_data=b"4711")
    keys = [b"\x00\x5b" + party.public_key for party in (sender, recipient)]
    assert made[:-28] == b"".join([b"\x01", *keys, bytes(range(32))])
    assert made[-28:].hex() == "2cd8a3025d0f7f700d6b327f754de3b7092ef0eff8b3128f4c6fd7fd"
    label = b"\x00\x1ckms-patterns key agreement 1"
    assert envelope.info("orders") == b"".join([label, b"\x00\x06orders", *keys])
    assert decrypt(made, party=recipient, purpose="orders", associated_data=b"4711").payload == b"two bicycles"


def test_no_two_messages_are_alike(ours, theirs):
    keys = {"sender": theirs.public_key, "recipient": ours.public_key}
    assert len({encrypt(b"x", party=theirs, purpose="p", **keys) for _ in range(50)}) == 50


def test_every_altered_byte_is_refused(ours, message):
    for position in range(len(message)):
        altered = bytearray(message)
        altered[position] ^= 1
        code = code_of(decrypt, bytes(altered), party=ours, purpose="orders", associated_data=b"4711")
        assert code in {"MessageAuthenticationFailed", "MessageFormatError", "MessageTruncated", "PublicKeyInvalid"}


def test_every_truncation_and_any_addition_is_refused(ours, message):
    for end in range(len(message)):
        code = code_of(decrypt, message[:end], party=ours, purpose="orders", associated_data=b"4711")
        assert code in {"MessageAuthenticationFailed", "MessageFormatError", "MessageTruncated", "PublicKeyInvalid"}
    longer = message + b"\0"
    assert code_of(decrypt, longer, party=ours, purpose="orders", associated_data=b"4711") == (
        "MessageAuthenticationFailed"
    )


def test_any_bytes_are_refused_with_a_typed_error(message):
    rng = random.Random(11)
    for _ in range(2000):
        junk = bytearray(rng.randbytes(rng.randrange(300)) if rng.random() < 0.5 else message)
        for _ in range(rng.randrange(1, 4)):
            start = rng.randrange(len(junk) + 1)
            junk[start : start + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        if junk[:1] != b"\x01":
            junk[:1] = b"\x01"
        assert code_of(decrypt, bytes(junk), party=Garbled(), purpose="p") in {
            "MessageAuthenticationFailed",
            "MessageTruncated",
            "PublicKeyInvalid",
        }


@pytest.mark.parametrize(
    "change",
    [{"purpose": "payments"}, {"associated_data": b"4712"}, {"associated_data": b""}, {"purpose": "orders "}],
    ids=str,
)
def test_another_purpose_or_associated_data_is_refused(ours, message, change):
    arguments = {"party": ours, "purpose": "orders", "associated_data": b"4711", **change}
    assert code_of(decrypt, message, **arguments) == "MessageAuthenticationFailed"


def test_another_recipient_is_refused(message):
    arguments = {"purpose": "orders", "associated_data": b"4711"}
    assert code_of(decrypt, message, party=party(), **arguments) == "PublicKeyInvalid"
    assert code_of(decrypt, message, party=party(ec.SECP384R1()), **arguments) == "PublicKeyInvalid"


def test_message_does_not_open_as_if_it_had_gone_the_other_way(ours, theirs, message):
    envelope, sealed = Envelope.of(message)
    turned = Envelope(envelope.recipient, envelope.sender, envelope.salt).header + sealed
    code = code_of(decrypt, turned, party=theirs, purpose="orders", associated_data=b"4711")
    assert code == "MessageAuthenticationFailed"


def test_sender_may_be_demanded(ours, message):
    code = code_of(decrypt, message, party=ours, purpose="orders", associated_data=b"4711", sender=party().public_key)
    assert code == "PublicKeyInvalid"


def spki(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def compressed(der: bytes) -> bytes:
    # AlgorithmIdentifier of P-256 takes 21 bytes after the outer header; the point is x with the sign of y.
    point = der[-64:]
    bits = b"\x03\x22\x00" + bytes([2 + (point[-1] & 1)]) + point[:32]
    body = der[2:23] + bits
    return b"\x30" + bytes([len(body)]) + body


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (b"", "not a DER SubjectPublicKeyInfo"),
        (b"\x30\x00", "not a DER SubjectPublicKeyInfo"),
        (spki(ed25519.Ed25519PrivateKey.generate()), "Ed25519PublicKey; AWS KMS agrees on P-256"),
        (spki(ec.generate_private_key(ec.SECP256K1())), "secp256k1; AWS KMS agrees on P-256"),
        (compressed(spki(ec.generate_private_key(ec.SECP256R1()))), "uncompressed point"),
    ],
    ids=["empty", "empty sequence", "Ed25519", "secp256k1", "compressed point"],
)
def test_peer_key_that_is_none_is_refused_before_any_call(theirs, key, reason):
    with pytest.raises(KmsRuntimeError, match=reason) as caught:
        encrypt(b"x", party=Never(), sender=theirs.public_key, recipient=key, purpose="p")
    assert caught.value.code == "PublicKeyInvalid"


def test_point_off_the_curve_is_refused(theirs):
    altered = bytearray(theirs.public_key)
    altered[-1] ^= 1
    with pytest.raises(KmsRuntimeError, match="not a DER SubjectPublicKeyInfo of a valid point"):
        agreement_key(bytes(altered), "peer")


class Garbled:
    """A party whose secrets are nobody's."""

    public_key = None

    def shared_secret(self, _peer):
        return bytearray(32)


class Never:
    """A party that must not be asked."""

    public_key = None

    def shared_secret(self, _peer):
        raise AssertionError("asked for a secret")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"recipient": party(ec.SECP384R1()).public_key}, "PublicKeyInvalid"),
        ({"purpose": ""}, "InvalidRequest"),
        ({"purpose": "p" * 65_536}, "InvalidRequest"),
        ({"payload": bytes(PAYLOAD_LIMIT + 1)}, "InvalidRequest"),
    ],
    ids=["other curve", "no purpose", "long purpose", "large payload"],
)
def test_what_cannot_be_encrypted_is_refused_before_any_call(ours, theirs, change, code):
    arguments = {"payload": b"x", "sender": theirs.public_key, "recipient": ours.public_key, "purpose": "p", **change}
    assert code_of(encrypt, arguments.pop("payload"), party=Never(), **arguments) == code


def test_message_to_oneself_is_refused(ours):
    keys = {"sender": ours.public_key, "recipient": ours.public_key}
    assert code_of(encrypt, b"x", party=Never(), purpose="p", **keys) == "PublicKeyInvalid"


def test_secret_is_overwritten(ours, theirs):
    secret = theirs.shared_secret(ours.public_key)
    Envelope.new(theirs.public_key, ours.public_key).encrypt(b"x", secret, purpose="p", associated_data=b"")
    assert secret == bytearray(32)


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_openssl_derives_the_same_key(tmp_path: Path, curve):
    """The outsider's half with no Python of ours: pkeyutl -derive, then kdf HKDF; AES-256-GCM opens the message."""
    ours, theirs = party(curve), party(curve)
    made = encrypt(b"two bicycles", party=ours, sender=ours.public_key, recipient=theirs.public_key, purpose="orders")
    envelope, sealed = Envelope.of(made)
    (tmp_path / "outsider.pem").write_bytes(
        theirs.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "kms.der").write_bytes(ours.public_key)
    openssl(tmp_path, "pkey", "-pubin", "-inform", "DER", "-in", "kms.der", "-pubout", "-out", "kms.pem")
    openssl(tmp_path, "pkeyutl", "-derive", "-inkey", "outsider.pem", "-peerkey", "kms.pem", "-out", "secret")
    secret = (tmp_path / "secret").read_bytes()
    assert secret == bytes(ours.shared_secret(theirs.public_key))
    options = {
        "digest": "SHA256",
        "hexkey": secret.hex(),
        "hexsalt": envelope.salt.hex(),
        "hexinfo": envelope.info("orders").hex(),
    }
    chosen = [word for name, value in options.items() for word in ("-kdfopt", f"{name}:{value}")]
    derived = openssl(tmp_path, "kdf", "-keylen", "44", "-binary", *chosen, "HKDF")
    assert AESGCM(derived[:32]).decrypt(derived[32:], sealed, envelope.header) == b"two bicycles"


def openssl(folder: Path, *words: str) -> bytes:
    return subprocess.run(["openssl", *words], cwd=folder, capture_output=True, check=True).stdout


def test_derivation_is_hkdf_of_rfc_5869():
    """Test case 1 of the RFC's appendix A."""
    derived = bytearray(42)
    derive_into(derived, bytearray(b"\x0b" * 22), bytes(range(13)), bytes(range(0xF0, 0xFA)))
    assert derived.hex() == ("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
