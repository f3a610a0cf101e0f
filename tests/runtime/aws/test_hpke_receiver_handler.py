"""HPKE messages for an ML-KEM key of KMS: key schedule, other implementations, every refusal of the function."""

import base64
import json
import logging
import subprocess
import sys
from pathlib import Path

import fastjsonschema
import pytest
from cryptography.hazmat.primitives import hpke as standard
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM1024PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

from kms_patterns.toolchain import node_executable
from kms_runtime import (
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
    CachingKeyring,
    KmsEcdhKeyring,
    KmsHpkeKeyring,
    KmsRsaKeyring,
    KmsRuntimeError,
    MultiKeyring,
    RawEcdhKeyring,
    decrypt_bytes,
    encrypt_bytes,
)
from kms_runtime.handlers import hpke_receiver, settings
from kms_runtime.handlers.validation import schema
from kms_runtime.key_agreement.agreement import KmsParty
from kms_runtime.key_agreement.hpke import HYBRID, PAYLOAD_LIMIT, SUITES, KmsRecipient, Suite, decrypt, encrypt
from kms_runtime.key_agreement.hybrid_hpke import KmsHybridRecipient
from kms_runtime.message import EncryptedDataKey, serialize_context
from tests.browser import started

ROOT = Path(__file__).parents[3]
KINDS = {"ML_KEM_768": MLKEM768PrivateKey, "ML_KEM_1024": MLKEM1024PrivateKey}
STANDARD = {
    "ML_KEM_768": standard.Suite(standard.KEM.MLKEM768, standard.KDF.HKDF_SHA256, standard.AEAD.AES_256_GCM),
    "ML_KEM_1024": standard.Suite(standard.KEM.MLKEM1024, standard.KDF.HKDF_SHA384, standard.AEAD.AES_256_GCM),
}
# draft-ietf-hpke-pq-05 (6 July 2026), appendices A.2.1 and A.3.1: the first message of each, without the KEM.
INFO = "34663634363532303666366532303631323034373732363536333639363136653230353537323665"
PLAINTEXT = (
    "343236353631373537343739323036393733323037343732373537343638326332"
    "30373437323735373436383230363236353631373537343739"
)
VECTORS = [
    (
        Suite(0x0041, 1088, key_bytes=16),
        "750477fb7421ec8e787e4505a99278b0c8aa15b9783453e90939cf1527617dac",
        "7d1031a2d6d232331f70495250fabb0d",
        "5974495634213151b309dfd3",
        "4b7dd443eecc37d978fb2e41808d8b3025e0afdefb57b96be0b2ee1c1e437a6a67"
        "6e379812eac544f55e463d07b20cbe88225ba97736c48ba39bdd96bcd783b43a67"
        "eedb77bcd612820b",
    ),
    (
        SUITES["ML_KEM_1024"],
        "ef4fb9e654c1f7cfe66da7f2d0ed39429067dfdf3b65723ae941221177f55552",
        "85147d20f1ff72eb9a5d3de9a3c920ab0cac7b00300e6b07a7f53b87ef07e1b0",
        "75437389e6da148fdcaa309d",
        "9d16979cb9ac997886c0ec51ed2c049d7ec53b369467026157ef061af23695b996"
        "e1893afd2173c310546859e82eea9c16e0a1363bc994f2ff708e5d60089c1b233f"
        "38ce6a7fbd176744",
    ),
]


