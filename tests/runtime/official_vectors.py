"""Run official test vectors from a folder against this package, and print what passed by kind.

Run ``python -m tests.runtime.official_vectors FOLDER``. The folder, at any depth, holds checkouts or single files of

- awslabs/aws-encryption-sdk-test-vectors (the ``.zip`` files of ``vectors/awses-decrypt``, or what they hold),
- aws/aws-encryption-sdk-dafny (the ``.zip`` files of its .NET TestVectorsNative), with raw keys,
- aws/aws-encryption-sdk-python (``commitment-test-vectors.json`` and ``decrypt_oracle/test/vectors``),
- C2SP/wycheproof (``testvectors_v1``).

A vector passes if the verdict is the expected one and the plaintext or secret too; a case that its authors call
acceptable passes either way. What is out of scope is counted with the reason. Exit code 1 if anything failed. The
results of the last run are in docs/data-plane.md.
"""

import argparse
import base64
import json
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from kms_runtime import CommitmentPolicy, KmsRuntimeError, RawAesKeyring, RawRsaKeyring, decrypt_bytes
from kms_runtime.errors import TokenRefused
from kms_runtime.key_agreement import LocalParty
from kms_runtime.keyrings.keyring import DataKey
from kms_runtime.message import EncryptedDataKey, FieldReader, read_header
from kms_runtime.signatures import verify
from kms_runtime.signatures.verifying_keys import read_verifying_key
from kms_runtime.tokens.algorithms import checker

PASS, FAIL = "passed", "FAILED"
Outcome = tuple[str, str]
"""The kind, and ``PASS``, ``FAIL`` or why it is out of scope."""
BOTH = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT


class StaticKeyring:
    """A keyring that knows the data key, as such vectors give it or all zeros."""

    def __init__(self, data_key: bytes | None) -> None:
        self._data_key = data_key

    def generate_data_key(self, *_: Any) -> DataKey:
        """Refuse: vectors are decrypted only."""
        raise NotImplementedError

    def decrypt_data_key(self, encrypted: Any, _context: Any, suite: Any, /) -> DataKey:
        """Return the data key, whatever the message says."""
        plaintext = bytes(suite.key_length) if self._data_key is None else self._data_key
        return DataKey(bytearray(plaintext), tuple(encrypted), "vectors")


def verdict(call: Callable[[], Any]) -> Any:
    """Return what ``call`` returns; None if it refuses with a typed error."""
    try:
        return call()
    except KmsRuntimeError:
        return None


def decrypted(message: bytes, keyring: Any, context: Mapping[str, str] | None = None) -> bytes | None:
    """Return the plaintext of a message; None if it is refused."""
    found: bytes | None = verdict(
        lambda: decrypt_bytes(message, keyring=keyring, encryption_context=context or {}, commitment_policy=BOTH)
    )
    return found


# --- AWS Encryption SDK ------------------------------------------------------------------------------------------


def commitment(document: Mapping[str, Any]) -> Iterator[Outcome]:
    """Known answers for messages with key commitment."""
    for test in document["tests"]:
        keyring = StaticKeyring(base64.b64decode(test["decrypted-dek"]))
        found = decrypted(base64.b64decode(test["ciphertext"]), keyring)
        expected = "".join(test["plaintext-frames"]).encode() if test["status"] else None
        yield "AWS: key commitment", PASS if found == expected else FAIL


def oracle(document: list[Mapping[str, Any]]) -> Iterator[Outcome]:
    """Messages of the decrypt oracle, those under a data key of zeros."""
    for test in document:
        message = base64.b64decode(test["ciphertext"])
        if test["key-type"] != "null":
            yield "AWS: decrypt oracle, AWS's own KMS key", header_only(message)
            continue
        found = decrypted(message, StaticKeyring(None))
        yield "AWS: decrypt oracle", PASS if found == base64.b64decode(test["plaintext"]) else FAIL


def header_only(message: bytes) -> str:
    """Read the header, which is what can be checked without AWS's keys."""
    try:
        read_header(FieldReader(_taker(message)), commitment_policy=BOTH)
    except KmsRuntimeError as error:
        return f"{FAIL} ({error.code})"
    return "the data key is under a KMS key of AWS; the header is read"


