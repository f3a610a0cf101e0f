"""The platform that a function's code is built for: interpreter version, processor, wheel tags."""

import platform
import sys
import sysconfig
from dataclasses import dataclass

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

    The default is Python 3.14 on arm64, the newest managed runtime on the processor that costs less per millisecond.

    Args:
        scope: Any construct of the app; its context value ``kms-patterns:platform`` is read.

    Raises:
        ValueError: The context value is none of ``arm64``, ``x86_64`` and ``host``.

    See https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
    """
    name = scope.node.try_get_context(PLATFORM_CONTEXT_KEY) or "arm64"
    if name == "host":
        return host_platform()
    machines = {"arm64": "aarch64", "x86_64": "x86_64"}
    if name not in machines:
        raise ValueError(
            f"context {PLATFORM_CONTEXT_KEY}={name!r} is not a platform: use arm64, x86_64 or host. "
            "Lambda would refuse the code of another processor with Runtime.ImportModuleError."
        )
    return LambdaPlatform((3, 14), machines[name])
