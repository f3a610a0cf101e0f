"""Peak resident memory of this process."""

import re
import resource
import sys
from pathlib import Path


def peak_mebibytes() -> float:
    """Return the peak resident memory of this process.

    On Linux not from getrusage: its figure outlives exec, so it starts at the size of the process that forked.
    """
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) / 1024
    units = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / units
