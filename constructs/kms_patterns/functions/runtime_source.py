"""Where the sources of the data plane are, in a checkout and in an installed wheel, and their fingerprint."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

LOCK_NAME = "requirements.lock"


@dataclass(frozen=True)
class RuntimeSource:
    """The ``kms_runtime`` package and the lock of what it needs beyond the Lambda runtime.

    Attributes:
        package: Folder of the package.
        lock: Hash-pinned requirements file.
    """

    package: Path
    lock: Path

    def files(self) -> Iterator[Path]:
        """Yield the files that a function needs, relative to the package's folder, in a stable order."""
        found = (path.relative_to(self.package) for path in self.package.rglob("*") if path.is_file())
        # A wheel carries the lock inside the package, a checkout beside it: neither counts as source.
        yield from sorted((path for path in found if _is_source(path)), key=Path.as_posix)

    def fingerprint(self, *salt: str) -> str:
        """Return a SHA-256 over sources, lock and ``salt`` that is the same on every machine and in every folder.

        Args:
            salt: Further text that the bundle depends on, such as the platform.
        """
        digest = hashlib.sha256()
        for text in salt:
            _add(digest, text.encode())
        _add(digest, self.lock.read_bytes())
        for path in self.files():
            _add(digest, path.as_posix().encode())
            _add(digest, (self.package / path).read_bytes())
        return digest.hexdigest()


def runtime_source() -> RuntimeSource:
    """Locate ``kms_runtime`` without importing it.

    Raises:
        FileNotFoundError: The package or its lock is not there: the installation is incomplete.
    """
    spec = find_spec("kms_runtime")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package kms_runtime is missing: reinstall kms-runtime, which contains it")
    package = Path(next(iter(spec.submodule_search_locations)))
    for lock in (package / LOCK_NAME, package.parent / LOCK_NAME):
        if lock.is_file():
            return RuntimeSource(package, lock)
    raise FileNotFoundError(f"{LOCK_NAME} is neither in {package} nor beside it: reinstall kms-runtime")


def _is_source(path: Path) -> bool:
    return (
        "__pycache__" not in path.parts
        and path.suffix != ".pyc"
        and path.as_posix() not in {LOCK_NAME, "__main__.py"}
        and path.parts[0] != "cli"
    )


def _add(digest: "hashlib._Hash", data: bytes) -> None:
    # The length keeps two neighbouring fields from being read as one.
    digest.update(len(data).to_bytes(8, "big"))
    digest.update(data)
