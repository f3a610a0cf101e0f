"""Several files at a time: on threads, and those of a large tree on a process for each core as well.

A call of AWS KMS takes about a millisecond of Python, which runs on one core in each process. The processes are forked
before anything was sent or shown. They only process files; the one that the user started reports, counts and ends them.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from multiprocessing.connection import Connection, wait
from threading import Lock
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from kms_runtime import MessageResult
from kms_runtime.cli import outputs
from kms_runtime.cli.places import Place
from kms_runtime.cli.progress import Failure, Report

Pair = tuple[Place, Place]
Outcome = MessageResult | Failure
Attempt = Callable[[Pair, Report], Outcome]
AT_A_TIME = {"files": 16, "objects": 8}
_WORTH_A_PROCESS = 50
_MOST_PROCESSES = 4
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


def processes(files: int) -> int:
    """Return how many processes work on so many files; none of their own if it is one, or a fork is not safe."""
    if sys.platform != "linux":
        return 0
    # Cores that this process may use: a container or taskset may leave it one of many.
    count = min(len(os.sched_getaffinity(0)), _MOST_PROCESSES, files // _WORTH_A_PROCESS)
    return count if count > 1 else 0


def on_threads(
    process: Callable[[Any], None], each_pair: Sequence[Any], stop: Callable[[], None], at_a_time: int
) -> None:
    """Process several files at a time; on an interruption those under way end at their next read."""
    threads = ThreadPoolExecutor(at_a_time, "file")
    try:
        try:
            begun = [threads.submit(process, pair) for pair in each_pair]
        except RuntimeError as error:  # a limit of the system
            raise click.ClickException(f"a thread cannot be started: {error}") from error
        for done in begun:
            done.result()
    except BaseException:
        stop()
        raise
    finally:
        threads.shutdown(cancel_futures=True)


@contextmanager
def forked(attempt: Attempt, each_pair: Sequence[Pair], count: int) -> Iterator[Iterator[tuple[Pair, Outcome, int]]]:
    """Start ``count`` processes; yield what happened to each file, and how many bytes were read before it was told.

    Args:
        attempt: Processes one file, and returns its result or why there is none; is given a report to start it in.
        each_pair: The files.
        count: How many processes; they end with the block.
    """
    context = multiprocessing.get_context("fork")
    running: dict[Connection, tuple[Any, dict[int, Pair]]] = {}
    try:
        for first in range(count):
            ours, theirs = context.Pipe(duplex=False)
            left = dict(enumerate(each_pair[first::count]))
            # It closes what it inherits, or would not notice that its reader is gone.
            process = context.Process(target=_work, args=(attempt, left, theirs, [*running, ours]), daemon=True)
            running[ours] = process, left
            with closing(theirs):
                try:
                    process.start()
                except OSError as error:
                    raise click.ClickException(f"a process cannot be started: {error}") from error
        yield _outcomes(running)
    except BaseException:
        for process, _ in running.values():
            if process.pid:
                process.terminate()
        raise
    finally:
        for connection, (process, _) in running.items():
            connection.close()  # a process that waits for its reader goes on, and ends
            if process.pid:
                process.join()


def _outcomes(running: Mapping[Connection, tuple[Any, dict[int, Pair]]]) -> Iterator[tuple[Pair, Outcome, int]]:
    waiting = set(running)
    while waiting:
        for connection in waiting & {*wait([*waiting])}:
            process, left = running[connection]
            try:
                number, outcome, read = connection.recv()
            except (EOFError, OSError):
                waiting.remove(connection)
                process.join()
                how = f"its process ended with {process.exitcode} (negative: a signal); run the command again"
                yield from ((pair, Failure("ProcessEnded", how), 0) for pair in left.values())
                continue
            if number is None:
                raise click.ClickException(outcome)
            yield left.pop(number), outcome, read


def _work(attempt: Attempt, numbered: Mapping[int, Pair], results: Connection, inherited: Sequence[Connection]) -> None:
    """Process the files of one process, and send what happened to each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the one that was started ends the others
    for connection in inherited:
        connection.close()
    report, lock = Report(Console(stderr=True), Progress(disable=True)), Lock()

    def process(item: tuple[int, Pair]) -> None:
        number, pair = item
        outcome = attempt(pair, report)
        with lock:
            results.send((number, outcome, report.taken()))

    with terminable(), suppress(BrokenPipeError):
        try:
            on_threads(process, [*numbered.items()], report.stop, AT_A_TIME["files"])
        except click.ClickException as error:
            results.send((None, error.message, 0))


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM raise, and SIGHUP unless it is ignored (nohup), so that partial output is removed."""

    def stop(number: int, _frame: Any) -> None:
        sys.exit(128 + number)

    wanted = [number for number in _ENDINGS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in wanted}
    try:
        yield
    finally:
        outputs.remove_unfinished()
        for number, handler in before.items():
            signal.signal(number, handler)