def _taker(data: bytes) -> Callable[[int], bytes]:
    position = 0

    def take(size: int) -> bytes:
        nonlocal position
        position += size
        return data[position - size : position]

    return take


def manifest(document: Mapping[str, Any], read: Callable[[str], bytes]) -> Iterator[Outcome]:
    """Tests of one ``awses-decrypt`` manifest, of any version; ``read`` returns a file that it names."""
    keys = json.loads(read(document["keys"]))["keys"]
    for test in document["tests"].values():
        for scenario in test.get("decryption-scenarios", {"": test}).values():
            yield scenario_outcome(scenario, keys, read)


def scenario_outcome(scenario: Mapping[str, Any], keys: Mapping[str, Any], read: Callable[[str], bytes]) -> Outcome:
    """Return the outcome of one message."""
    message = read(scenario["ciphertext"])
    wanted = scenario.get("result", {"output": {"plaintext": scenario.get("plaintext")}})
    expected = read(wanted["output"]["plaintext"]) if "output" in wanted else None
    raw = [given for given in scenario["master-keys"] if given["type"] == "raw"]
    if not raw:
        return "AWS: messages under AWS's own KMS keys", header_only(message)
    kind = "AWS: messages under raw keys" if expected is not None else "AWS: messages to be refused"
    context = scenario.get("encryption-context", {})
    attempts = (decrypted(message, raw_keyring(given, keys), context) for given in raw)
    found = next((plain for plain in attempts if plain is not None), None)
    return kind, PASS if found == expected else f"{FAIL} (another plaintext)" if found is not None else FAIL


def raw_keyring(given: Mapping[str, Any], keys: Mapping[str, Any]) -> Any:
    """Return the keyring that a manifest describes."""
    key = keys[given["key"]]
    material, name = key["material"], key.get("key-id", given["key"])
    text = material if isinstance(material, str) else key.get("line-separator", "").join(material)
    if given["encryption-algorithm"] == "aes":
        return RawAesKeyring(given["provider-id"], name, wrapping_key=base64.b64decode(text))
    scheme = "PKCS1" if given["padding-algorithm"] == "pkcs1" else f"OAEP_{given['padding-hash'].upper()}_MGF1"
    if key["type"] == "public":
        return RefusingKeyring()
    private: Any = load_pem_private_key(text.encode(), None)
    return RawRsaKeyring(given["provider-id"], name, private_key=private, padding_scheme=scheme)  # type: ignore[arg-type]


class RefusingKeyring(StaticKeyring):
    """Stands for a public key, which decrypts nothing."""

    def __init__(self) -> None:
        super().__init__(None)

    def decrypt_data_key(self, *_: Any) -> DataKey:
        """Refuse."""
        raise TokenRefused("a public key decrypts nothing")


# --- Wycheproof --------------------------------------------------------------------------------------------------

CURVES = {"secp256r1": "SHA-256", "secp384r1": "SHA-384", "secp521r1": "SHA-512", "secp256k1": "SHA-256"}
JOSE = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
RSA_SIZES, RSA_HASHES = {2048, 3072, 4096}, {"SHA-256", "SHA-384", "SHA-512"}
NO_KEY = "AWS KMS has no such key or algorithm"
Check = Callable[[Mapping[str, Any], Mapping[str, Any]], bool]


