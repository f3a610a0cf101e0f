"""Local work per 1 KiB message, as a ratio to the official SDK: no network, no AWS KMS, one cached data key.

Run ``python benchmarks/bench_message_small.py``. The keyring hands out one data key and its encrypted copy, so that
what is measured is the message format alone. Each round measures every contender; printed are medians of processor
time, which a busy machine disturbs least.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import envelope_contenders as who

import kms_runtime
from kms_runtime.keyrings.keyring import DataKey
from kms_runtime.message import EncryptedDataKey

PLAINTEXT = os.urandom(1024)
CALLS = 1000
AIM_MICROSECONDS = 30


class FixedKeyring:
    """Stands for AWS KMS without any time of its own."""

    encrypted = (EncryptedDataKey("aws-kms", b"arn:aws:kms:eu-west-1:111122223333:key/" + b"1" * 36, bytes(184)),)

    def generate_data_key(  # noqa: D102
        self, _context: Mapping[str, str], _suite: Any, /
    ) -> DataKey:
        return DataKey(bytearray(32), self.encrypted, "key")

    def decrypt_data_key(  # noqa: D102
        self, _encrypted: Sequence[EncryptedDataKey], _context: Mapping[str, str], _suite: Any, /
    ) -> DataKey:
        return DataKey(bytearray(32), self.encrypted, "key")


def contenders() -> dict[str, tuple[Callable[[], Any], int]]:
    """Return each contender with the number of calls per round."""
    fixed = FixedKeyring()
    ours = {"keyring": fixed, "encryption_context": who.CONTEXT}
    message = kms_runtime.encrypt_bytes(PLAINTEXT, **ours)
    client, keyring = who.make_official()
    theirs, _ = client.encrypt(source=PLAINTEXT, keyring=keyring, encryption_context=who.CONTEXT)
    return {
        "encrypt": (lambda: kms_runtime.encrypt_bytes(PLAINTEXT, **ours), CALLS),
        "decrypt": (lambda: kms_runtime.decrypt_bytes(message, **ours), CALLS),
        "official encrypt": (
            lambda: client.encrypt(source=PLAINTEXT, keyring=keyring, encryption_context=who.CONTEXT),
            CALLS // 50,
        ),
        "official decrypt": (lambda: client.decrypt(source=theirs, keyring=keyring), CALLS // 50),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, (call, calls) in contenders().items():
            for _ in range(calls // 10):  # the contender before has taken the processor's caches
                call()
            start = time.process_time()
            for _ in range(calls):
                call()
            times.setdefault(name, []).append((time.process_time() - start) / calls * 1e6)
    for name in ("encrypt", "decrypt"):
        mine, theirs = times[name], times[f"official {name}"]
        ratio = statistics.median(b / a for a, b in zip(mine, theirs, strict=True))
        print(
            f"{name}: {statistics.median(mine):.1f} µs, at best {min(mine):.1f} (aim: {AIM_MICROSECONDS}); "
            f"the official SDK takes {ratio:.0f} x"
        )


if __name__ == "__main__":
    main()
