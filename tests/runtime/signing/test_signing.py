"""Signatures by AWS KMS, and their check without it."""

import hashlib
import io
import json
import shutil
import subprocess
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from kms_patterns.local.server.kms.operations import ed25519ph as signing
from kms_patterns.toolchain import node_executable
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.signatures.elliptic_curves import COORDINATE_BYTES, der_to_raw, ed25519ph_verifies, raw_to_der
from kms_runtime.signatures.signing import (
    sign,
    sign_digest,
    sign_stream,
    verify,
    verify_digest,
    verify_stream,
    verify_with_kms,
)
from kms_runtime.signatures.signing_messages import of_message
from kms_runtime.signing_algorithms import ALGORITHMS_OF, signing_algorithm
from tests.runtime.conftest import SigningKms

CASES = [
    *(("RSA_2048", algorithm) for algorithm in ALGORITHMS_OF["RSA_2048"]),
    ("RSA_3072", "RSASSA_PSS_SHA_256"),
    ("RSA_4096", "RSASSA_PKCS1_V1_5_SHA_512"),
    *((spec, name) for spec, names in ALGORITHMS_OF.items() if not spec.startswith("RSA") for name in names),
]
NO_DIGEST = {"ED25519_SHA_512", "ML_DSA_SHAKE_256"}
BY_DIGEST = [case for case in CASES if case[1] not in NO_DIGEST]
MESSAGE, LONG = b"to be signed", b"0123456789abcdef" * 8192


class Chunks(io.RawIOBase):
    """A source that gives 1000 bytes at a time, as a socket might, and says how much was asked for."""

    def __init__(self, data):
        self.data, self.position, self.largest = data, 0, 0

    def readable(self):
        return True

    def readinto(self, buffer):
        self.largest = max(self.largest, len(buffer))
        part = self.data[self.position : self.position + min(1000, len(buffer))]
        buffer[: len(part)] = part
        self.position += len(part)
        return len(part)


@pytest.fixture
def kms():
    return SigningKms()


@pytest.mark.parametrize(("spec", "algorithm"), CASES)
def test_signature_verifies_offline_and_in_kms_and_only_over_its_message(
    spec, algorithm, kms, arn_of, public_key, refused
):
    arn, key = arn_of(spec), public_key(spec)
    signature = sign(MESSAGE, key_arn=arn, algorithm=algorithm, kms_client=kms)
    verify(key, MESSAGE, signature, algorithm=algorithm)
    verify_stream(key, Chunks(MESSAGE), signature, algorithm=algorithm)
    assert kms.operations == ["Sign"]
    verify_with_kms(MESSAGE, signature, key_arn=arn, algorithm=algorithm, kms_client=kms)
    altered = bytearray(signature)
    altered[-1] ^= 1
    other = public_key(spec, "--2")
    for used, message, given in (
        (key, b"To be signed", signature),
        (key, MESSAGE, bytes(altered)),
        (other, MESSAGE, signature),
    ):
        assert refused(verify, used, message, given, algorithm=algorithm).code == "KMSInvalidSignatureException"
    options = {"key_arn": arn, "algorithm": algorithm, "kms_client": kms}
    error = refused(verify_with_kms, b"To be signed", signature, **options)
    assert (error.code, error.operation) == ("KMSInvalidSignatureException", "Verify")
    assert "another key or algorithm made it" in str(error)


@pytest.mark.parametrize(("spec", "algorithm"), BY_DIGEST)
def test_more_than_4096_bytes_go_to_kms_as_a_digest_and_verify_as_the_message(spec, algorithm, kms, arn_of, public_key):
    options = {"key_arn": arn_of(spec), "algorithm": algorithm, "kms_client": kms}
    key, stream = public_key(spec), Chunks(LONG)
    digest = hashlib.new(f"sha{algorithm[-3:]}", LONG).digest()
    signatures = [sign(LONG, **options), sign_digest(digest, **options), sign_stream(stream, **options)]
    assert [(call["MessageType"], call["Message"]) for _, call in kms.calls] == [("DIGEST", digest)] * 3
    assert stream.largest == 1024 * 1024
    for signature in signatures:
        verify(key, LONG, signature, algorithm=algorithm)
        verify_digest(key, digest, signature, algorithm=algorithm)
        verify_stream(key, Chunks(LONG), signature, algorithm=algorithm)
    verify_with_kms(LONG, signatures[0], **options)