def signed(algorithm: str, der: str = "publicKeyDer") -> Check:
    """Return the check of a signature as AWS KMS makes it; of another form for tokens see ``token_signed``."""

    def check(group: Mapping[str, Any], test: Mapping[str, Any]) -> bool:
        key = read_verifying_key(bytes.fromhex(group[der]), called="vector")
        verify(key, bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"]), algorithm=algorithm)
        return True

    return check


def token_signed(algorithm: str) -> Check:
    """Return the check of a token's signature."""

    def check(group: Mapping[str, Any], test: Mapping[str, Any]) -> bool:
        key = read_verifying_key(bytes.fromhex(group["publicKeyDer"]), called="vector").key
        checker(key, algorithm)(bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"]))
        return True

    return check


def agreed(_group: Mapping[str, Any], test: Mapping[str, Any]) -> bool:
    """Agree with a public key in DER."""
    curve = {"secp256r1": ec.SECP256R1(), "secp384r1": ec.SECP384R1(), "secp521r1": ec.SECP521R1()}[_group["curve"]]
    private = ec.derive_private_key(int(test["private"], 16), curve)
    return bytes(LocalParty(private).shared_secret(bytes.fromhex(test["public"]))) == bytes.fromhex(test["shared"])


@cache
def private_key(pkcs8: str) -> Any:
    """Return the private key; None if ``cryptography`` has no such keys."""
    try:
        return load_der_private_key(bytes.fromhex(pkcs8), None)
    except (ValueError, UnsupportedAlgorithm):
        return None


def rsa_unwrapped(scheme: str) -> Check:
    """Return the check of an encrypted data key; one of another length than a data key has must be refused."""

    def check(group: Mapping[str, Any], test: Mapping[str, Any]) -> bool:
        private: Any = private_key(group["privateKeyPkcs8"])
        keyring = RawRsaKeyring("vectors", "rsa", private_key=private, padding_scheme=scheme)  # type: ignore[arg-type]
        encrypted = EncryptedDataKey("vectors", b"rsa", bytes.fromhex(test["ct"]))
        return bytes(keyring.decrypt_data_key([encrypted], {}).plaintext) == bytes.fromhex(test["msg"])

    return check


def of_curve(group: Mapping[str, Any]) -> str:
    """Return the curve of a group's key."""
    found: str = group.get("curve") or group["publicKey"]["curve"]
    return found


def ecdsa(group: Mapping[str, Any]) -> Check | None:
    """Return the check of DER signatures."""
    usable = CURVES.get(of_curve(group)) == group["sha"]
    return signed(f"ECDSA_SHA_{group['sha'][4:]}") if usable else None


def ecdsa_of_tokens(group: Mapping[str, Any]) -> Check | None:
    """Return the check of signatures of two numbers."""
    curve = of_curve(group)
    return token_signed(JOSE[curve]) if curve in JOSE and CURVES[curve] == group["sha"] else None


def rsa(group: Mapping[str, Any]) -> Check | None:
    """Return the check of PKCS #1 v1.5 signatures."""
    usable = group["keySize"] in RSA_SIZES and group["sha"] in RSA_HASHES
    return signed(f"RSASSA_PKCS1_V1_5_SHA_{group['sha'][4:]}") if usable else None


def pss(group: Mapping[str, Any]) -> Check | None:
    """Return the check of PSS signatures, whose salt is as long as the digest."""
    sha = group["sha"]
    usable = rsa(group) and group["mgfSha"] == sha and group["sLen"] * 8 == int(sha[4:])
    return signed(f"RSASSA_PSS_SHA_{sha[4:]}") if usable else None


def oaep(group: Mapping[str, Any]) -> Check | None:
    """Return the check of data keys under OAEP."""
    sha = group["sha"]
    usable = group["mgfSha"] == sha and sha in RSA_HASHES | {"SHA-1"}
    return rsa_unwrapped(f"OAEP_{sha.replace('-', '')}_MGF1") if usable else None


KINDS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Check | None]]] = {
    "EcdsaVerify": ("ECDSA, DER", ecdsa),
    "EcdsaP1363Verify": ("ECDSA, tokens", ecdsa_of_tokens),
    "EddsaVerify": (
        "Ed25519",
        lambda group: signed("ED25519_SHA_512") if of_curve(group) == "edwards25519" else None,
    ),
    "MlDsaVerify": ("ML-DSA", lambda group: signed("ML_DSA_SHAKE_256")),
    "RsassaPkcs1Verify": ("RSA PKCS #1 v1.5", rsa),
    "RsassaPssVerify": ("RSA PSS", pss),
    "EcdhTest": ("ECDH", lambda group: agreed if of_curve(group) in JOSE else None),
    "RsaesPkcs1Decrypt": (
        "RSA data keys",
        lambda group: rsa_unwrapped("PKCS1") if group["keySize"] in RSA_SIZES else None,
    ),
    "RsaesOaepDecrypt": ("RSA data keys", oaep),
}
"""Kind of a group to what the table calls it, and to its check; None for what AWS KMS does not have."""


