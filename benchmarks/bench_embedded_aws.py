"""What the embedded AWS costs: start-up, memory, latency and throughput, against plain ministack in the same run.

Plain ministack checks neither signatures nor policies here, and its symmetric encryption does not encrypt: the
difference is the price of both. Both serve TLS.

Starts and calls of the two alternate, round by round; a ratio is the median of the rounds' ratios, so that a busy
machine slows both. Beside the time that a client waits stands the CPU time of the server, which other work does not
change. A ratio that exceeds its value in ``BEFORE`` by more than 15 % fails the run.

``--quota 2 16`` asks something else: botocore's retry modes against a KMS quota, by so many clients: calls that
succeed, time, requests for each. Each client is one execution environment of a function: a thread with a client of
its own that asks for data keys as fast as it can. The embedded AWS throttles what is above ``QUOTA`` requests a
second, as KMS does. The last column is the share of the quota that became data keys: what throttled requests cost
does not count in it.
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from kms_patterns.local import LocalAws

STARTS, ROUNDS, CALLS = 5, 15, 20
CLIENTS, CALLS_OF_CLIENT = 8, 150
# Ratios to plain ministack that were measured before the permissions and conditions of 2026-11; the limit is 15 % more.
BEFORE = {
    "start-up, s": 1.12, "Encrypt, ms": 1.45, "Decrypt, ms": 1.39, "GenerateDataKey, ms": 1.61, "Sign, ms": 2.32,
    "resident, MiB": 1.39,
}  # fmt: skip
MARGIN = 1.15
SECONDS_TO_START = 60
MESSAGE = b"x" * 100
Way = dict[str, Any]
QUOTA = 20
CALLS_UNDER_QUOTA = 25
MODES: dict[str, Any] = {
    "no retry": {"total_max_attempts": 1},
    "legacy, 5 attempts": {"mode": "legacy", "total_max_attempts": 5},
    "standard, 3 attempts": {"mode": "standard", "total_max_attempts": 3},
    "standard, 5 attempts": {"mode": "standard", "total_max_attempts": 5},
    "adaptive, 5 attempts": {"mode": "adaptive", "total_max_attempts": 5},
    "standard, 8 attempts": {"mode": "standard", "total_max_attempts": 8},
}


@contextlib.contextmanager
def embedded() -> Iterator[tuple[Way, int]]:
    with LocalAws.start() as aws:
        session = aws.session()
        way = {"endpoint_url": aws.endpoint_url, "verify": str(aws.ca_bundle), "region_name": aws.region}
        way |= {"aws_access_key_id": session.access_key_id, "aws_secret_access_key": session.secret_access_key}
        yield way, json.loads((aws.folder / "server.json").read_text())["pid"]


@contextlib.contextmanager
def plain() -> Iterator[tuple[Way, int]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        own = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0", "USE_SSL": "1"}
        own |= {"TMPDIR": folder, "HOME": folder, "LOG_LEVEL": "WARNING", "PATH": os.environ["PATH"]}
        own |= {"DOCKER_HOST": f"unix://{folder}/none.sock", "AWS_ACCESS_KEY_ID": "test"}
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env=own,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # As the embedded AWS: the scheduler shares a busy machine between sessions.
            start_new_session=True,
        )
        way = {"endpoint_url": f"https://127.0.0.1:{port}", "verify": False, "region_name": "us-east-1"}
        try:
            _wait(port, process)
            yield way | {"aws_access_key_id": "test", "aws_secret_access_key": "test"}, process.pid
        finally:
            process.kill()
            process.wait()


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError("plain ministack did not start")


def _client(way: Way) -> Any:
    warnings.simplefilter("ignore")  # plain ministack's certificate is of its own making
    return boto3.client("kms", config=Config(retries={"total_max_attempts": 1}), **way)


def _operations(kms: Any) -> dict[str, Callable[[], Any]]:
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    signing = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key, Plaintext=MESSAGE)["CiphertextBlob"]
    return {
        "Encrypt": lambda: kms.encrypt(KeyId=key, Plaintext=MESSAGE),
        "Decrypt": lambda: kms.decrypt(CiphertextBlob=blob),
        "GenerateDataKey": lambda: kms.generate_data_key(KeyId=key, KeySpec="AES_256"),
        "Sign": lambda: kms.sign(KeyId=signing, Message=MESSAGE, SigningAlgorithm="ECDSA_SHA_256"),
    }


def _timed(call: Callable[[], Any], pid: int) -> tuple[float, float]:
    """Return the median time of a call, and the server's CPU time for one, in ms."""
    times, cpu = [], _cpu_ns(pid)
    for _ in range(CALLS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000, (_cpu_ns(pid) - cpu) / CALLS / 1e6


def _cpu_ns(pid: int) -> int:
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def _many(way: Way, key: str, start: float) -> float:
    kms = _client(way)
    kms.describe_key(KeyId=key)
    time.sleep(max(0.0, start - time.time()))
    for _ in range(CALLS_OF_CLIENT):
        kms.encrypt(KeyId=key, Plaintext=MESSAGE)
    return time.time()


def _rate(way: Way) -> float:
    key, start = _client(way).create_key()["KeyMetadata"]["KeyId"], time.time() + 2 + CLIENTS / 2
    with ProcessPoolExecutor(CLIENTS) as pool:
        ends = list(pool.map(_many, [way] * CLIENTS, [key] * CLIENTS, [start] * CLIENTS))
    return CLIENTS * CALLS_OF_CLIENT / (max(ends) - start)


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _start(server: Callable[[], Any]) -> float:
    start = time.perf_counter()
    with server() as (way, _pid):
        _client(way).list_keys()
        return time.perf_counter() - start


def measure() -> dict[str, list[tuple[float, float]]]:
    """Return the pairs of every figure, of the embedded AWS and of plain ministack, one pair a round."""
    found: dict[str, list[tuple[float, float]]] = {
        "start-up, s": [(_start(embedded), _start(plain)) for _ in range(STARTS)]
    }
    with embedded() as ours, plain() as theirs:
        servers = [(_operations(_client(way)), pid) for way, pid in (ours, theirs)]
        for name in servers[0][0]:
            rounds = [[_timed(calls[name], pid) for calls, pid in servers] for _ in range(ROUNDS + 1)][1:]
            found[f"{name}, ms"] = [(one[0], other[0]) for one, other in rounds]
            found[f"{name}, CPU ms"] = [(one[1], other[1]) for one, other in rounds]
        found[f"Encrypt/s, {CLIENTS} clients"] = [(_rate(ours[0]), _rate(theirs[0]))]
        found["resident, MiB"] = [(_resident_mib(ours[1]), _resident_mib(theirs[1]))]
    return found


def report(found: dict[str, list[tuple[float, float]]]) -> bool:
    """Print a row for each figure; return whether every ratio is within its limit."""
    print(f"{'':22}{'embedded AWS':>14}{'plain ministack':>17}{'ratio':>8}{'before':>8}{'limit':>8}")
    within = True
    for name, pairs in found.items():
        ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio, before = statistics.median(one / other for one, other in pairs), BEFORE.get(name)
        row = f"{name:22}{ours:14.2f}{theirs:17.2f}{ratio:8.2f}"
        if before is not None:
            kept = ratio <= before * MARGIN
            within &= kept
            row += f"{before:8.2f}{before * MARGIN:8.2f}  {'kept' if kept else 'EXCEEDED'}"
        print(row)
    print("every ratio is within its limit" if within else "a ratio exceeds its limit")
    return within


def _ask(aws: LocalAws, key: str, retries: Any) -> Counter[str]:
    """Ask for data keys with a client of its own; return what came of it."""
    kms, outcome = aws.client("kms", config=Config(retries=retries)), Counter[str]()
    for _ in range(CALLS_UNDER_QUOTA):
        start = time.perf_counter()
        try:
            kms.generate_data_key(KeyId=key, KeySpec="AES_256")
            outcome["ok"] += 1
        except ClientError as refused:
            outcome[refused.response["Error"]["Code"]] += 1
        outcome["longest ms"] = max(outcome["longest ms"], round(1000 * (time.perf_counter() - start)))
    return outcome


def _under_quota(aws: LocalAws, key: str, retries: Any, clients: int) -> tuple[float, ...]:
    """Return success in percent, seconds, requests per call, longest call in seconds, and use of the quota."""
    aws.inject_faults({"kind": "quota", "service": "kms", "operation": "GenerateDataKey", "rate": QUOTA})
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        outcomes = list(pool.map(lambda _: _ask(aws, key, retries), range(clients)))
    seconds, again = time.perf_counter() - start, aws.retries()
    aws.inject_faults()
    calls, succeeded = clients * CALLS_UNDER_QUOTA, sum(outcome["ok"] for outcome in outcomes)
    longest = max(outcome["longest ms"] for outcome in outcomes) / 1000
    return 100 * succeeded / calls, seconds, (calls + again) / calls, longest, 100 * succeeded / (QUOTA * seconds)


def under_quota(clients: list[int]) -> None:
    """Print a row per mode and number of clients."""
    print(f"quota {QUOTA} requests/s, {CALLS_UNDER_QUOTA} calls a client")
    print(f"{'mode':22}{'clients':>8}{'success %':>11}{'s':>7}{'requests/call':>15}{'longest s':>11}{'of quota %':>12}")
    with LocalAws.start() as aws:
        key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
        for count in clients:
            for mode, retries in MODES.items():
                success, seconds, requests, longest, used = _under_quota(aws, key, retries, count)
                print(f"{mode:22}{count:8}{success:11.0f}{seconds:7.1f}{requests:15.2f}{longest:11.1f}{used:12.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quota", type=int, nargs="+", metavar="CLIENTS", help="retry modes against a quota")
    if clients := parser.parse_args().quota:
        under_quota(clients)
        return
    sys.exit(not report(measure()))


if __name__ == "__main__":
    main()