@pytest.mark.parametrize("spec", ["ML_DSA_44", "ML_DSA_65", "ML_DSA_87"])
def test_long_messages_are_signed_with_ml_dsa_by_their_mu(spec, kms, arn_of, public_key):
    key, options = public_key(spec), {"algorithm": "ML_DSA_SHAKE_256"}
    calls = {"key_arn": arn_of(spec), "kms_client": kms, "public_key": key}
    signatures = [sign(LONG, **calls, **options), sign_stream(Chunks(LONG), **calls, **options)]
    assert [(call["MessageType"], len(call["Message"])) for _, call in kms.calls] == [("EXTERNAL_MU", 64)] * 2
    mu = kms.calls[0][1]["Message"]
    for signature in signatures:
        verify(key, LONG, signature, **options)
        verify_digest(key, mu, signature, **options)
        verify_stream(key, Chunks(LONG), signature, **options)
    verify_with_kms(LONG, signatures[0], **calls, **options)


@pytest.mark.parametrize("size", [1, 4095, 4096])
@pytest.mark.parametrize("spec", ["ECC_NIST_P256", "ECC_NIST_EDWARDS25519", "ML_DSA_44"])
def test_up_to_4096_bytes_are_sent_as_they_are(spec, size, kms, arn_of, public_key):
    algorithm, message = ALGORITHMS_OF[spec][0], bytes(size)
    signature = sign(message, key_arn=arn_of(spec), algorithm=algorithm, kms_client=kms)
    assert (kms.calls[0][1]["MessageType"], len(kms.calls[0][1]["Message"])) == ("RAW", size)
    verify(public_key(spec), message, signature, algorithm=algorithm)


def test_empty_messages_are_signed_by_digest_where_there_is_one(kms, arn_of, public_key):
    options = {"key_arn": arn_of("ECC_NIST_P256"), "algorithm": "ECDSA_SHA_256", "kms_client": kms}
    for signature in (sign(b"", **options), sign_stream(io.BytesIO(), **options)):
        verify(public_key("ECC_NIST_P256"), b"", signature, algorithm="ECDSA_SHA_256")


def test_high_and_low_s_verify_both(kms, arn_of, public_key):
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    signature = sign(MESSAGE, key_arn=arn_of("ECC_NIST_P256"), algorithm="ECDSA_SHA_256", kms_client=kms)
    r, s = decode_dss_signature(signature)
    verify(public_key("ECC_NIST_P256"), MESSAGE, encode_dss_signature(r, order - s), algorithm="ECDSA_SHA_256")


def test_published_document_is_all_that_a_verifier_needs(kms, arn_of, public_key):
    signature = sign(MESSAGE, key_arn=arn_of("RSA_2048"), algorithm="RSASSA_PSS_SHA_256", kms_client=kms)
    outsider = PublicKey.from_document(public_key("RSA_2048").document())
    verify(outsider, MESSAGE, signature, algorithm="RSASSA_PSS_SHA_256")


MESSAGE, LONG = b"to be signed", b"0123456789abcdef" * 8192
ED, ML, EC = "ECC_NIST_EDWARDS25519", "ML_DSA_44", "ECC_NIST_P256"
BEFORE_ANY_CALL = [
    (sign, bytes(4097), ED, "ED25519_SHA_512", "MessageTooLarge", "ED25519_PH_SHA_512"),
    (sign_stream, io.BytesIO(bytes(4097)), ED, "ED25519_SHA_512", "MessageTooLarge", "more than the 4096 bytes"),
    (sign, b"", ED, "ED25519_SHA_512", "InvalidRequest", "the message is empty"),
    (sign, b"", ML, "ML_DSA_SHAKE_256", "InvalidRequest", "the message is empty"),
    (sign, bytes(4097), ML, "ML_DSA_SHAKE_256", "InvalidRequest", "give public_key"),
    (sign_digest, bytes(64), ED, "ED25519_SHA_512", "InvalidRequest", "takes no digest"),
    (sign_digest, bytes(31), EC, "ECDSA_SHA_256", "InvalidRequest", "has 31 bytes; ECDSA_SHA_256 takes sha256 of 32"),
    (sign_digest, bytes(32), ML, "ML_DSA_SHAKE_256", "InvalidRequest", "takes mu of 64 bytes"),
    (sign, MESSAGE, EC, "ECDSA_SHA_1", "InvalidRequest", "'ECDSA_SHA_1' is not a signing algorithm"),
    (sign, MESSAGE, EC, "SM2DSA", "InvalidRequest", "not a signing algorithm"),
]


