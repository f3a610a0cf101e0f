"""Who takes part in the throughput benchmark: this package, the official SDK, and the limits that neither can pass."""

import hashlib
import io
import os
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import aws_encryption_sdk
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import AesWrappingAlg, CreateRawAesKeyringInput
from aws_encryption_sdk.identifiers import Algorithm
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import kms_runtime

CONTEXT = {"tenant": "benchmark"}
CHUNK = 256 * 1024
MIB = 1024 * 1024
UNSIGNED = kms_runtime.AES_256_GCM_HKDF_SHA512_COMMIT_KEY
SIGNED = kms_runtime.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384
DOCUMENTED_FRAME = 4096
BEST_FRAME = 64 * 1024

KEYRING = kms_runtime.RawAesKeyring("benchmark", "key", wrapping_key=bytes(32))

Run = Callable[[Path], None]


@contextmanager
def opened(path: Path) -> Any:
    """Open ``path`` to read, and a sink that costs nothing."""
    with path.open("rb", buffering=0) as source, Path(os.devnull).open("wb", buffering=0) as sink:
        yield source, sink


def read_through(path: Path) -> None:
    """Read the file and do nothing with it."""
    data = bytearray(CHUNK)
    with opened(path) as (source, _):
        while source.readinto(data):
            pass


def one_gcm_message(path: Path) -> None:
    """Read the file and encrypt it as one AES-GCM message, in reused buffers: what one core can do at most."""
    encryptor = Cipher(algorithms.AES256(os.urandom(32)), modes.GCM(os.urandom(12))).encryptor()
    data, out = bytearray(CHUNK), bytearray(CHUNK)
    with opened(path) as (source, sink):
        while got := source.readinto(data):
            encryptor.update_into(memoryview(data)[:got], out)
            sink.write(memoryview(out)[:got])
        encryptor.finalize()


def sha384_alone(path: Path) -> None:
    """Read the file and hash it."""
    digest, data = hashlib.sha384(), bytearray(CHUNK)
    with opened(path) as (source, _):
        while got := source.readinto(data):
            digest.update(memoryview(data)[:got])


def ours_encrypt(suite: Any) -> Run:
    def run(path: Path) -> None:
        with opened(path) as (source, sink):
            kms_runtime.encrypt(source, sink, keyring=KEYRING, encryption_context=CONTEXT, algorithm_suite=suite)

    return run


def ours_decrypt(path: Path) -> None:
    with opened(path) as (source, sink):
        kms_runtime.decrypt(source, sink, keyring=KEYRING, encryption_context=CONTEXT)


class Blocks(io.RawIOBase):
    """Collects what is written into blocks of 1 MiB, as a copied file is laid out in the page cache.

    A file that was written in frames lies there in small pieces, which take about a third longer to read.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._block = bytearray()

    def writable(self) -> bool:  # noqa: D102
        return True

    def write(self, data: Any, /) -> int:  # noqa: D102
        self._block += data
        while len(self._block) >= MIB:
            self._file.write(self._block[:MIB])
            del self._block[:MIB]
        return len(data)

    def close(self) -> None:  # noqa: D102
        self._file.write(self._block)
        self._block.clear()
        super().close()


def write_message(plain: Path, message: Path, **options: Any) -> Path:
    """Encrypt a file into another that is laid out as the first, and return it."""
    with plain.open("rb") as source, message.open("wb", buffering=0) as file, Blocks(file) as sink:
        kms_runtime.encrypt(source, sink, keyring=KEYRING, encryption_context=CONTEXT, **options)
    return message


def make_official() -> tuple[Any, Any]:
    """Return the official client, and its keyring of the same wrapping key."""
    providers = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
    keyring = providers.create_raw_aes_keyring(
        CreateRawAesKeyringInput(
            key_namespace="benchmark",
            key_name="key",
            wrapping_key=bytes(32),
            wrapping_alg=AesWrappingAlg.ALG_AES256_GCM_IV12_TAG16,
        )
    )
    policy = aws_encryption_sdk.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
    return aws_encryption_sdk.EncryptionSDKClient(commitment_policy=policy), keyring


def official_encrypt(suite_id: int, *, frame_length: int, read: int | None) -> Run:
    """Encrypt by iterating over the stream, as documented, or in reads of a given size."""
    client, keyring = make_official()
    options = {"algorithm": Algorithm.get_by_id(suite_id), "frame_length": frame_length}

    def run(path: Path) -> None:
        with path.open("rb") as source, Path(os.devnull).open("wb") as sink:
            stream = client.stream(mode="e", source=source, keyring=keyring, encryption_context=CONTEXT, **options)
            _drain(stream, sink, read)

    return run


def official_decrypt(*, read: int | None) -> Run:
    client, keyring = make_official()

    def run(path: Path) -> None:
        with path.open("rb") as source, Path(os.devnull).open("wb") as sink:
            _drain(client.stream(mode="d", source=source, keyring=keyring), sink, read)

    return run


def _drain(stream: Any, sink: BinaryIO, read: int | None) -> None:
    with stream:
        if read is None:
            for chunk in stream:
                sink.write(chunk)
        else:
            while chunk := stream.read(read):
                sink.write(chunk)