class MlKemKms:
    """Stands for a client of KMS with one ML-KEM key."""

    def __init__(self, key_arn: str, spec: str) -> None:
        self.key, self.answer_as, self.secret = KINDS[spec].generate(), key_arn, None
        self.calls: list[dict[str, object]] = []

    @property
    def published(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def decapsulate(self, **request):
        self.calls.append(request)
        secret = self.secret or self.key.decapsulate(request["SharedSecretCiphertextBlob"])
        return {"KeyId": self.answer_as, "SharedSecret": secret}


@pytest.fixture(params=KINDS)
def spec(request) -> str:
    return request.param


@pytest.fixture
def hpke_kms(key_arn, spec) -> MlKemKms:
    return MlKemKms(key_arn, spec)


@pytest.fixture
def recipient(key_arn, spec, hpke_kms) -> KmsRecipient:
    return KmsRecipient(key_arn, spec, hpke_kms)


@pytest.fixture
def receive(monkeypatch, key_arn, spec, hpke_kms):
    monkeypatch.setattr(hpke_receiver, "kms_client_with_ml_kem", lambda: hpke_kms)
    for name, value in (("KEY_ARN", key_arn), ("KEY_SPEC", spec), ("PURPOSE", "orders")):
        monkeypatch.setenv(name, value)

    def call(message: bytes, **members):
        return hpke_receiver.decrypt({"message": base64.b64encode(message).decode(), **members}, None)

    return call


def code_of(call, *arguments, **options) -> str:
    with pytest.raises(KmsRuntimeError) as caught:
        call(*arguments, **options)
    return caught.value.code


@pytest.mark.parametrize(("suite", "secret", "key", "nonce", "ciphertext"), VECTORS, ids=["768", "1024"])
def test_key_schedule_is_that_of_the_published_vectors(suite, secret, key, nonce, ciphertext):
    made = suite.key_and_nonce(bytes.fromhex(secret), bytes.fromhex(INFO))
    assert [value.hex() for value in made] == [key, nonce]
    assert AESGCM(made[0]).decrypt(made[1], bytes.fromhex(ciphertext), b"Count-0").hex() == PLAINTEXT


@pytest.mark.parametrize("payload", [b"", b"x", bytes(100_000)], ids=len)
def test_cryptographys_hpke_reads_ours_and_we_read_its_with_one_call(spec, hpke_kms, recipient, payload):
    theirs = STANDARD[spec].encrypt(payload, hpke_kms.key.public_key(), info=b"orders")
    assert decrypt(theirs, recipient=recipient, info=b"orders") == payload
    assert len(hpke_kms.calls) == 1
    ours = encrypt(payload, public_key=hpke_kms.published, info=b"orders")
    assert STANDARD[spec].decrypt(ours, hpke_kms.key, info=b"orders") == payload
    assert len(ours) == len(theirs) == len(payload) + SUITES[spec].encapsulated_bytes + 16
    assert len(hpke_kms.calls) == 1


def test_nodes_own_crypto_reads_ours_and_we_read_its(spec, hpke_kms, recipient, tmp_path):
    private = hpke_kms.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = hpke_kms.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "private.pem").write_bytes(private)
    (tmp_path / "public.pem").write_bytes(public)

    def node(verb: str, key: str, content: bytes) -> bytes:
        command = [
            node_executable(),
            str(ROOT / "examples" / "clients" / "hpke.mjs"),
            verb,
            str(tmp_path / key),
            "orders",
        ]
        return subprocess.run(command, input=content, capture_output=True, check=True).stdout

    assert decrypt(node("encrypt", "public.pem", b"order"), recipient=recipient, info=b"orders") == b"order"
    assert node("decrypt", "private.pem", encrypt(b"order", public_key=hpke_kms.published, info=b"orders")) == b"order"


@pytest.fixture(scope="module")
def use_page(tmp_path_factory):
    """Fill in examples/clients/hpke.html, whose modules a page of a file may not load unless told so."""
    script = """(async () => {
        const field = (id) => document.getElementById(id);
        if (!field("encrypt").onclick) throw new Error("the page's modules were not loaded: npm ci");
        Object.entries(GIVEN).forEach(([id, value]) => (field(id).value = value));
        field("encrypt").click();
        while (!field("encrypt").dataset.done) await new Promise((wake) => setTimeout(wake, 5));
        return [field("message").value, field("error").textContent];
    })()"""
    page = (ROOT / "examples" / "clients" / "hpke.html").as_uri()
    with started(tmp_path_factory.mktemp("profile"), ["--allow-file-access-from-files"]) as browser:
        yield lambda **given: browser.run(page, script.replace("GIVEN", json.dumps(given)))


def test_message_of_a_browser_page_is_decrypted(spec, hpke_kms, receive, use_page):
    public = hpke_kms.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    payload = f"größte Bestellung für {spec} "
    message, error = use_page(pem=public, purpose="orders", payload=payload)
    assert error == ""
    assert base64.b64decode(receive(base64.b64decode(message))["payload"]).decode() == payload
    other, _ = use_page(pem=public, purpose="payments", payload=payload)
    assert code_of(receive, base64.b64decode(other)) == "MessageAuthenticationFailed"


