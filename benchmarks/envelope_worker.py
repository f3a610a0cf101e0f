"""One call of an envelope handler in a fresh process: prints its peak resident memory and its time as JSON."""

import json
import sys
import time

from envelope_peak import peak_mebibytes

from kms_runtime.handlers import envelope_cipher


def main() -> None:
    handler = {"encrypt": envelope_cipher.encrypt, "decrypt": envelope_cipher.decrypt}[sys.argv[1]]
    start = time.perf_counter()
    handler(json.loads(sys.argv[2]), None)
    seconds = time.perf_counter() - start
    print(json.dumps({"peakMiB": round(peak_mebibytes(), 1), "seconds": round(seconds, 2)}))


if __name__ == "__main__":
    main()
