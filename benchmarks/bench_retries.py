"""botocore's retry modes against a KMS quota: calls that succeed, time, requests for each, on the same embedded AWS.

Each client is one execution environment of a function: a thread with a client of its own that asks for data keys as
fast as it can. The embedded AWS throttles what is above ``QUOTA`` requests a second, as KMS does. The last column is
the share of the quota that became data keys: what throttled requests cost does not count in it.
"""

import argparse
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from kms_patterns.local import LocalAws

QUOTA = 20
CALLS = 25
MODES: dict[str, Any] = {
    "no retry": {"total_max_attempts": 1},
    "legacy, 5 attempts": {"mode": "legacy", "total_max_attempts": 5},
    "standard, 3 attempts": {"mode": "standard", "total_max_attempts": 3},
    "standard, 5 attempts": {"mode": "standard", "total_max_attempts": 5},
    "adaptive, 5 attempts": {"mode": "adaptive", "total_max_attempts": 5},
    "standard, 8 attempts": {"mode": "standard", "total_max_attempts": 8},
}


def ask(aws: LocalAws, key: str, retries: Any) -> Counter[str]:
    """Ask for data keys with a client of its own; return what came of it."""
    kms, outcome = aws.client("kms", config=Config(retries=retries)), Counter[str]()
    for _ in range(CALLS):
        start = time.perf_counter()
        try:
            kms.generate_data_key(KeyId=key, KeySpec="AES_256")
            outcome["ok"] += 1
        except ClientError as refused:
            outcome[refused.response["Error"]["Code"]] += 1
        outcome["longest ms"] = max(outcome["longest ms"], round(1000 * (time.perf_counter() - start)))
    return outcome


def measure(aws: LocalAws, key: str, retries: Any, clients: int) -> tuple[float, ...]:
    """Return success in percent, seconds, requests per call, longest call in seconds, and use of the quota."""
    aws.inject_faults({"kind": "quota", "service": "kms", "operation": "GenerateDataKey", "rate": QUOTA})
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        outcomes = list(pool.map(lambda _: ask(aws, key, retries), range(clients)))
    seconds, again = time.perf_counter() - start, aws.retries()
    aws.inject_faults()
    calls, succeeded = clients * CALLS, sum(outcome["ok"] for outcome in outcomes)
    longest = max(outcome["longest ms"] for outcome in outcomes) / 1000
    return 100 * succeeded / calls, seconds, (calls + again) / calls, longest, 100 * succeeded / (QUOTA * seconds)


def main() -> None:
    """Print a row per mode and number of clients."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, nargs="*", default=[2, 16])
    clients = parser.parse_args().clients
    print(f"quota {QUOTA} requests/s, {CALLS} calls a client")
    print(f"{'mode':22}{'clients':>8}{'success %':>11}{'s':>7}{'requests/call':>15}{'longest s':>11}{'of quota %':>12}")
    with LocalAws.start() as aws:
        key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
        for count in clients:
            for mode, retries in MODES.items():
                success, seconds, requests, longest, used = measure(aws, key, retries, count)
                print(f"{mode:22}{count:8}{success:11.0f}{seconds:7.1f}{requests:15.2f}{longest:11.1f}{used:12.0f}")


if __name__ == "__main__":
    main()