def test_browser_page_refuses_a_key_of_another_kind(use_page):
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    shown = use_page(pem=pem, purpose="orders", payload="x")
    assert shown == ["", "not a public key of ML-KEM-768 or ML-KEM-1024"]


@pytest.mark.parametrize("spec", ["ML_KEM_768"], indirect=True)
def test_example_encrypts_without_aws(hpke_kms, recipient, tmp_path):
    public = hpke_kms.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(public)
    (tmp_path / "order").write_bytes(b"two bicycles")
    script = str(ROOT / "examples" / "encrypt_hpke.py")
    subprocess.run([sys.executable, script, "key.pem", "order", "message"], cwd=tmp_path, check=True)
    assert decrypt((tmp_path / "message").read_bytes(), recipient=recipient, info=b"orders") == b"two bicycles"


def test_every_altered_part_and_every_other_key_purpose_or_suite_fails_at_the_tag(spec, hpke_kms, receive):
    message = encrypt(b"order", public_key=hpke_kms.published, info=b"orders")
    enc = SUITES[spec].encapsulated_bytes
    for place in (0, enc - 1, enc, len(message) - 1):
        altered = bytearray(message)
        altered[place] ^= 1
        assert code_of(receive, bytes(altered)) == "MessageAuthenticationFailed"
    other = KINDS[spec].generate().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    chacha = standard.Suite(
        standard.KEM.MLKEM768 if enc == 1088 else standard.KEM.MLKEM1024,
        standard.KDF.HKDF_SHA256,
        standard.AEAD.CHACHA20_POLY1305,
    )
    for foreign in (
        encrypt(b"order", public_key=other, info=b"orders"),
        encrypt(b"order", public_key=hpke_kms.published, info=b"payments"),
        encrypt(b"order", public_key=hpke_kms.published, info=b"orders", associated_data=b"1"),
        chacha.encrypt(b"order", hpke_kms.key.public_key(), info=b"orders"),
    ):
        assert code_of(receive, foreign) == "MessageAuthenticationFailed"


def test_response_has_the_payload_and_the_log_has_not(spec, key_arn, hpke_kms, receive, caplog):
    caplog.set_level(logging.INFO)
    message = encrypt(b"order", public_key=hpke_kms.published, info=b"orders", associated_data=b"4711")
    response = receive(message, associatedData=base64.b64encode(b"4711").decode())
    assert response == {"payload": base64.b64encode(b"order").decode(), "keyArn": key_arn}
    fastjsonschema.compile(schema("hpke_receiver/decrypt_response"))(response)
    (call,) = hpke_kms.calls
    wanted = {"KeyId": key_arn, "EncapsulationAlgorithm": "ML_KEM"}
    assert call == wanted | {"SharedSecretCiphertextBlob": message[: SUITES[spec].encapsulated_bytes]}
    assert response["payload"] not in str([record.__dict__ for record in caplog.records])


def test_what_cannot_be_a_message_costs_no_call(spec, hpke_kms, receive, recipient):
    shortest = SUITES[spec].encapsulated_bytes + 16
    assert code_of(receive, bytes(shortest - 1)) == "MessageTruncated"
    assert code_of(receive, b"", extra=1) == "InvalidRequest"
    assert code_of(hpke_receiver.decrypt, {"message": "?"}, None) == "InvalidRequest"
    small = KmsRecipient(recipient.key_arn, "ML_KEM_512", hpke_kms)
    assert code_of(decrypt, bytes(shortest), recipient=small) == "InvalidRequest"
    assert hpke_kms.calls == []


def test_response_of_kms_that_cannot_be_is_refused(hpke_kms, recipient, other_key_arn):
    message = encrypt(b"order", public_key=hpke_kms.published)
    hpke_kms.secret = bytes(31)
    assert code_of(decrypt, message, recipient=recipient) == "KMSInternalException"
    hpke_kms.answer_as = other_key_arn
    assert code_of(decrypt, message, recipient=recipient) == "IncorrectKeyException"


def test_sender_refuses_other_keys_and_too_much():
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    der = point.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for key in (der, b"no key"):
        assert code_of(encrypt, b"order", public_key=key) == "PublicKeyInvalid"
    assert code_of(encrypt, bytes(PAYLOAD_LIMIT + 1), public_key=der) == "InvalidRequest"


