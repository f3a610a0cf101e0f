"""One call of an envelope handler in a fresh process: prints its peak resident memory and its time as JSON."""

import json
import re
import resource
import sys
import time
from pathlib import Path

from kms_runtime.handlers import envelope_cipher


def peak_mebibytes() -> float:
    """Return the peak resident memory of this process.

    On Linux not from getrusage: its figure outlives exec, so it starts at the size of the process that forked.
    """
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) / 1024
    units = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / units


def main() -> None:
    handler = {"encrypt": envelope_cipher.encrypt, "decrypt": envelope_cipher.decrypt}[sys.argv[1]]
    start = time.perf_counter()
    handler(json.loads(sys.argv[2]), None)
    seconds = time.perf_counter() - start
    print(json.dumps({"peakMiB": round(peak_mebibytes(), 1), "seconds": round(seconds, 2)}))


if __name__ == "__main__":
    main()