@pytest.mark.parametrize(("function", "data", "spec", "algorithm", "code", "reason"), BEFORE_ANY_CALL)
def test_unusable_message_is_refused_before_any_call(
    function, data, spec, algorithm, code, reason, kms, arn_of, refused
):
    error = refused(function, data, key_arn=arn_of(spec), algorithm=algorithm, kms_client=kms)
    assert (error.code, error.operation) == (code, None)
    assert reason in str(error)
    assert kms.calls == []


@pytest.mark.parametrize("size", [0, 6145])
def test_signature_of_impossible_size_is_refused_before_any_call(size, kms, arn_of, refused):
    options = {"key_arn": arn_of(EC), "algorithm": "ECDSA_SHA_256", "kms_client": kms}
    assert refused(verify_with_kms, MESSAGE, bytes(size), **options).code == "InvalidRequest"
    assert kms.calls == []


def test_alias_is_refused_because_it_can_be_moved(kms, refused):
    options = {"algorithm": "ECDSA_SHA_256", "kms_client": kms}
    assert refused(sign, MESSAGE, key_arn="alias/messages", **options).code == "InvalidArnException"


def test_refusal_of_kms_keeps_its_name(kms, arn_of, refused):
    kms.failure = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Sign")
    error = refused(sign, MESSAGE, key_arn=arn_of(EC), algorithm="ECDSA_SHA_256", kms_client=kms)
    assert (error.code, error.operation) == ("AccessDeniedException", "Sign")


def test_algorithm_of_another_kind_of_key_is_refused_by_kms_and_offline(kms, arn_of, public_key, refused):
    options = {"key_arn": arn_of(EC), "algorithm": "ECDSA_SHA_384", "kms_client": kms}
    assert refused(sign, MESSAGE, **options).code == "InvalidKeyUsageException"
    error = refused(verify, public_key(EC), MESSAGE, b"x", algorithm="ECDSA_SHA_384")
    assert error.code == "InvalidKeyUsageException"
    assert "its algorithms are ECDSA_SHA_256" in str(error)


@pytest.mark.parametrize("algorithm", ["RSASSA_PSS_SHA_256", "ED25519_PH_SHA_512", "ML_DSA_SHAKE_256"])
def test_algorithm_that_a_document_claims_for_another_kind_of_key_is_refused(algorithm, public_key, refused):
    key = replace(public_key(EC), algorithms=(algorithm,))
    assert refused(verify, key, MESSAGE, bytes(64), algorithm=algorithm).code == "InvalidKeyUsageException"


@pytest.mark.parametrize("operation", ["Sign", "Verify"])
def test_answer_for_another_key_is_refused(operation, kms, arn_of, refused):
    options = {"key_arn": arn_of(EC), "algorithm": "ECDSA_SHA_256", "kms_client": kms}
    signature = sign(MESSAGE, **options)
    kms.answer_as = arn_of(EC, "--2")
    call = (sign, MESSAGE) if operation == "Sign" else (verify_with_kms, MESSAGE, signature)
    assert refused(*call, **options).code == "IncorrectKeyException"


def test_key_limited_to_one_algorithm_accepts_no_other(kms, arn_of, public_key, refused):
    signature = sign(MESSAGE, key_arn=arn_of("RSA_2048"), algorithm="RSASSA_PKCS1_V1_5_SHA_256", kms_client=kms)
    key = public_key("RSA_2048").limited_to("RSASSA_PSS_SHA_256")
    assert (
        refused(verify, key, MESSAGE, signature, algorithm="RSASSA_PKCS1_V1_5_SHA_256").code
        == "InvalidKeyUsageException"
    )
    assert (
        refused(verify, key, MESSAGE, signature, algorithm="RSASSA_PSS_SHA_256").code == "KMSInvalidSignatureException"
    )


