"""The code of a function: the sources of the data plane, and the platform that they are built for."""

import hashlib
import platform
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from aws_cdk import aws_lambda
from constructs import IConstruct

PLATFORM_CONTEXT_KEY = "kms-patterns:platform"
"""CDK context key that chooses the platform: ``arm64`` (default), ``x86_64`` or ``host``."""

# Amazon Linux 2023, which Lambda runs Python 3.12 and later on, has glibc 2.34.
_GLIBC_TAGS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")


@dataclass(frozen=True)
class LambdaPlatform:
    """Interpreter and processor of a Lambda function.

    Attributes:
        python: Version of the interpreter, as (major, minor).
        machine: ``aarch64`` or ``x86_64``.
        host: Whether this is the platform of the running interpreter, whatever its operating system.
    """

    python: tuple[int, int]
    machine: str
    host: bool = False

    @property
    def architecture(self) -> aws_lambda.Architecture:
        """The processor, as Lambda names it."""
        return aws_lambda.Architecture.ARM_64 if self.machine == "aarch64" else aws_lambda.Architecture.X86_64

    @property
    def runtime(self) -> aws_lambda.Runtime:
        """The managed runtime of this interpreter version."""
        major, minor = self.python
        return aws_lambda.Runtime(f"python{major}.{minor}", aws_lambda.RuntimeFamily.PYTHON, supports_inline_code=True)

    @property
    def tag(self) -> str:
        """A name that differs whenever the installed wheels may differ; part of the asset's hash."""
        where = f"host-{sysconfig.get_platform()}" if self.host else f"{_GLIBC_TAGS[0]}_{self.machine}"
        return f"cp{self.python[0]}{self.python[1]}-{where}"

    @property
    def pip_arguments(self) -> tuple[str, ...]:
        """The options that make pip choose wheels for this platform; none for the host's own."""
        if self.host:
            return ()
        tags = [argument for tag in _GLIBC_TAGS for argument in ("--platform", f"{tag}_{self.machine}")]
        return (*tags, "--python-version", f"{self.python[0]}.{self.python[1]}", "--implementation", "cp")

    @property
    def compiles_here(self) -> bool:
        """Whether the running interpreter writes byte code that the function's interpreter reads."""
        return sys.version_info[:2] == self.python


def host_platform() -> LambdaPlatform:
    """Return the platform of the running interpreter, for an embedded AWS that runs functions on it."""
    machine = "aarch64" if platform.machine().lower() in {"aarch64", "arm64"} else "x86_64"
    return LambdaPlatform(sys.version_info[:2], machine, host=True)


def lambda_platform(scope: IConstruct) -> LambdaPlatform:
    """Return the platform that the context of ``scope`` asks for.

    Args:
        scope: Any construct of the app; its context value ``kms-patterns:platform`` is read, ``arm64`` without one.

    Raises:
        ValueError: As ``platform_named``.
    """
    return platform_named(scope.node.try_get_context(PLATFORM_CONTEXT_KEY) or PLATFORMS[0])


PLATFORMS = ("arm64", "x86_64", "host")
"""Names of platforms, the default first: the processor that costs less per millisecond."""


def platform_named(name: str) -> LambdaPlatform:
    """Return a platform: Python 3.14, the newest managed runtime, on the named processor, or the running interpreter.

    Raises:
        ValueError: The name is none of ``PLATFORMS``.

    See https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
    """
    if name == "host":
        return host_platform()
    machines = {"arm64": "aarch64", "x86_64": "x86_64"}
    if name not in machines:
        raise ValueError(
            f"context {PLATFORM_CONTEXT_KEY}={name!r} is not a platform: use arm64, x86_64 or host. "
            "Lambda would refuse the code of another processor with Runtime.ImportModuleError."
        )
    return LambdaPlatform((3, 14), machines[name])


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