def wycheproof(document: Mapping[str, Any]) -> Iterator[Outcome]:
    """Cases of one file."""
    for group in document["testGroups"]:
        if group["type"] not in KINDS:
            for _ in group["tests"]:
                yield "Wycheproof: other", group["type"]
            continue
        kind, find = KINDS[group["type"]]
        check = find(group) or NO_KEY
        for test in group["tests"]:
            yield f"Wycheproof: {kind}", case(group, test, check)


def case(group: Mapping[str, Any], test: Mapping[str, Any], check: Check | str) -> str:
    """Return ``PASS``, ``FAIL``, or why a case is out of scope."""
    if isinstance(check, str):
        return check
    if test.get("ctx") or test.get("label"):
        return "a context or label, which AWS KMS and the AWS Encryption SDK leave empty"
    if "privateKeyPkcs8" in group and private_key(group["privateKeyPkcs8"]) is None:
        return "cryptography reads no such private key"
    if group["type"].startswith("Rsaes") and len(test["msg"]) // 2 != 32:
        verdicts = {False, None}
    else:
        verdicts = {"valid": {True}, "invalid": {False, None}, "acceptable": {True, None}}[test["result"]]
    try:
        found = verdict(lambda: check(group, test))
    except (ValueError, UnsupportedAlgorithm):
        found = "untyped"
    return PASS if found in verdicts else f"{FAIL} ({test['tcId']}, {test['result']}, {found})"


# --- The folder --------------------------------------------------------------------------------------------------


DEVIATING = "invalid-Net-4.0.0.zip"
REFUSED = "written by version 4.0.0 for .NET, which no other implementation reads, and refused"
"""https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/dot-net.html"""


def outcomes(folder: Path) -> Iterator[Outcome]:
    """Run everything that a folder holds."""
    for path in sorted(folder.rglob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".json"):
                    base = name.rpartition("/")[0]
                    found = run(
                        json.loads(archive.read(name)),
                        lambda uri, base=base, archive=archive: archive.read(_inside(base, uri)),  # type: ignore[misc]
                    )
                    deviating = path.name == DEVIATING
                    yield from (
                        (kind, REFUSED if deviating and outcome == FAIL else outcome) for kind, outcome in found
                    )
    for path in sorted(folder.rglob("*.json")):
        yield from run(
            json.loads(path.read_bytes()),
            lambda uri, path=path: (path.parent / uri.removeprefix("file://")).read_bytes(),  # type: ignore[misc]
        )


def _inside(base: str, uri: str) -> str:
    return f"{base}/{uri.removeprefix('file://')}".lstrip("/")


def run(document: Any, read: Callable[[str], bytes]) -> Iterator[Outcome]:
    """Run the vectors of one document, if it holds any."""
    if isinstance(document, list) and document and "algorithm-suite" in document[0]:
        yield from oracle(document)
    elif not isinstance(document, dict):
        return
    elif "testGroups" in document:
        yield from wycheproof(document)
    elif document.get("manifest", {}).get("type") == "awses-decrypt":
        yield from manifest(document, read)
    elif "Message Format V2 Test Vectors" in document.get("title", ""):
        yield from commitment(document)


def main() -> int:
    """Print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    counted = Counter(outcomes(parser.parse_args().folder))
    print("| kind | passed | failed | out of scope |\n|---|---|---|---|")
    for kind in sorted({kind for kind, _ in counted}):
        mine = {result: many for (name, result), many in counted.items() if name == kind}
        failed = {result: many for result, many in mine.items() if result.startswith(FAIL)}
        out = "; ".join(f"{many}: {why}" for why, many in mine.items() if why != PASS and why not in failed)
        print(f"| {kind} | {mine.get(PASS, 0)} | {sum(failed.values())} | {out or 0} |")
        for result in failed:
            print(f"{kind}: {result}", file=sys.stderr)
    return 1 if any(result.startswith(FAIL) for _, result in counted) else 0


if __name__ == "__main__":
    sys.exit(main())
