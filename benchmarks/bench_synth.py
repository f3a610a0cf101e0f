"""Wall time of ``python app.py``: every type of key by this library, against the same resources by aws-cdk-lib alone.

Both run in turn, after one run of each that warms the caches; the ratio is that of the fastest runs,
which a busy machine disturbs least.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kms_patterns.toolchain import toolchain_environment

ROOT = Path(__file__).parents[1]
APPS = Path(__file__).parent / "apps"
ROUNDS = 7
LIMIT = 1.3


def seconds(app: str, environment: dict[str, str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        command = [sys.executable, str(APPS / f"{app}.py")]
        subprocess.run(command, env={**environment, "CDK_OUTDIR": folder}, cwd=ROOT, check=True)
        return time.perf_counter() - started


def main() -> int:
    environment = {**os.environ, **toolchain_environment(cache=ROOT / ".cache"), "PYTHONPATH": str(ROOT / "constructs")}
    times: dict[str, list[float]] = {"keys_of_ours": [], "keys_of_the_cdk": []}
    for app in times:
        seconds(app, environment)
    for _ in range(ROUNDS):
        for app, measured in times.items():
            measured.append(seconds(app, environment))
    fastest = {app: min(measured) for app, measured in times.items()}
    ratio = fastest["keys_of_ours"] / fastest["keys_of_the_cdk"]
    for app, best in fastest.items():
        print(f"{app:16} {best:.2f} s (fastest of {ROUNDS})")
    print(f"ratio {ratio:.2f}, at most {LIMIT} is asked")
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
