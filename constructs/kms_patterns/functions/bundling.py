"""The one code asset that all functions share: the ``kms_runtime`` package and its wheels, bundled without Docker."""

import compileall
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from hashlib import sha256
from pathlib import Path
from py_compile import PycInvalidationMode

import jsii
from aws_cdk import AssetHashType, BundlingOptions, DockerImage, ILocalBundling, aws_lambda
from constructs import IConstruct

from kms_patterns.functions.function_code import LambdaPlatform, RuntimeSource, lambda_platform, runtime_source

# Part of the asset's hash: raise it whenever the bundle of the same sources changes.
_RECIPE = "3"
_TASK_ROOT = "/var/task"


def runtime_code(scope: IConstruct) -> aws_lambda.Code:
    """Return the code of the data plane for the platform that the context of ``scope`` asks for.

    The asset's hash is computed from sources, lock and platform, so it is the same on every machine, in every folder,
    and a change of anything else deploys nothing. Byte code is included if the running interpreter has the function's
    version; otherwise the functions compile at their first start, which costs some tens of milliseconds.

    Raises:
        FileNotFoundError: The data plane's sources are not installed.
        ValueError: The context asks for an unknown platform.
    """
    platform, source = lambda_platform(scope), runtime_source()
    return aws_lambda.Code.from_asset(
        str(source.package),
        asset_hash=_asset_hash(source, platform.tag),
        asset_hash_type=AssetHashType.CUSTOM,
        bundling=BundlingOptions(
            # Never pulled: local bundling either succeeds or raises.
            image=DockerImage.from_registry("local-bundling-only"),
            local=WheelBundling(source, platform),
        ),
    )


def altered_assets(assembly: Path, platform: LambdaPlatform) -> dict[str, list[str]]:
    """Return the files of each asset that differ from what sources and lock give, for the assets with our code.

    These are the assets that hold such code, and what the manifest names for the code of a function of ours: what was
    put in the place of the code need not look like it. The bundle is made anew: pip compares each wheel with the lock,
    and the same sources give the same bytes. Zip files that the CDK packed and would upload are compared as well.

    Args:
        assembly: A folder such as ``cdk.out``.
        platform: The platform that the app was synthesized for.

    Raises:
        BundlingError: A dependency cannot be installed.
    """
    assembly = Path(os.path.normpath(assembly))
    uploaded = _uploaded(assembly)
    assets = [path for path in sorted(assembly.glob("asset.*")) if path.is_dir()]
    places = dict.fromkeys([*assets, *sorted(assembly.glob(".cache/*.zip")), *sorted(uploaded)])
    found = {path: _packed(path) if zipfile.is_zipfile(path) else _laid_out(path) for path in places}
    ours = {
        path: content
        for path, content in found.items()
        if path in uploaded or any(name.startswith(_OURS) for name in content)
    }
    if not ours:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        WheelBundling(runtime_source(), platform).try_bundle(folder)
        fresh = _laid_out(Path(folder))
    return {
        os.path.relpath(path, assembly): sorted(
            name for name in content.keys() | fresh.keys() if content.get(name) != fresh.get(name)
        )
        for path, content in ours.items()
    }


_OURS = "kms_runtime/"


def _uploaded(assembly: Path) -> set[Path]:
    """Return where the CDK finds what it uploads as the code of functions whose handler is in this package."""
    templates = [json.loads(path.read_text(encoding="utf-8")) for path in assembly.rglob("*.template.json")]
    resources = [item for template in templates for item in template.get("Resources", {}).values()]
    functions = [item["Properties"] for item in resources if item["Type"] == "AWS::Lambda::Function"]
    codes = [it["Code"].get("S3Key") for it in functions if str(it.get("Handler")).startswith("kms_runtime.")]
    hashes = {code.removesuffix(".zip") for code in codes if isinstance(code, str)}
    found = set()
    for path in assembly.rglob("*.assets.json"):
        for name, asset in json.loads(path.read_text(encoding="utf-8")).get("files", {}).items():
            if name in hashes:
                # The manifest of a Stage names places relative to its own folder.
                found.add(Path(os.path.normpath(path.parent / str(asset["source"].get("path", "an executable")))))
    return found


