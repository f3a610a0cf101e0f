"""Key material through the command line: files, wrapping, and the import into the embedded AWS."""

import hashlib
import hmac
import stat
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from kms_runtime.cli.key_material import importing, material

RSA = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP521R1())
OWN = importing.WRAPPING_KEY_SPEC


@pytest.fixture(autouse=True)
def wrapping_key(monkeypatch):
    """RSA_2048, which KMS here makes in a tenth of the time, for what is not about the command's own choice."""
    monkeypatch.setattr(importing, "WRAPPING_KEY_SPEC", "RSA_2048")


def written(path, key, encoding=Encoding.DER, encryption=None):
    path.write_bytes(key.private_bytes(encoding, PrivateFormat.PKCS8, encryption or NoEncryption()))
    return path


def public(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="session")
def kms(aws):
    return aws.session().client("kms")


@pytest.fixture
def empty_key(kms):
    """A key that waits for material."""

    def make(spec="SYMMETRIC_DEFAULT", usage="ENCRYPT_DECRYPT"):
        return kms.create_key(Origin="EXTERNAL", KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["Arn"]

    return make


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(bytes(range(32)))
    return path


def test_symmetric_material_is_imported_and_used_until_it_expires(run, kms, empty_key, secret, aws):
    key, calls = empty_key(), len(aws.kms_calls())
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)

    done = run("import-key-material", secret, "--key", key, "--expires", until.isoformat())

    assert (done.code, done.stdout) == (0, b"")
    assert f"SYMMETRIC_DEFAULT material imported into {key}, until {until:%Y-%m-%d %H:%M} UTC" in done.stderr
    assert [call["action"] for call in aws.kms_calls()[calls:]] == [
        "kms:DescribeKey",
        "kms:GetParametersForImport",
        "kms:ImportKeyMaterial",
    ]
    described = kms.describe_key(KeyId=key)["KeyMetadata"]
    assert (described["KeyState"], described["ExpirationModel"]) == ("Enabled", "KEY_MATERIAL_EXPIRES")
    assert described["ValidTo"] == until
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    kms.delete_imported_key_material(KeyId=key)
    assert run("import-key-material", secret, "--key", key).code == 0
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["ExpirationModel"] == "KEY_MATERIAL_DOES_NOT_EXPIRE"


