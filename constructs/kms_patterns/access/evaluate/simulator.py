"""The independent policy simulator, as one Node process that answers batches.

``@cloud-copilot/iam-simulate`` is AGPL-3.0 and no part of this package: it is looked up in the project's own
``node_modules`` and run as a separate program.
"""

import hashlib
import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

from kms_patterns.access.evaluate.access_conditions import ABSENT
from kms_patterns.access.model import Policy
from kms_patterns.toolchain import ToolMissing, find_simulator, node_executable

_LONGEST_KEPT, _MOST_KEPT = 100_000, 16_000_000  # characters of answers
_DRIVER = Path(__file__).with_name("simulator.mjs")


class SimulationFailed(RuntimeError):
    """The simulator refused a request or ignored a part of it, so that its answer cannot be trusted."""


class Simulator:
    """A running simulator; see ``simulator`` for how to get one."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._numbers: dict[str, int] = {}
        self._invalid: dict[int, list[dict[str, str]]] = {}
        self._answered: dict[bytes, str] = {}
        self._kept = 0

    def load(self, policies: Sequence[Policy]) -> tuple[list[int], dict[int, list[dict[str, str]]]]:
        """Return the number of each policy, by which batches name it, and what AWS would refuse of which.

        A policy keeps its number for as long as the process runs, so equal questions are equal messages.

        Args:
            policies: The policies of one evaluation.
        """
        texts = [f"{policy.where} {policy.kind} {json.dumps(policy.document)}" for policy in policies]
        new = {text: policy for text, policy in zip(texts, policies, strict=True) if text not in self._numbers}
        if new:
            first = len(self._numbers)
            table = [{"kind": policy.kind, "document": discoverable(policy.document)} for policy in new.values()]
            answer = self.ask({"policies": table, "from": first})
            # Only now are they known to the process: a number never means another policy there.
            self._invalid |= {int(number): errors for number, errors in answer["invalid"].items()}
            self._numbers |= {text: first + place for place, text in enumerate(new)}
        numbers = [self._numbers[text] for text in texts]
        return numbers, {number: self._invalid[number] for number in set(numbers) & set(self._invalid)}

    def answers(self, messages: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Send messages and yield one answer for each, in order, while further ones are under way.

        An answer follows from the message alone, so an equal one is not asked again. A thread writes, so that neither
        process waits for the other with a full pipe.

        Raises:
            SimulationFailed: The process ended early.
        """
        due: queue.SimpleQueue[tuple[bytes, str | None] | None] = queue.SimpleQueue()
        writer = threading.Thread(target=self._send, args=(messages, due), daemon=True)
        writer.start()
        questions = iter(due.get, None)
        try:
            for digest, known in questions:
                line = known or self._answer(digest)
                yield _expanded(json.loads(line))
        finally:  # a reader that stops early leaves no line to the next question
            for digest, known in questions:
                known or self._answer(digest)
            writer.join()

    def _answer(self, digest: bytes) -> str:
        line = self._line()
        self._remember(digest, line)
        return line

    def _send(
        self, messages: Iterable[dict[str, Any]], due: "queue.SimpleQueue[tuple[bytes, str | None] | None]"
    ) -> None:
        try:
            for message in messages:
                text, digest, known = self._question(message)
                due.put((digest, known))
                if known is None:
                    self._write(text)
        except BrokenPipeError:
            return  # the reader finds the end of the answers
        finally:
            due.put(None)

    def _question(self, message: dict[str, Any]) -> tuple[str, bytes, str | None]:
        """Return the line of a message, its digest, and the answer if it is known."""
        text = json.dumps(message)
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        return text, digest, None if "policies" in message else self._answered.get(digest)

    def _write(self, text: str) -> None:
        self._stdin.write(f"{text}\n")
        self._stdin.flush()

    def _remember(self, digest: bytes, line: str) -> None:
        """Keep an answer for an equal question, unless it is long; the oldest go first."""
        if len(line) >= _LONGEST_KEPT:
            return
        self._kept += len(line)
        self._answered[digest] = line
        while self._kept > _MOST_KEPT:
            self._kept -= len(self._answered.pop(next(iter(self._answered))))

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send one message and return its answer.

        Raises:
            SimulationFailed: The process ended early.
        """
        text, digest, line = self._question(message)
        if line is None:
            # The process reads a whole line before it answers: one message needs no thread.
            with suppress(BrokenPipeError):
                self._write(text)
            line = self._answer(digest)
        return _expanded(json.loads(line))

    @property
    def _stdin(self) -> IO[str]:
        if self._process.stdin is None:
            raise SimulationFailed("the simulator has no input")
        return self._process.stdin

    def _line(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SimulationFailed(f"the policy simulator ended with code {self._process.wait()}")
        return line


def _expanded(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer with the results of each action; actions decided together have the same list."""
    results = answer.pop("results", None)
    if results is not None:
        answer["allowed"] = {name: results[place] for name, place in answer["allowed"].items()}
    return answer


