"""Installs hash-pinned wheels for a function's platform into a folder, with pip and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from kms_patterns.functions.lambda_platform import LambdaPlatform

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
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps", "--require-hashes"]
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