def test_rsa_private_key_in_pem_decrypts_what_was_encrypted_outside(run, kms, empty_key, tmp_path):
    key = empty_key("RSA_2048")

    done = run("import-key-material", written(tmp_path / "rsa.pem", RSA, Encoding.PEM), "--key", key)

    assert (done.code, kms.get_public_key(KeyId=key)["PublicKey"]) == (0, public(RSA)), done.stderr
    sealed = RSA.public_key().encrypt(b"x", padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    opened = kms.decrypt(KeyId=key, CiphertextBlob=sealed, EncryptionAlgorithm="RSAES_OAEP_SHA_256")
    assert opened["Plaintext"] == b"x"


@pytest.mark.parametrize("algorithm", ["RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256"])
def test_elliptic_curve_private_key_signs_what_is_verified_outside(
    algorithm, run, kms, empty_key, tmp_path, monkeypatch
):
    monkeypatch.setattr(importing, "WRAPPING_KEY_SPEC", OWN)  # a P-521 key is too long for RSAES_OAEP under RSA_2048
    key = empty_key("ECC_NIST_P521", "SIGN_VERIFY")
    file = written(tmp_path / "curve.der", CURVE)

    assert run("import-key-material", file, "--key", key, "--algorithm", algorithm).code == 0

    signature = kms.sign(KeyId=key, Message=b"message", SigningAlgorithm="ECDSA_SHA_512")["Signature"]
    CURVE.public_key().verify(signature, b"message", ec.ECDSA(hashes.SHA512()))


def test_hmac_material_from_standard_input_gives_the_same_tag_as_outside(run, kms, empty_key):
    key, shared = empty_key("HMAC_384", "GENERATE_VERIFY_MAC"), bytes(range(48))

    assert run("import-key-material", "-", "--key", key, stdin=shared).code == 0

    tag = kms.generate_mac(KeyId=key, Message=b"message", MacAlgorithm="HMAC_SHA_384")["Mac"]
    assert tag == hmac.digest(shared, b"message", hashlib.sha384)


def test_generated_material_is_kept_for_its_owner_alone_and_imported(run, kms, empty_key, tmp_path):
    key, file = empty_key("ECC_NIST_EDWARDS25519", "SIGN_VERIFY"), tmp_path / "new.der"

    assert run("import-key-material", "--generate", file, "--key", key).code == 0

    kept = load_der_private_key(file.read_bytes(), None)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert kms.get_public_key(KeyId=key)["PublicKey"] == public(kept)
    before = file.read_bytes()
    done = run("import-key-material", "--generate", file, "--key", empty_key("ECC_NIST_P256", "SIGN_VERIFY"))
    assert (done.code, "FileExistsError" in done.stderr, file.read_bytes()) == (1, True, before)


def test_encrypted_private_key_asks_for_its_passphrase(run, kms, empty_key, tmp_path):
    file = written(tmp_path / "rsa.pem", RSA, Encoding.PEM, BestAvailableEncryption(b"secret words"))
    key = empty_key("RSA_2048")

    assert run("import-key-material", file, "--key", key, stdin=b"another\n").code == 3
    assert run("import-key-material", file, "--key", key, stdin=b"secret words\n").code == 0
    assert kms.get_public_key(KeyId=key)["PublicKey"] == public(RSA)


def test_other_material_than_before_is_refused_unless_it_is_to_be_rotated_to(run, kms, empty_key, secret, tmp_path):
    key, other = empty_key(), tmp_path / "other"
    other.write_bytes(bytes(32))
    assert run("import-key-material", secret, "--key", key).code == 0
    before = kms.encrypt(KeyId=key, Plaintext=b"before")["CiphertextBlob"]

    done = run("import-key-material", other, "--key", key)

    assert (done.code, "IncorrectKeyMaterialException" in done.stderr) == (1, True)
    assert run("import-key-material", other, "--key", key, "--new-material").code == 0
    kms.rotate_key_on_demand(KeyId=key)
    after = kms.encrypt(KeyId=key, Plaintext=b"after")
    opened = [kms.decrypt(CiphertextBlob=blob) for blob in (before, after["CiphertextBlob"])]
    assert [answer["Plaintext"] for answer in opened] == [b"before", b"after"]
    assert len({answer["KeyMaterialId"] for answer in opened}) == 2


@pytest.mark.parametrize(
    ("content", "spec", "reason"),
    [
        (bytes(31), "SYMMETRIC_DEFAULT", "31 bytes of key material: SYMMETRIC_DEFAULT takes exactly 32 raw bytes"),
        (bytes(32), "HMAC_224", "HMAC_224 takes exactly 28 raw bytes"),
        (bytes(32), "RSA_2048", "not a private key in PEM or DER"),
        (RSA, "RSA_3072", "the private key is RSA_2048, the KMS key takes RSA_3072"),
        (CURVE, "ECC_NIST_P256", "the private key is ECC_NIST_P521"),
        (ed25519.Ed25519PrivateKey.generate(), "RSA_2048", "the private key is ECC_NIST_EDWARDS25519"),
        (b"x" * 70_000, "SYMMETRIC_DEFAULT", "no key material is that long"),
    ],
)
def test_material_of_another_kind_is_refused_before_any_parameters(
    content, spec, reason, run, empty_key, tmp_path, aws
):
    usage = {"H": "GENERATE_VERIFY_MAC", "E": "SIGN_VERIFY"}.get(spec[0], "ENCRYPT_DECRYPT")
    key, file = empty_key(spec, usage), tmp_path / "file"
    file.write_bytes(content) if isinstance(content, bytes) else written(file, content)
    calls = len(aws.kms_calls())

    done = run("import-key-material", file, "--key", key)

    assert (done.code, "KeyMaterialInvalid: " in done.stderr) == (3, True)
    assert reason in done.stderr
    assert [call["action"] for call in aws.kms_calls()[calls:]] == ["kms:DescribeKey"]


@pytest.mark.parametrize("days", [-1, 366])
def test_expiry_that_kms_does_not_take_is_refused(days, run, empty_key, secret):
    when = (datetime.now(UTC) + timedelta(days=days)).date().isoformat()

    done = run("import-key-material", secret, "--key", empty_key(), "--expires", when)

    assert (done.code, "from now to 365 days from now" in done.stderr) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("secret", "--expires", "tomorrow"), "--expires tomorrow: 2027-03-31"),
        (("-", "--generate"), "--generate keeps the material in a file"),
        (("secret", "--key", "alias/orders"), "the ARN of a key is expected"),
    ],
)
def test_wrong_command_line_is_exit_code_2(arguments, reason, run, secret, keys):
    given = arguments if "--key" in arguments else (*arguments, "--key", keys.first)

    done = run("import-key-material", *given)

    assert (done.code, reason in done.stderr) == (2, True), done.stderr


