"""A queue as Amazon SQS and Lambda work it: at least once, in no order, three receives, then the dead letters.

AWS: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

RECEIVES = 3
LARGEST_BATCH = 4
CONSUMERS = 4
VISIBLE_AGAIN_SECONDS = 2.0
LOOK_SECONDS = 0.2


@dataclass(eq=False)
class Message:
    """``body`` for the function, about ``subject``; ``before`` happens just before the first delivery."""

    subject: str
    body: str = ""
    before: Callable[[], None] | None = None
    receives: int = 0
    visible_from: float = 0.0


Consume = Callable[[Sequence[Message]], Iterable[Message]]


@dataclass
class Deliveries:
    """Hands messages to ``consume``, which returns those of a batch that failed."""

    consume: Consume
    rng: random.Random
    pending: list[Message]
    dead: list[Message] = field(default_factory=list)
    redelivered: int = 0
    _in_flight: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _defects: list[BaseException] = field(default_factory=list)

    def drain(self) -> None:
        """Deliver until nothing is pending; a defect of ``consume`` itself is raised."""
        consumers = [threading.Thread(target=self._work) for _ in range(CONSUMERS)]
        for consumer in consumers:
            consumer.start()
        for consumer in consumers:
            consumer.join()
        if self._defects:
            raise self._defects[0]

    def _work(self) -> None:
        while batch := self._take():
            failed: list[Message] = []
            try:
                for message in batch:
                    if message.before:
                        message.before()
                        message.before = None
                failed = list(self.consume([message for message in batch if message.body]))
            except BaseException as defect:  # noqa: BLE001 - raised by drain
                self._defects.append(defect)
            self._settle(len(batch), failed)

    def _take(self) -> list[Message]:
        with self._changed:
            while not (visible := [m for m in self.pending if m.visible_from <= time.monotonic()]):
                if not self.pending and not self._in_flight:
                    return []
                self._changed.wait(LOOK_SECONDS)
            batch = self.rng.sample(visible, min(len(visible), self.rng.randint(1, LARGEST_BATCH)))
            self.pending = [message for message in self.pending if message not in batch]
            self._in_flight += len(batch)
            return batch

    def _settle(self, delivered: int, failed: list[Message]) -> None:
        with self._changed:
            self._in_flight -= delivered
            for message in failed:
                message.receives += 1
                message.visible_from = time.monotonic() + VISIBLE_AGAIN_SECONDS
                again = message.receives < RECEIVES
                (self.pending if again else self.dead).append(message)
                self.redelivered += again
            self._changed.notify_all()