@pytest.mark.parametrize("salt", [0, 20, 48, padding.PSS.MAX_LENGTH])
def test_salt_of_another_length_than_the_digest_is_refused(salt, public_key, private_key, refused):
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
    signature = private_key("RSA_2048").sign(MESSAGE, pss, hashes.SHA256())
    error = refused(verify, public_key("RSA_2048"), MESSAGE, signature, algorithm="RSASSA_PSS_SHA_256")
    assert error.code == "KMSInvalidSignatureException"


def _long_form(der: bytes) -> bytes:
    return der[:1] + b"\x81" + der[1:]


@pytest.mark.parametrize("change", [lambda der: der + b"\0", _long_form, lambda der: der[:-1], lambda _: b""])
def test_signature_that_is_not_strict_der_is_refused(change, public_key, private_key, refused):
    signature = private_key(EC).sign(MESSAGE, ec.ECDSA(hashes.SHA256()))
    error = refused(verify, public_key(EC), MESSAGE, change(signature), algorithm="ECDSA_SHA_256")
    assert error.code == "KMSInvalidSignatureException"


def test_digest_of_another_length_is_refused_offline(public_key, refused):
    error = refused(verify_digest, public_key(EC), bytes(48), b"x", algorithm="ECDSA_SHA_256")
    assert error.code == "InvalidRequest"
    for mu in (bytes(63), bytes(65), b""):
        assert refused(verify_digest, public_key(ML), mu, b"x", algorithm="ML_DSA_SHAKE_256").code == "InvalidRequest"


def test_mu_is_of_one_key_and_one_message(kms, arn_of, public_key, refused):
    use = {"key_arn": arn_of(ML), "algorithm": "ML_DSA_SHAKE_256", "kms_client": kms}
    for long, key in ((LONG, public_key(ML, "--2")), (LONG + b"!", public_key(ML))):
        # A mu made with another key's public half, or of another message, is signed by KMS as it is.
        mu = of_message(long, signing_algorithm("ML_DSA_SHAKE_256"), key).data
        signature = sign_digest(mu, **use)
        error = refused(verify, public_key(ML), LONG, signature, algorithm="ML_DSA_SHAKE_256")
        assert error.code == "KMSInvalidSignatureException"


def test_long_file_cannot_have_been_signed_with_pure_ed25519(public_key, refused):
    error = refused(verify_stream, public_key(ED), io.BytesIO(bytes(4097)), bytes(64), algorithm="ED25519_SHA_512")
    assert error.code == "MessageTooLarge"


VERIFIED_MESSAGE = b"verified by somebody else\n"
OPENSSL = shutil.which("openssl")
PSS = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
HASHED = [
    *(("RSA_2048", name) for name in ALGORITHMS_OF["RSA_2048"]),
    *((spec, ALGORITHMS_OF[spec][0]) for spec in sorted(COORDINATE_BYTES)),
]
# Options of crypto.verify(hash, message, key, signature); Ed25519 and ML-DSA name no hash.
NODE = """
const crypto = require("crypto"), fs = require("fs")
const [pem, message, cases] = [process.argv[2], process.argv[3], JSON.parse(fs.readFileSync(0))]
const key = crypto.createPublicKey(fs.readFileSync(pem))
console.log(JSON.stringify(cases.map(({hash, signature, pss, encoding}) => crypto.verify(
  hash, fs.readFileSync(message),
  {key, ...(encoding && {dsaEncoding: encoding}),
   ...(pss && {padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: crypto.constants.RSA_PSS_SALTLEN_DIGEST})},
  Buffer.from(signature, "hex")))))
"""


@pytest.fixture
def files(tmp_path, public_key, kms, arn_of):
    """The public key as PEM, the message, its signature and an altered one, each in a file."""

    def make(spec, algorithm):
        signature = sign(VERIFIED_MESSAGE, key_arn=arn_of(spec), algorithm=algorithm, kms_client=kms)
        altered = signature[:-1] + bytes([signature[-1] ^ 1])
        parts = {
            "key.pem": public_key(spec).pem.encode(),
            "message": VERIFIED_MESSAGE,
            "sig": signature,
            "altered": altered,
        }
        for name, data in parts.items():
            (tmp_path / name).write_bytes(data)
        return tmp_path

    return make