def _laid_out(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return {
        path.relative_to(folder).as_posix(): "a link" if path.is_symlink() else sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def _packed(file: Path) -> dict[str, str]:
    with zipfile.ZipFile(file) as archive:
        names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
        # Which of two entries of one name is unpacked depends on the reader.
        return {
            name: sha256(archive.read(name)).hexdigest() if names.count(name) == 1 else "ambiguous" for name in names
        }


@cache
def _asset_hash(source: RuntimeSource, platform: str) -> str:
    # The sources are read once for all functions of an app.
    return source.fingerprint(_RECIPE, platform)


@jsii.implements(ILocalBundling)
class WheelBundling:
    """Bundles with pip on this machine, for any platform, from wheels only.

    Args:
        source: The data plane's sources.
        platform: The platform of the function.
    """

    def __init__(self, source: RuntimeSource, platform: LambdaPlatform) -> None:
        self._source = source
        self._platform = platform

    # jsii hands the options over as one positional struct, Python callers as keywords.
    def try_bundle(self, output_dir: str, *_options: object, **_more_options: object) -> bool:
        """Fill ``output_dir``; the CDK calls this instead of Docker.

        Raises:
            BundlingError: A dependency cannot be installed; Docker would not help, so it is not tried.
        """
        bundle = Path(output_dir)
        install_wheels(self._source.lock, bundle, self._platform)
        for path in self._source.files():
            target = bundle / "kms_runtime" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._source.package / path, target)
        if self._platform.compiles_here:
            _compile(bundle)
        # Lambda runs as a user of its own: files that this machine's umask keeps from others fail there at import.
        for path in (bundle, *bundle.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        return True


def _compile(bundle: Path) -> None:
    # Packaging resets modification times, which would invalidate byte code that is checked against them.
    compileall.compile_dir(
        bundle,
        quiet=1,
        stripdir=str(bundle),
        prependdir=_TASK_ROOT,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )


# Records of the installation on this machine, useless in a function. METADATA and licences stay.
_INSTALLATION_RECORDS = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
# What cffi compiles C with; at run time cryptography loads only the module _cffi_backend, which stays.
_COMPILERS = ("cffi", "pycparser")
_ADVICE = {
    "No module named pip": "this interpreter has no pip: run `python -m ensurepip`, or synthesize from a venv with pip",
    "DO NOT MATCH THE HASHES": "a downloaded wheel is not the one in the lock: do not deploy; check the package index",
    "No matching distribution": "the package index has no such wheel for this platform, or cannot be reached: check "
    "the network, PIP_INDEX_URL and the proxy settings",
}


class BundlingError(RuntimeError):
    """A function's dependencies could not be installed; the message says what to do about it."""


def install_wheels(lock: Path, folder: Path, platform: LambdaPlatform) -> None:
    """Install the wheels that ``lock`` pins into ``folder``.

    pip runs with ``--require-hashes --only-binary=:all: --no-deps``: no code of a dependency is executed, nothing but
    the pinned wheels is installed. Its index settings are the user's own; its cache is used only if PIP_CACHE_DIR says
    where, so that nothing is written to the home folder.

    Raises:
        BundlingError: pip is missing, a wheel is not available, or a hash differs.
    """
    # -P: no file of the current folder stands in for pip.
    command = [sys.executable, "-P", "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", *platform.pip_arguments, "--target", str(folder), "--requirement", str(lock)]
    if "PIP_CACHE_DIR" not in os.environ:
        command.append("--no-cache-dir")
    # A user-wide `user = true` in pip's configuration contradicts --target.
    environment = {**os.environ, "PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BundlingError(_explain(lock, platform, done.stderr))
    _strip(folder)


def _explain(lock: Path, platform: LambdaPlatform, output: str) -> str:
    advice = next((text for sign, text in _ADVICE.items() if sign in output), "see pip's output")
    last_lines = "\n".join(output.strip().splitlines()[-8:])
    return f"cannot install {lock.name} for {platform.tag}: {advice}. Docker is not needed.\n{last_lines}"


def _strip(folder: Path) -> None:
    for record in folder.glob("*.dist-info/*"):
        if record.name in _INSTALLATION_RECORDS:
            record.unlink()
    for tests in [path for path in folder.rglob("tests") if path.is_dir()]:
        shutil.rmtree(tests)
    for name in ("bin", *_COMPILERS):
        shutil.rmtree(folder / name, ignore_errors=True)
