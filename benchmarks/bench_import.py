"""What ``import kms_runtime`` adds to ``import boto3``, with and without compiled files, beside the official SDK.

Run ``python benchmarks/bench_import.py``. Each import is a process of its own; contenders take turns, and printed are
the medians. It also installs the function's dependencies as a deployment does and prints the size of the zip, and
``kms-runtime[cli]`` into a fresh environment and prints its size and time, if a package index can be reached.
"""

import argparse
import compileall
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from kms_patterns.functions.bundling import BundlingError, WheelBundling
from kms_patterns.functions.function_code import LambdaPlatform, runtime_source

ROOT = Path(__file__).parent.parent
STATEMENTS = {
    "kms_runtime": "import kms_runtime",
    "envelope handler": "import kms_runtime.handlers.envelope_cipher",
    "official SDK": "import aws_encryption_sdk",
    "official SDK with material providers": "import aws_encryption_sdk, aws_cryptographic_material_providers.mpl",
}
TIMED = """
import sys, time
sys.path.insert(0, sys.argv[1])
import boto3
start = time.perf_counter()
{}
print(time.perf_counter() - start)
"""


def import_seconds(statement: str, path: Path, *, compiled: bool) -> float:
    """Time an import over boto3 in a fresh process."""
    options = [] if compiled else ["-B", "-X", f"pycache_prefix={path / 'never'}"]
    command = [sys.executable, *options, "-c", TIMED.format(statement), str(path)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def copied_source(folder: Path) -> Path:
    """Return a copy of the data plane, compiled."""
    target = folder / "lambda"
    shutil.copytree(ROOT / "lambda" / "kms_runtime", target / "kms_runtime")
    compileall.compile_dir(target, quiet=1)
    return target


def zip_mebibytes(folder: Path) -> float | None:
    """Return the size of the function's zip as it is deployed by default, or None without a package index."""
    target = folder / "zip"
    target.mkdir()
    try:
        WheelBundling(runtime_source(), LambdaPlatform((3, 14), "aarch64")).try_bundle(str(target))
    except BundlingError:
        return None
    with zipfile.ZipFile(folder / "function.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(target.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(target))
    return (folder / "function.zip").stat().st_size / 1024 / 1024


def verdict(found: float, aim: float) -> str:
    """Return the aim, and whether it is met."""
    return f"(aim: {aim:g}, {'met' if found <= aim else 'NOT met'})"


def print_installed(folder: Path) -> None:
    """Install what an outsider with an exported public key needs, and print its size and the time it took."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    fresh = folder / "bin" / "python"
    began = time.monotonic()
    command = [sys.executable, "-m", "pip", "--python", fresh, "install", "--quiet", f"{ROOT / 'lambda'}[cli]"]
    if subprocess.run(command, check=False).returncode:
        print("kms-runtime[cli]: not installed, no package index")
        return
    seconds = time.monotonic() - began
    subprocess.run([fresh, "-m", "kms_runtime", "--version"], check=True, capture_output=True)
    size = sum(path.stat().st_size for path in (folder / "lib").rglob("*") if path.is_file()) / 1e6
    print(f"kms-runtime[cli]: {size:.1f} MB installed {verdict(size, 40)} in {seconds:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        path = copied_source(Path(name))
        for compiled in (True, False):
            times: dict[str, list[float]] = {}
            for _ in range(rounds):
                for who, statement in STATEMENTS.items():
                    times.setdefault(who, []).append(import_seconds(statement, path, compiled=compiled))
            print("with compiled files" if compiled else "without compiled files")
            for who, taken in times.items():
                ratio = statistics.median(a / b for a, b in zip(taken, times["kms_runtime"], strict=True))
                own = verdict(statistics.median(taken) * 1000, 30) if who == "kms_runtime" else ""
                print(f"  {who:38} {statistics.median(taken) * 1000:7.1f} ms  {ratio:6.1f} x kms_runtime {own}")
        size = zip_mebibytes(Path(name))
        print("zip: not measured, no package index" if size is None else f"zip: {size:.2f} MiB {verdict(size, 5)}")
        print_installed(Path(name) / "fresh")


if __name__ == "__main__":
    main()
