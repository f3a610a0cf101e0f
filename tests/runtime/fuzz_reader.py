"""Coverage-guided fuzzing of the message reader: no input may raise anything but a typed error.

With atheris installed, ``unzip -d build/corpus tests/runtime/corpus.zip``, then run
``python tests/runtime/fuzz_reader.py -max_total_time=600 -rss_limit_mb=300 build/corpus``; what is worth keeping goes
into the zip file (``zip -j``). Each input is tried as it is, and once more with a genuine commitment and header tag, so
that the body is reached as well. ``test_message_strictness.py`` replays the corpus without atheris.
"""

import io
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

try:
    import atheris
except ImportError:
    atheris = None

if atheris and __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2] / "lambda"))
    with atheris.instrument_imports(include=["kms_runtime"]):
        import kms_runtime.envelope.ranged

import kms_runtime
from kms_runtime.envelope.ranged import FileRange
from kms_runtime.keyrings.keyring import DataKey
from kms_runtime.message import AlgorithmSuite, EncryptedDataKey, FieldReader, MessageKeys, read_header
from kms_runtime.streams import taker

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
    with suppress(kms_runtime.KmsRuntimeError):
        kms_runtime.decrypt_bytes(data, commitment_policy=ALLOW, **common)
    with suppress(kms_runtime.KmsRuntimeError):
        kms_runtime.decrypt(io.BufferedReader(io.BytesIO(data)), io.BytesIO(), commitment_policy=ALLOW, **common)
    start = data[-1] if data else 0
    with suppress(kms_runtime.KmsRuntimeError):
        kms_runtime.decrypt_range(FileRange(io.BytesIO(data)), io.BytesIO(), start=start, length=start + 1, **common)


def with_genuine_header(data: bytes) -> bytes | None:
    """Return ``data`` with the commitment and the tag that belong to its header, if it has one."""
    try:
        header = read_header(FieldReader(taker(io.BytesIO(data))), max_frame_length=LIMIT, commitment_policy=ALLOW)
    except kms_runtime.KmsRuntimeError:
        return None
    keys = MessageKeys.derive(header.suite, known_key(header.suite), header.message_id)
    body = header.body[: len(header.body) - len(header.commitment)] + keys.commitment
    tag = keys.cipher.encrypt(header.iv, b"", body)
    return body + (b"" if header.suite.committing else header.iv) + tag + data[header.size :]


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
