"""Outsiders of a key agreement: Node's built-in crypto, and the example as its user runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from kms_patterns.toolchain import node_executable
from kms_runtime import KmsRuntimeError
from kms_runtime.key_agreement.agreement import LocalParty, open_sealed, seal

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
        script = str(ROOT / "examples" / "seal_order.py")
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "lambda")}
        words = [sys.executable, script, verb, "kms.pem", "outsider.pem", "in", "out"]
        subprocess.run(words, cwd=self.folder, env=environment, check=True)
        return (self.folder / "out").read_bytes()

    def answer(self, payload: bytes) -> bytes:
        keys = {"sender": self.ours.public_key, "recipient": self.theirs.public_key}
        return seal(payload, party=self.ours, purpose="orders", **keys)

    def read(self, message: bytes, purpose: str = "orders") -> bytes:
        return open_sealed(message, party=self.ours, purpose=purpose, sender=self.theirs.public_key).payload


@pytest.fixture(params=CURVES, ids=lambda curve: curve.name)
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> Setting:
    return Setting(tmp_path, request.param)


def test_node_seals_what_we_open_and_opens_what_we_seal(setting: Setting) -> None:
    assert setting.read(setting.node("seal", b"two bicycles").stdout) == b"two bicycles"
    assert setting.node("open", setting.answer(b"accepted")).stdout == b"accepted"


def test_node_and_we_refuse_the_same(tmp_path: Path) -> None:
    setting = Setting(tmp_path, CURVES[0])
    altered = bytearray(setting.answer(b"accepted"))
    altered[-1] ^= 1
    for message, purpose in ((bytes(altered), "orders"), (setting.answer(b"accepted"), "payments")):
        refused = setting.node("open", message, purpose)
        assert (refused.returncode, refused.stdout) == (1, b"")
        assert b"unable to authenticate data" in refused.stderr
    with pytest.raises(KmsRuntimeError, match="tag does not verify"):
        setting.read(setting.node("seal", b"x", "payments").stdout)


def test_example_seals_and_opens_without_aws(tmp_path: Path) -> None:
    setting = Setting(tmp_path, CURVES[0])
    assert setting.read(setting.example("seal", b"two bicycles")) == b"two bicycles"
    assert setting.example("open", setting.answer(b"accepted")) == b"accepted"