def test_client_of_the_function_has_the_operations_or_says_that_it_lacks_them(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    make = settings.kms_client_with_ml_kem.__wrapped__
    assert callable(make().encapsulate)
    monkeypatch.setattr("kms_runtime.kms_model.MODELS", tmp_path)
    with pytest.raises(KmsRuntimeError, match="no Decapsulate") as caught:
        make()
    assert caught.value.code == "FunctionMisconfigured"


CONTEXT = {"tenant": "a", "größe": "ü"}


@pytest.fixture
def keyring(key_arn, spec, hpke_kms) -> KmsHpkeKeyring:
    return KmsHpkeKeyring(key_arn, key_spec=spec, public_key=hpke_kms.published, kms_client=hpke_kms)


@pytest.mark.parametrize(
    "suite", [AES_256_GCM_HKDF_SHA512_COMMIT_KEY, AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384], ids=["", "signed"]
)
def test_keyring_encrypts_without_a_call_and_decrypts_with_one(spec, key_arn, hpke_kms, keyring, suite):
    outside = KmsHpkeKeyring(key_arn, key_spec=spec, public_key=hpke_kms.published)
    message = encrypt_bytes(b"file", keyring=outside, encryption_context=CONTEXT, algorithm_suite=suite)
    assert hpke_kms.calls == []
    assert decrypt_bytes(message, keyring=keyring, encryption_context=CONTEXT) == b"file"
    assert len(hpke_kms.calls) == 1


def test_wrapped_data_key_of_another_context_key_or_length_is_refused(spec, key_arn, other_key_arn, hpke_kms, keyring):
    (wrapped,) = keyring.generate_data_key(CONTEXT).encrypted
    assert (wrapped.provider_id, wrapped.provider_info) == ("kms-patterns-hpke", key_arn.encode())
    assert code_of(keyring.decrypt_data_key, [wrapped], {"tenant": "b"}) == "MessageAuthenticationFailed"
    altered = EncryptedDataKey(wrapped.provider_id, wrapped.provider_info, b"x" + wrapped.ciphertext[1:])
    assert code_of(keyring.decrypt_data_key, [altered], CONTEXT) == "MessageAuthenticationFailed"
    assert keyring.decrypt_data_key([altered, wrapped], CONTEXT).encrypted == (wrapped,)
    calls = len(hpke_kms.calls)
    foreign = KmsHpkeKeyring(other_key_arn, key_spec=spec, kms_client=hpke_kms)
    assert code_of(foreign.decrypt_data_key, [wrapped], CONTEXT) == "IncorrectKeyException"
    assert len(hpke_kms.calls) == calls
    short = hpke_message(bytes(16), public_key=hpke_kms.published)
    of_16_bytes = EncryptedDataKey(wrapped.provider_id, wrapped.provider_info, short)
    assert code_of(keyring.decrypt_data_key, [of_16_bytes], CONTEXT) == "KMSInternalException"


def hpke_message(data_key: bytes, *, public_key: bytes) -> bytes:
    info = b"kms-patterns hpke keyring 1"
    return encrypt(data_key, public_key=public_key, info=info, associated_data=serialize_context(CONTEXT))


def test_half_a_keyring_says_what_it_lacks(key_arn, spec, hpke_kms, keyring):
    (wrapped,) = keyring.generate_data_key({}).encrypted
    assert code_of(KmsHpkeKeyring(key_arn, kms_client=hpke_kms).generate_data_key, {}) == "InvalidRequest"
    assert code_of(KmsHpkeKeyring(key_arn, public_key=b"").decrypt_data_key, [wrapped], {}) == "InvalidRequest"
    assert code_of(KmsHpkeKeyring, key_arn, key_spec="ML_KEM_512") == "InvalidRequest"


@pytest.fixture(params=["RSA", "ECDH"])
def traditional(request, kms, rsa_keyring, other_key_arn):
    """A keyring that a quantum computer breaks, as a sender has it and as the reader has it."""
    if request.param == "RSA":
        public_key = kms.rsa.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return KmsRsaKeyring(rsa_keyring.key_arn, public_key=public_key), rsa_keyring
    curve = HybridKms("", other_key_arn)
    reader = KmsEcdhKeyring(other_key_arn, public_key=curve.curve_public, kms_client=curve)
    return RawEcdhKeyring(peer_public_key=curve.curve_public), reader


@pytest.fixture
def of_two(traditional, key_arn, spec, hpke_kms):
    """A message with two data keys, made without a call."""
    lattice = KmsHpkeKeyring(key_arn, key_spec=spec, public_key=hpke_kms.published)
    return encrypt_bytes(b"file", keyring=MultiKeyring(traditional[0], lattice), encryption_context=CONTEXT)


def test_message_of_two_data_keys_is_decrypted_with_either_key_alone(of_two, traditional, keyring, hpke_kms):
    assert hpke_kms.calls == []
    for alone in (traditional[1], keyring, MultiKeyring(*traditional), MultiKeyring(traditional[0], keyring)):
        assert decrypt_bytes(of_two, keyring=alone, encryption_context=CONTEXT) == b"file"
    assert len(hpke_kms.calls) == 2


def test_message_of_two_data_keys_is_refused_to_a_third_key_and_another_context(
    of_two, traditional, keyring, spec, key_arn, other_key_arn
):
    third = KmsHpkeKeyring(other_key_arn, key_spec=spec, kms_client=MlKemKms(other_key_arn, spec))
    twin = KmsHpkeKeyring(key_arn, key_spec=spec, kms_client=MlKemKms(key_arn, spec))
    assert code_of(decrypt_bytes, of_two, keyring=third, encryption_context={}) == "IncorrectKeyException"
    assert code_of(decrypt_bytes, of_two, keyring=twin, encryption_context={}) == "MessageAuthenticationFailed"
    for reader in (traditional[1], keyring):
        code = code_of(decrypt_bytes, of_two, keyring=reader, encryption_context={"tenant": "b"})
        assert code == "EncryptionContextMismatch"
    refused = MultiKeyring(twin, traditional[0], third)
    with pytest.raises(KmsRuntimeError) as caught:
        decrypt_bytes(of_two, keyring=refused, encryption_context={})
    assert (caught.value.code, len(caught.value.__notes__)) == ("MessageAuthenticationFailed", 2)


def test_no_message_has_more_data_keys_than_its_reader_accepts(key_arn, spec, hpke_kms):
    lattice = KmsHpkeKeyring(key_arn, key_spec=spec, public_key=hpke_kms.published)
    with pytest.raises(KmsRuntimeError, match=r"21 data keys; a message has at most 20 \(max_encrypted_data_keys\)"):
        encrypt_bytes(b"file", keyring=MultiKeyring(*[lattice] * 21), encryption_context=CONTEXT)
    more = MultiKeyring(*[lattice] * 21, max_encrypted_data_keys=21)
    assert encrypt_bytes(b"file", keyring=more, encryption_context=CONTEXT)


def test_altered_data_key_is_noticed_by_the_reader_of_the_other(of_two, traditional, keyring, key_arn):
    encapsulated = of_two.index(key_arn.encode()) + len(key_arn) + 2
    altered = bytearray(of_two)
    altered[encapsulated] ^= 1
    # The header's tag covers both data keys, so the one that still decrypts does not help.
    for reader in (traditional[1], keyring, MultiKeyring(keyring, traditional[1])):
        assert code_of(decrypt_bytes, bytes(altered), keyring=reader, encryption_context={}) == (
            "MessageAuthenticationFailed"
        )


def test_keyring_that_cannot_wrap_another_ones_data_key_can_only_be_the_first(keyring, traditional):
    cached = CachingKeyring(keyring, capacity=1, max_age=60)
    assert code_of(MultiKeyring, traditional[0], cached) == "InvalidRequest"
    message = encrypt_bytes(b"file", keyring=MultiKeyring(cached, traditional[0]), encryption_context=CONTEXT)
    assert decrypt_bytes(message, keyring=traditional[1], encryption_context=CONTEXT) == b"file"


class HybridKms(MlKemKms):
    """Stands for a client of KMS with an ML-KEM-1024 key, and a P-384 key for key agreement."""

    def __init__(self, key_arn: str, curve_arn: str) -> None:
        super().__init__(key_arn, "ML_KEM_1024")
        self.curve, self.curve_arn = ec.generate_private_key(ec.SECP384R1()), curve_arn

    @property
    def curve_public(self) -> bytes:
        return self.curve.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def get_public_key(self, **request):
        self.calls.append(request)
        described = {"KeySpec": "ECC_NIST_P384", "KeyUsage": "KEY_AGREEMENT", "KeyAgreementAlgorithms": ["ECDH"]}
        return {"KeyId": self.curve_arn, "PublicKey": self.curve_public, **described}

    def derive_shared_secret(self, **request):
        self.calls.append(request)
        peer = load_der_public_key(request["PublicKey"])
        return {"KeyId": self.curve_arn, "SharedSecret": self.curve.exchange(ec.ECDH(), peer)}

    @property
    def sender(self) -> standard.MLKEM1024P384PublicKey:
        return standard.MLKEM1024P384PublicKey(self.key.public_key(), self.curve.public_key())


HYBRID_SUITE = standard.Suite(standard.KEM.MLKEM1024_P384, standard.KDF.HKDF_SHA384, standard.AEAD.AES_256_GCM)


@pytest.fixture
def hybrid_kms(key_arn, other_key_arn) -> HybridKms:
    return HybridKms(key_arn, other_key_arn)


@pytest.fixture
def receive_hybrid(monkeypatch, key_arn, other_key_arn, hybrid_kms):
    monkeypatch.setattr(hpke_receiver, "kms_client_with_ml_kem", lambda: hybrid_kms)
    settings = {"KEY_ARN": key_arn, "KEY_SPEC": "ML_KEM_1024", "AGREEMENT_KEY_ARN": other_key_arn, "PURPOSE": "orders"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    hpke_receiver._public_key.cache_clear()
    yield lambda message: hpke_receiver.decrypt({"message": base64.b64encode(message).decode()}, None)
    hpke_receiver._public_key.cache_clear()


def test_hybrid_message_of_cryptography_is_decrypted_with_both_keys(hybrid_kms, receive_hybrid, key_arn, other_key_arn):
    for payload in (b"", b"order"):
        message = HYBRID_SUITE.encrypt(payload, hybrid_kms.sender, info=b"orders")
        assert base64.b64decode(receive_hybrid(message)["payload"]) == payload
    # The public key is asked for once; then there are two calls for each message.
    assert [call["KeyId"] for call in hybrid_kms.calls] == [other_key_arn, *[other_key_arn, key_arn] * 2]


def test_hybrid_message_fails_with_either_key_replaced_or_any_part_altered(hybrid_kms, receive_hybrid):
    message = HYBRID_SUITE.encrypt(b"order", hybrid_kms.sender, info=b"orders")
    for place in (0, 1567, 1568, 1600, 1664, 1665, len(message) - 1):
        altered = bytearray(message)
        altered[place] ^= 1
        assert code_of(receive_hybrid, bytes(altered)) == "MessageAuthenticationFailed", place
    other = HybridKms("", "")
    for lattice, curve in ((hybrid_kms.key, other.curve), (other.key, hybrid_kms.curve)):
        foreign = standard.MLKEM1024P384PublicKey(lattice.public_key(), curve.public_key())
        code = code_of(receive_hybrid, HYBRID_SUITE.encrypt(b"order", foreign, info=b"orders"))
        assert code == "MessageAuthenticationFailed"
    assert code_of(receive_hybrid, message[: 1665 + 15]) == "MessageTruncated"
    alone = encrypt(b"order", public_key=hybrid_kms.published, info=b"orders")
    assert code_of(receive_hybrid, alone + bytes(200)) == "MessageAuthenticationFailed"


def test_hybrid_recipient_of_other_keys_is_refused(hybrid_kms, key_arn, other_key_arn):
    kem = KmsRecipient(key_arn, "ML_KEM_1024", hybrid_kms)
    small = KmsRecipient(key_arn, "ML_KEM_768", hybrid_kms)
    party = KmsParty(other_key_arn, hybrid_kms, hybrid_kms.curve_public)
    p256 = ec.generate_private_key(ec.SECP256R1()).public_key()
    der = p256.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert KmsHybridRecipient(kem, party).key_spec == HYBRID
    for lattice, other in (
        (small, party),
        (kem, KmsParty(other_key_arn, hybrid_kms)),
        (kem, KmsParty(other_key_arn, hybrid_kms, der)),
    ):
        assert code_of(KmsHybridRecipient, lattice, other) == "InvalidRequest"