def test_key_with_material_of_kms_is_refused(run, keys, secret):
    done = run("import-key-material", secret, "--key", keys.first)

    assert (done.code, "has origin AWS_KMS: only keys that were made without material" in done.stderr) == (3, True)


def test_key_that_is_about_to_be_deleted_is_refused(run, kms, empty_key, secret):
    key = empty_key()
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)

    done = run("import-key-material", secret, "--key", key)

    assert (done.code, "is PendingDeletion: material cannot be imported" in done.stderr) == (3, True)


@pytest.mark.parametrize(
    ("spec", "algorithm"), [("RSA_2048", "RSAES_OAEP_SHA_256"), ("HMAC_256", "RSA_AES_KEY_WRAP_SHA_256")]
)
def test_algorithm_that_kms_does_not_take_for_a_spec_is_refused_by_both_sides(spec, algorithm, kms, empty_key):
    with pytest.raises(material.KeyMaterialInvalid, match=f"algorithm {algorithm}: {spec} material is wrapped by"):
        importing.choose(spec, algorithm)
    key = empty_key(spec, "GENERATE_VERIFY_MAC" if spec[0] == "H" else "ENCRYPT_DECRYPT")
    with pytest.raises(ClientError, match="UnsupportedOperationException"):
        kms.get_parameters_for_import(KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec="RSA_2048")


def test_command_wipes_what_it_read(run, empty_key, secret, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "kms_runtime.cli.key_material.importing.wrap", lambda given, *_: seen.append((given, bytes(given))) or b"no"
    )

    assert run("import-key-material", secret, "--key", empty_key()).code == 1

    assert seen == [(bytes(32), secret.read_bytes())]


@pytest.mark.parametrize("spec", material.KEY_SPECS)
def test_every_spec_has_material_that_is_generated_and_read_back(spec):
    made = material.generate(spec)

    assert material.normalized(made, spec) == made
    assert importing.algorithms_for(spec)[0] == importing.choose(spec, None)


def test_spec_whose_material_is_not_known_is_refused():
    with pytest.raises(material.KeyMaterialInvalid, match="key spec ML_DSA_65"):
        material.generate("ML_DSA_65")


def test_buffer_is_wiped_though_the_import_fails():
    buffer = bytearray(b"secret")

    with pytest.raises(ZeroDivisionError), material.wiped(buffer):
        _ = 1 / 0

    assert buffer == bytes(6)


def test_pem_is_told_by_its_first_line():
    pem = bytearray(RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))

    assert load_pem_private_key(pem, None)
    assert material.normalized(bytearray(b"\n") + pem, "RSA_2048") == RSA.private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )
