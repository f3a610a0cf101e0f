"""Fuzzing: no input of strangers may raise anything but a typed error.

``python -m tests.runtime.fuzz [--seconds 300] [--seed 1]`` alters and invents inputs of everything that reads text:
events of every handler, encryption contexts and configuration of the command line, key sets and key documents, Base64
text, encrypted data keys of ECDH. What is raised must be a KmsRuntimeError or click's UsageError; anything else is
printed with its input, and the exit code is 1.

``python -m tests.runtime.fuzz reader -max_total_time=600 -rss_limit_mb=300 build/corpus`` fuzzes the message reader,
guided by coverage, with atheris installed and after ``unzip -d build/corpus tests/runtime/corpus.zip``; what is worth
keeping goes into the zip file (``zip -j``). Each input is tried as it is, and once more with a genuine commitment and
header tag, so that the body is reached as well. ``test_interoperability.py`` replays the corpus without atheris.
"""

import argparse
import base64
import io
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

try:
    import atheris
except ImportError:
    atheris = None
if atheris and __name__ == "__main__":
    with atheris.instrument_imports(include=["kms_runtime"]):
        import kms_runtime.envelope.ranged

import click
from cryptography.hazmat.primitives.asymmetric import ec

import kms_runtime
from kms_runtime import KmsRuntimeError, PublicKey, RawEcdhKeyring
from kms_runtime.cli import options
from kms_runtime.cli.armor import Dearmored
from kms_runtime.envelope.ranged import FileRange
from kms_runtime.handlers.validation import validator
from kms_runtime.keyrings.keyring import DataKey
from kms_runtime.message import AlgorithmSuite, EncryptedDataKey, FieldReader, MessageKeys, read_header
from kms_runtime.streams import taker
from kms_runtime.tokens import Jwks

HANDLERS = Path(__file__).parents[2] / "lambda" / "kms_runtime" / "handlers" / "schemas"
ATOMS = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, 0.5, 5.0, 1e308, float("inf"), float("nan"), "", "a", "\ud800",
    "\0", "Ω" * 70, "x" * 5000, "s3://b/k", "arn:aws:kms:eu-west-1:111122223333:key/1234abcd", "QQ==", "=", "EC", "RSA",
    "P-256", "sig", "ES256", "AQAB", [], {}, [None], {"": ""},
)  # fmt: skip
KEY = ec.derive_private_key(7, ec.SECP256R1())
NUMBERS = KEY.public_key().public_numbers()


def encoded(number: int) -> str:
    """Return a number as JSON Web Keys have it."""
    return base64.urlsafe_b64encode(number.to_bytes(32)).rstrip(b"=").decode()


KEY_SET = {
    "keys": [
        {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "a",
         "x": encoded(NUMBERS.x), "y": encoded(NUMBERS.y)},
        {"kty": "RSA", "alg": "RS256", "kid": "b", "n": "sXch" * 90, "e": "AQAB"},
    ]
}  # fmt: skip
DOCUMENT = PublicKey(
    "arn:aws:kms:eu-west-1:111122223333:key/1234abcd", "ECC_NIST_P256", "SIGN_VERIFY", ("ECDSA_SHA_256",),
    bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
    + b"\x04" + NUMBERS.x.to_bytes(32) + NUMBERS.y.to_bytes(32),
).document()  # fmt: skip
CONFIG = 'key = ["arn:aws:kms:eu-west-1:111122223333:key/1"]\ncontext = { tenant = "a" }\nsuffix = ".x"\n'
READER = RawEcdhKeyring(private_key=KEY)
(WRAPPED,) = RawEcdhKeyring(peer_public_key=base64.b64decode(DOCUMENT["der"])).generate_data_key({}).encrypted


class Maker:
    """Makes inputs by a seeded generator."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def value(self, depth: int = 0) -> Any:
        """Return any JSON value, and some that JSON cannot say."""
        choose = self.random.random()
        if depth > 3 or choose < 0.6:
            return self.random.choice(ATOMS)
        many = range(self.random.randrange(4))
        if choose < 0.8:
            return [self.value(depth + 1) for _ in many]
        return {str(self.random.choice(ATOMS)): self.value(depth + 1) for _ in many}

    def altered(self, value: Any) -> Any:
        """Return ``value`` with something in it removed, replaced or added."""
        if isinstance(value, dict) and value:
            copy = dict(value)
            name = self.random.choice(list(copy))
            kind = self.random.random()
            if kind < 0.2:
                del copy[name]
            elif kind < 0.3:
                copy[str(self.random.choice(ATOMS))] = self.value()
            else:
                copy[name] = self.altered(copy[name])
            return copy
        if isinstance(value, list) and value and self.random.random() < 0.7:
            at = self.random.randrange(len(value))
            return [*value[:at], self.altered(value[at]), *value[at + 1 :]]
        if isinstance(value, str) and value and self.random.random() < 0.5:
            return self.cut(value.encode(errors="surrogatepass")).decode(errors="surrogateescape")
        return self.value()

    def cut(self, data: bytes) -> bytes:
        """Return ``data`` with bytes changed, cut out, doubled or put in."""
        out = bytearray(data)
        for _ in range(self.random.randrange(1, 4)):
            at = self.random.randrange(len(out) + 1)
            kind = self.random.randrange(4)
            if kind == 0 and at < len(out):
                out[at] = self.random.randrange(256)
            elif kind == 1:
                del out[at : at + self.random.randrange(1, 9)]
            elif kind == 2:
                out[at:at] = out[at : at + self.random.randrange(1, 99)]
            else:
                out[at:at] = self.random.randbytes(self.random.randrange(1, 9))
        return bytes(out)

    def example(self, schema: Any, depth: int = 0) -> Any:
        """Return something near to what a JSON Schema asks for."""
        if not isinstance(schema, dict) or depth > 6 or self.random.random() < 0.05:
            return self.value()
        for word in ("oneOf", "anyOf", "enum"):
            if schema.get(word):
                found = self.random.choice(schema[word])
                return found if word == "enum" else self.example(found, depth + 1)
        if "properties" in schema:
            members = schema["properties"].items()
            return {name: self.example(rule, depth + 1) for name, rule in members if self.random.random() < 0.8}
        if "items" in schema:
            return [self.example(schema["items"], depth + 1) for _ in range(self.random.randrange(3))]
        kind = schema.get("type")
        return {"integer": 5.0, "string": "QQ==", "boolean": True}.get(str(kind), self.value())


def targets(make: Maker, folder: Path) -> dict[str, Callable[[], tuple[Any, Callable[[], object]]]]:
    """Return what is tried: each makes an input and says how it is read."""
    rules = [
        (rule, validator(f"{path.stem}/{name}"))
        for path in sorted(HANDLERS.glob("*.json"))
        for name, rule in json.loads(path.read_text())["definitions"].items()
    ]

    def event() -> tuple[Any, Callable[[], object]]:
        rule, check = make.random.choice(rules)
        made = make.altered(make.example(rule)) if make.random.random() < 0.7 else make.value()
        return made, lambda: check(made)

    def context() -> tuple[Any, Callable[[], object]]:
        made = [str(make.altered("name=value")) for _ in range(make.random.randrange(4))]
        return made, lambda: options.pairs(made)

    def config() -> tuple[Any, Callable[[], object]]:
        made = make.cut(CONFIG.encode())
        file = folder / "config.toml"
        file.write_bytes(made)
        return made, lambda: options._configured({"KMS_RUNTIME_CONFIG": str(file)})

    def key_set() -> tuple[Any, Callable[[], object]]:
        text = json.dumps(make.altered(KEY_SET)).encode()
        made = make.cut(text) if make.random.random() < 0.5 else text
        return made, lambda: Jwks.parse(made)

    def document() -> tuple[Any, Callable[[], object]]:
        made = make.altered(DOCUMENT)
        return made, lambda: PublicKey.from_document(made if isinstance(made, dict) else {})

    def armor() -> tuple[Any, Callable[[], object]]:
        made = make.cut(base64.encodebytes(bytes(200)))
        source = Dearmored(io.BytesIO(made))
        return made, lambda: list(iter(lambda: source.read(70), b""))

    def data_key() -> tuple[Any, Callable[[], object]]:
        made = EncryptedDataKey(WRAPPED.provider_id, make.cut(WRAPPED.provider_info), make.cut(WRAPPED.ciphertext))
        return made, lambda: READER.decrypt_data_key([made], {})

    return {
        "events": event, "contexts": context, "config files": config, "key sets": key_set, "key documents": document,
        "armor": armor, "ECDH data keys": data_key,
    }  # fmt: skip


def main() -> int:
    """Run until the time is over; print how many inputs there were and what failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    tried: Counter[str] = Counter()
    untyped = 0
    end = time.monotonic() + arguments.seconds
    with TemporaryDirectory() as folder:
        chosen = targets(Maker(arguments.seed), Path(folder))
        while time.monotonic() < end and untyped < 20:
            for name, target in chosen.items():
                made, read = target()
                tried[name] += 1
                try:
                    read()
                except (KmsRuntimeError, click.UsageError):
                    continue
                except Exception as error:  # noqa: BLE001 - that is what is looked for
                    untyped += 1
                    print(f"{name}: {type(error).__name__}: {error} from {made!r}"[:2000])
    print(f"{dict(tried)}: {untyped} untyped")
    return 1 if untyped else 0


