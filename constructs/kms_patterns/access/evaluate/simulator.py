"""The independent policy simulator, as one Node process that answers batches.

``@cloud-copilot/iam-simulate`` is AGPL-3.0 and no part of this package: it is looked up in the project's own
``node_modules`` and run as a separate program.
"""

import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from kms_patterns.toolchain import ToolMissing, find_simulator, node_executable

_DRIVER = Path(__file__).with_name("simulator.mjs")


class SimulationFailed(RuntimeError):
    """The simulator refused a request or ignored a part of it, so that its answer cannot be trusted."""


class Simulator:
    """A running simulator; see ``simulator`` for how to get one."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask_all(self, messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Send messages and return one answer for each, in order.

        Raises:
            SimulationFailed: The process ended early.
        """
        return list(self.answers(messages))

    def answers(self, messages: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Send messages and yield one answer for each, in order, while further ones are under way.

        A thread writes, so that neither process waits for the other with a full pipe.

        Raises:
            SimulationFailed: The process ended early.
        """
        sent: queue.SimpleQueue[bool] = queue.SimpleQueue()
        writer = threading.Thread(target=self._send, args=(messages, sent), daemon=True)
        writer.start()
        while sent.get():
            yield self._answer()
        writer.join()

    def _send(self, messages: Iterable[dict[str, Any]], sent: "queue.SimpleQueue[bool]") -> None:
        try:
            for message in messages:
                sent.put(True)  # noqa: FBT003 - one more answer is due
                self._stdin.write(json.dumps(message) + "\n")
                self._stdin.flush()
        except BrokenPipeError:
            return  # the reader finds the end of the answers
        finally:
            sent.put(False)  # noqa: FBT003

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send one message and return its answer."""
        return self.ask_all([message])[0]

    @property
    def _stdin(self) -> IO[str]:
        if self._process.stdin is None:
            raise SimulationFailed("the simulator has no input")
        return self._process.stdin

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SimulationFailed(f"the policy simulator ended with code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def simulator(project: Path | None = None) -> Iterator[Simulator]:
    """Start the simulator and stop it afterwards.

    Args:
        project: Where the search for ``node_modules`` starts; when left out, the current folder, then the checkout
            that holds this package.

    Raises:
        ToolMissing: Node or the simulator is not installed; the message says how to get it.
    """
    command = [str(_node()), str(_DRIVER), str(find_simulator(project))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        try:
            yield Simulator(process)
        finally:
            if process.stdin:
                process.stdin.close()
            process.terminate()


def _node() -> Path:
    try:
        return node_executable()
    except ToolMissing:
        found = shutil.which("node")
        if found is None:
            raise
        return Path(found)
