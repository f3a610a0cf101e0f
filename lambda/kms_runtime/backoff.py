"""Retries with full jitter inside a budget of time, for operations of AWS KMS with a quota of a few requests a second.

See https://docs.aws.amazon.com/kms/latest/developerguide/throttling.html
"""

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from kms_runtime.errors import InvalidRequest, KmsRuntimeError, ServiceUnreachable

Result = TypeVar("Result")

RETRIED = frozenset(
    {
        "ThrottlingException",
        "KMSInternalException",
        "DependencyTimeoutException",
        "KeyUnavailableException",
        "InternalFailure",
        "ServiceUnavailable",
        "RequestTimeout",
    }
)
"""Codes of what AWS says may go well when it is tried again.

See https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html
"""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to try, and how long to wait in between.

    The wait before the n-th retry is drawn from 0 to ``first_wait`` doubled n - 1 times, at most ``longest_wait``, so
    that many callers do not come back at the same moment. No attempt starts after the budget: altogether a call takes
    the budget and one request at most. Give a client that does not retry by itself, or it waits inside each attempt.

    Args:
        budget: Seconds in which attempts may start; 0 tries once.
        first_wait: Longest wait before the first retry, in seconds.
        longest_wait: Longest wait before any retry, in seconds.
        clock: Seconds that only grow.
        sleep: Waits for so many seconds.
        fraction: Returns a number from 0 to 1.

    Raises:
        InvalidRequest: A time is negative or not finite: without an end to the budget, a call would never give up.
    """

    budget: float = 10.0
    first_wait: float = 0.1
    longest_wait: float = 2.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    # Spreads callers in time; an attacker gains nothing by guessing it.
    fraction: Callable[[], float] = field(default=random.random, repr=False)

    def __post_init__(self) -> None:
        for name in ("budget", "first_wait", "longest_wait"):
            seconds = getattr(self, name)
            if not 0 <= seconds < math.inf:
                raise InvalidRequest(f"{name} of {seconds} s: give a number of seconds, 0 or more, that is finite")

    def run(self, call: Callable[[], Result], *, hint: str) -> Result:
        """Return what ``call`` returns, after as many attempts as the budget allows.

        Args:
            call: Makes one request; raises typed errors.
            hint: What the message of the last error says besides: which quota it is, and what to do.

        Raises:
            KmsRuntimeError: Of the class of the last attempt's error; one that no retry would change is raised at once.
        """
        start, attempts = self.clock(), 0
        while True:
            attempts += 1
            try:
                return call()
            except KmsRuntimeError as error:
                if not _may_pass(error):
                    raise
                # 2**attempts would overflow a float some day; the longest wait is reached long before.
                longest = min(self.longest_wait, self.first_wait * 2.0 ** min(attempts - 1, 30))
                wait = self.fraction() * longest
                spent = self.clock() - start
                if spent + wait > self.budget:
                    raise _given_up(error, attempts, spent, hint) from error
                self.sleep(wait)


def _may_pass(error: KmsRuntimeError) -> bool:
    if not isinstance(error, ServiceUnreachable):
        return error.code in RETRIED
    # Only connection errors may pass, missing credentials do not. A caller with this error has imported botocore.
    from botocore.exceptions import ConnectionError as NoConnection  # noqa: PLC0415
    from botocore.exceptions import HTTPClientError  # noqa: PLC0415

    return isinstance(error.__cause__, NoConnection | HTTPClientError)


def _given_up(error: KmsRuntimeError, attempts: int, spent: float, hint: str) -> KmsRuntimeError:
    times = "once" if attempts == 1 else f"{attempts} times"
    return type(error)(
        f"{error.message}; tried {times} in {spent:.1f} s, then given up: {hint}", operation=error.operation
    )