LIMIT = 64 * 1024
ALLOW = kms_runtime.CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT


class KnownKey:
    """Takes any encrypted data key for the same data key."""

    def decrypt_data_key(
        self, encrypted: Sequence[EncryptedDataKey], _context: Mapping[str, str], suite: AlgorithmSuite, /
    ) -> DataKey:
        return DataKey(known_key(suite), tuple(encrypted), "known")


def known_key(suite: AlgorithmSuite) -> bytearray:
    return bytearray(range(suite.key_length))


def check(data: bytes) -> None:
    """Read ``data`` in every way; only typed errors are let pass."""
    read_every_way(data)
    if forged := with_genuine_header(data):
        read_every_way(forged)


def read_every_way(data: bytes) -> None:
    common = {"keyring": KnownKey(), "encryption_context": {}, "max_frame_length": LIMIT}
    with suppress(KmsRuntimeError):
        kms_runtime.decrypt_bytes(data, commitment_policy=ALLOW, **common)
    with suppress(KmsRuntimeError):
        kms_runtime.decrypt(io.BufferedReader(io.BytesIO(data)), io.BytesIO(), commitment_policy=ALLOW, **common)
    start = data[-1] if data else 0
    with suppress(KmsRuntimeError):
        kms_runtime.decrypt_range(FileRange(io.BytesIO(data)), io.BytesIO(), start=start, length=start + 1, **common)


def with_genuine_header(data: bytes) -> bytes | None:
    """Return ``data`` with the commitment and the tag that belong to its header, if it has one."""
    try:
        header = read_header(FieldReader(taker(io.BytesIO(data))), max_frame_length=LIMIT, commitment_policy=ALLOW)
    except KmsRuntimeError:
        return None
    keys = MessageKeys.derive(header.suite, known_key(header.suite), header.message_id)
    body = header.body[: len(header.body) - len(header.commitment)] + keys.commitment
    tag = keys.cipher.encrypt(header.iv, b"", body)
    return body + (b"" if header.suite.committing else header.iv) + tag + data[header.size :]


if __name__ == "__main__":
    if sys.argv[1:2] != ["reader"]:
        sys.exit(main())
    atheris.Setup([sys.argv[0], *sys.argv[2:]], check)
    atheris.Fuzz()
