"""Verifiers that we did not write accept our signatures and refuse altered ones: OpenSSL, Node's crypto."""

import json
import shutil
import subprocess

import pytest

from kms_patterns.toolchain import node_executable
from kms_runtime.signatures.ecdsa import COORDINATE_BYTES, der_to_raw
from kms_runtime.signatures.signing import sign
from kms_runtime.signing_algorithms import ALGORITHMS_OF

MESSAGE = b"verified by somebody else\n"
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
        signature = sign(MESSAGE, key_arn=arn_of(spec), algorithm=algorithm, kms_client=kms)
        altered = signature[:-1] + bytes([signature[-1] ^ 1])
        parts = {"key.pem": public_key(spec).pem.encode(), "message": MESSAGE, "sig": signature, "altered": altered}
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