_shared: ContextVar[tuple[list[str], Simulator] | None] = ContextVar("_shared", default=None)


@contextmanager
def simulator(project: Path | None = None) -> Iterator[Simulator]:
    """Start the simulator and stop it afterwards; inside another such context, share the one that runs.

    Args:
        project: Where the search for ``node_modules`` starts. Defaults to the current folder, then the checkout that
            holds this package.

    Raises:
        ToolMissing: Node or the simulator is not installed; the message says how to get it.
    """
    command = [str(_node()), str(_DRIVER), str(find_simulator(project))]
    around = _shared.get()
    if around and around[0] == command:
        yield around[1]
        return
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        started = Simulator(process)
        token = _shared.set((command, started))
        try:
            yield started
        finally:
            _shared.reset(token)
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


_SPARE = ("StringEqualsIfExists", "StringLikeIfExists", "StringEqualsIgnoreCaseIfExists")


def discoverable(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``document`` with conditions that mean the same and that the simulator's discovery does not leave out.

    It starts from a request without context keys, and leaves out a condition that such a request meets:
    ``ForAllValues`` and ``Null``, which hold where the key is absent. Here both become ``IfExists``.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    statements = document.get("Statement") if isinstance(document, Mapping) else None
    if isinstance(statements, list):
        return {**document, "Statement": [_statement(item) for item in statements]}
    return {**document, "Statement": _statement(statements)} if isinstance(statements, Mapping) else document


def _statement(statement: Any) -> Any:
    if not isinstance(statement, Mapping) or statement.get("Effect") != "Allow":
        return statement
    conditions = statement.get("Condition")
    return {**statement, "Condition": _conditions(conditions)} if isinstance(conditions, Mapping) else statement


def _conditions(conditions: Mapping[str, Any]) -> Mapping[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for operator, keys in conditions.items():
        if not isinstance(keys, Mapping):
            return conditions
        for key, values in keys.items():
            named, value = _reported(operator, key, values, conditions)
            found.setdefault(named, {})[key] = value
        found.setdefault(operator, {})
    return {operator: keys for operator, keys in found.items() if keys or conditions.get(operator) == {}}


def _reported(operator: str, key: str, values: Any, conditions: Mapping[str, Any]) -> tuple[str, Any]:
    optional = f"{operator}IfExists"
    if operator.lower().startswith("forallvalues:") and not operator.lower().endswith("ifexists"):
        return (operator, values) if key in conditions.get(optional, {}) else (optional, values)
    if operator.lower() == "null" and _texts(values) == {"true"}:
        spare = next((name for name in _SPARE if key not in conditions.get(name, {})), None)
        return (spare, ABSENT) if spare else (operator, values)
    return operator, values


def _texts(values: Any) -> set[str]:
    return {str(value).lower() for value in (values if isinstance(values, list) else [values])}