@pytest.mark.skipif(OPENSSL is None, reason="OpenSSL's command line is not installed")
@pytest.mark.parametrize(("spec", "algorithm"), HASHED)
def test_openssl_dgst_verifies(spec, algorithm, files):
    folder = files(spec, algorithm)
    options = PSS if "PSS" in algorithm else []
    command = [OPENSSL, "dgst", f"-sha{algorithm[-3:]}", "-verify", "key.pem", *options, "-signature"]
    codes = [
        subprocess.run([*command, name, "message"], cwd=folder, capture_output=True, check=False).returncode
        for name in ("sig", "altered")
    ]
    assert codes == [0, 1]


@pytest.mark.skipif(OPENSSL is None, reason="OpenSSL's command line is not installed")
def test_openssl_pkeyutl_verifies_ed25519(files):
    folder = files("ECC_NIST_EDWARDS25519", "ED25519_SHA_512")
    command = [OPENSSL, "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "message", "-sigfile"]
    codes = [
        subprocess.run([*command, name], cwd=folder, capture_output=True, check=False).returncode
        for name in ("sig", "altered")
    ]
    assert codes == [0, 1]


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [
        *HASHED,
        ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512"),
        *((f"ML_DSA_{size}", "ML_DSA_SHAKE_256") for size in (44, 65, 87)),
    ],
)
def test_node_verifies(spec, algorithm, files):
    folder = files(spec, algorithm)
    hashed = f"sha{algorithm[-3:]}" if "_SHA_" in algorithm and "ED25519" not in algorithm else None
    cases = [
        {"hash": hashed, "signature": (folder / name).read_bytes().hex(), "pss": "PSS" in algorithm}
        for name in ("sig", "altered")
    ]
    if spec in COORDINATE_BYTES:
        raw = der_to_raw((folder / "sig").read_bytes(), key_spec=spec)
        forms = (raw, raw[:-1] + bytes([raw[-1] ^ 1]))
        cases += [{"hash": hashed, "signature": form.hex(), "encoding": "ieee-p1363"} for form in forms]
    (folder / "verify.cjs").write_text(NODE)
    command = [str(node_executable()), "verify.cjs", "key.pem", "message"]
    done = subprocess.run(
        command, cwd=folder, input=json.dumps(cases), text=True, capture_output=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == [True, False] * (len(cases) // 2)


# RFC 8032, section 7.3: message "abc".
SECRET = bytes.fromhex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42")
PUBLIC = Ed25519PrivateKey.from_private_bytes(SECRET).public_key().public_bytes_raw()
SIGNATURE = bytes.fromhex(
    "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41"
    "31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406"
)
DIGEST = hashlib.sha512(b"abc").digest()
ORDER = 2**252 + 27742317777372353535851937790883648493


def test_signature_of_the_rfc_verifies():
    assert PUBLIC[:4].hex() == "ec172b93"
    assert ed25519ph_verifies(PUBLIC, SIGNATURE, DIGEST)


def test_signatures_of_the_embedded_kms_verify():
    key = Ed25519PrivateKey.generate()
    for number in range(8):
        digest = hashlib.sha512(bytes([number])).digest()
        assert ed25519ph_verifies(key.public_key().public_bytes_raw(), signing.sign(key, digest), digest)


@pytest.mark.parametrize("position", [0, 31, 32, 63])
def test_altered_signature_does_not_verify(position):
    altered = bytearray(SIGNATURE)
    altered[position] ^= 1
    assert not ed25519ph_verifies(PUBLIC, bytes(altered), DIGEST)


def test_pure_ed25519_signature_of_the_digest_does_not_verify():
    assert not ed25519ph_verifies(PUBLIC, Ed25519PrivateKey.from_private_bytes(SECRET).sign(DIGEST), DIGEST)


def test_second_form_of_s_does_not_verify():
    number = int.from_bytes(SIGNATURE[32:], "little") + ORDER
    assert not ed25519ph_verifies(PUBLIC, SIGNATURE[:32] + number.to_bytes(32, "little"), DIGEST)


@pytest.mark.parametrize("signature", [b"", SIGNATURE[:-1], SIGNATURE + b"\0"])
def test_signature_of_another_length_does_not_verify(signature):
    assert not ed25519ph_verifies(PUBLIC, signature, DIGEST)


@pytest.mark.parametrize(
    "encoded", [b"\xff" * 32, bytes.fromhex("02" + "00" * 31), bytes.fromhex("01" + "00" * 30 + "80")]
)
def test_what_is_no_point_does_not_verify(encoded):
    assert not ed25519ph_verifies(PUBLIC, encoded + SIGNATURE[32:], DIGEST)
    assert not ed25519ph_verifies(encoded, SIGNATURE, DIGEST)


def scalar() -> int:
    clamped = bytearray(hashlib.sha512(SECRET).digest()[:32])
    clamped[0] &= 0xF8
    clamped[31] = clamped[31] & 0x7F | 0x40
    return int.from_bytes(clamped, "little")


def signature_with_neutral_commitment(encoded: bytes) -> bytes:
    """A signature whose equation holds if ``encoded`` is read as the neutral point."""
    domain = b"SigEd25519 no Ed25519 collisions" + bytes([1, 0])
    challenge = int.from_bytes(hashlib.sha512(domain + encoded + PUBLIC + DIGEST).digest(), "little")
    return encoded + (challenge * scalar() % ORDER).to_bytes(32, "little")


def test_point_must_be_encoded_canonically():
    neutral, again = (number.to_bytes(32, "little") for number in (1, 2**255 - 19 + 1))
    assert ed25519ph_verifies(PUBLIC, signature_with_neutral_commitment(neutral), DIGEST)
    assert not ed25519ph_verifies(PUBLIC, signature_with_neutral_commitment(again), DIGEST)


def test_key_of_small_order_does_not_verify_what_anybody_can_write_down():
    base = (4 * pow(5, -1, 2**255 - 19) % (2**255 - 19)).to_bytes(32, "little")
    neutral, one = (1).to_bytes(32, "little"), (1).to_bytes(32, "little")
    assert not ed25519ph_verifies(neutral, base + one, DIGEST)


SPECS = sorted(COORDINATE_BYTES)


@pytest.mark.parametrize("spec", SPECS)
def test_forms_turn_into_each_other(spec, kms, arn_of, public_key):
    (algorithm,) = ALGORITHMS_OF[spec]
    for _ in range(8):
        der = sign(b"x", key_arn=arn_of(spec), algorithm=algorithm, kms_client=kms)
        raw = der_to_raw(der, key_spec=spec)
        assert len(raw) == 2 * COORDINATE_BYTES[spec]
        assert raw_to_der(raw, key_spec=spec) == der
        verify(public_key(spec), b"x", raw_to_der(raw, key_spec=spec), algorithm=algorithm)


def test_small_numbers_are_filled_up_with_zeros():
    raw = der_to_raw(encode_dss_signature(1, 2), key_spec="ECC_NIST_P521")
    assert raw == bytes(65) + b"\1" + bytes(65) + b"\2"
    assert decode_dss_signature(raw_to_der(raw, key_spec="ECC_NIST_P521")) == (1, 2)


@pytest.mark.parametrize("size", [0, 63, 65, 96])
def test_r_and_s_of_another_curve_are_refused(size, refused):
    error = refused(raw_to_der, bytes(size), key_spec="ECC_NIST_P256")
    assert error.code == "KMSInvalidSignatureException"
    assert f"has {size} bytes; r‖s of ECC_NIST_P256 has 64" in str(error)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        bytes(64),
        encode_dss_signature(1 << 256, 1),
        encode_dss_signature(1, 1) + b"\0",
        b"\x30\x06\x02\x01\xff\x02\x01\x01",
    ],
    ids=["empty", "raw", "too large", "trailing", "negative"],
)
def test_what_is_no_der_of_this_curve_is_refused(signature, refused):
    assert refused(der_to_raw, signature, key_spec="ECC_NIST_P256").code == "KMSInvalidSignatureException"


@pytest.mark.parametrize("convert", [der_to_raw, raw_to_der])
def test_keys_without_ecdsa_are_refused(convert, refused):
    error = refused(convert, b"x", key_spec="RSA_2048")
    assert error.code == "InvalidKeyUsageException"
    assert "RSA_2048 makes no ECDSA signatures" in str(error)
