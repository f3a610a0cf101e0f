"""Objects through encryption and decryption in bad weather, what became of each, and the table of it."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.soak.plant import FUNCTION_SECONDS, SUFFIX, Deliveries, Message, Plant, disturbances, faults

MEBIBYTE = 1 << 20
SIZES = {
    0: 6, 1: 6, 1000: 30, 262_143: 6, 262_144: 6, 262_145: 6, 700_000: 20, MEBIBYTE: 8,
    6 * MEBIBYTE - 1: 3, 6 * MEBIBYTE: 3, 13 * MEBIBYTE: 4, 20 * MEBIBYTE: 2,
}  # fmt: skip
"""Sizes in bytes and how often each occurs, of 100; an upload has parts of 6 MiB."""
LARGEST_FUNCTION = 120
"""MiB: the interpreter with the AWS SDK takes 70, three parts of an upload 18."""
REPEATED, OVERWRITTEN = 0.1, 0.2


@dataclass
class Tally:
    """What a soak counts."""

    seed: int
    objects: int = 0
    overwritten: int = 0
    repeated: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    redelivered: int = 0
    killed: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    corrupted: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    uploads_by_rule: int = 0
    unexplained: list[str] = field(default_factory=list)
    orphan_uploads: int = 0
    peaks: list[float] = field(default_factory=list)

    @property
    def defects(self) -> dict[str, object]:
        """What must not be, with what was found; empty if the soak passed."""
        found: dict[str, object] = {
            "lost": self.lost, "corrupted": self.corrupted, "duplicates": self.duplicates,
            "unexplained uploads": self.unexplained, "orphan uploads": self.orphan_uploads,
            "memory": [peak for peak in self.peaks if peak >= LARGEST_FUNCTION],
        }  # fmt: skip
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True)
class Source:
    """One source object; with two sizes it is overwritten mid-run."""

    key: str
    sizes: tuple[int, ...]

    def content(self, version: int) -> bytes:
        """Return the bytes of a version, the same at every call."""
        return random.Random(f"{self.key}:{version}").randbytes(self.sizes[version])

    @property
    def contents(self) -> list[bytes]:
        """Every version's bytes, the last one that which must arrive."""
        return [self.content(version) for version in range(len(self.sizes))]


def soak(plant: Plant, *, objects: int, chunk: int, seed: int) -> Tally:
    """Encrypt and decrypt ``objects`` objects, ``chunk`` at a time, and return what became of them."""
    tally, before = Tally(seed), len(plant.aws.kms_calls())
    with plant.limited_to(FUNCTION_SECONDS):
        for number, first in enumerate(range(0, objects, chunk)):
            sources = list(_sources(seed, range(first, min(first + chunk, objects))))
            _Chunk(plant, tally, random.Random(seed + number), sources, number).run()
    tally.killed = plant.killed
    refused = Counter(call["errorCode"] for call in plant.aws.kms_calls()[before:] if call["errorCode"])
    tally.injected |= {f"mid-run: {code}": count for code, count in refused.items()}
    return tally


def _sources(seed: int, numbers: range) -> Iterator[Source]:
    for number in numbers:
        rng = random.Random(f"{seed}:{number}")
        versions = 2 if rng.random() < OVERWRITTEN else 1
        sizes = rng.choices(list(SIZES), list(SIZES.values()), k=versions)
        yield Source(f"soak/{seed}/{number:06d}", tuple(sizes))


@dataclass
class _Chunk:
    plant: Plant
    tally: Tally
    rng: random.Random
    sources: list[Source]
    number: int

    def run(self) -> None:
        plant = self.plant
        plant.forget_peaks()
        for source in self.sources:
            plant.put(source.key, source.content(0))
        self.tally.objects += len(self.sources)
        failed = self._through("encrypt", plant.encrypt, [*self._created()])
        arrived = self._judge(failed, plant.vault, SUFFIX, plant.opened)
        messages = [Message(source.key, plant.wanted(source.key)) for source in arrived]
        failed = self._through("decrypt", plant.decrypt, messages)
        self.sources = arrived
        self._judge(failed, plant.restored, "", lambda key: plant.stored(plant.restored, key))
        self.tally.peaks.append(plant.peak_mebibytes())
        plant.remove(f"soak/{self.tally.seed}/")

    def _created(self) -> Iterator[Message]:
        for source in self.sources:
            yield Message(source.key, self.plant.created(source.key))
            if len(source.sizes) > 1:
                self.tally.overwritten += 1
                yield Message(source.key, self.plant.created(source.key), self._overwrite(source))

    def _overwrite(self, source: Source) -> Callable[[], None]:
        return lambda: self.plant.put(source.key, source.content(1))

    def _through(self, verb: str, function: str, messages: list[Message]) -> set[str]:
        """Deliver the messages and some of them twice; return the sources whose failure was reported."""
        plant, tally = self.plant, self.tally
        plant.killed_with.clear()
        again = [Message(message.subject, message.body) for message in messages if self.rng.random() < REPEATED]
        tally.repeated += len(again)
        storms = [Message("", before=storm) for storm in disturbances(plant.aws, plant.content_key, plant.storage_key)]
        # One pass of each chunk waits for what hangs, in turns: both would double the time.
        patience = (self.number % 2 == 0) == (verb == "encrypt")
        plant.aws.inject_faults(*faults(patience=patience), seed=self.rng.randrange(1 << 30))
        queue = Deliveries(lambda batch: plant.deliver(function, batch), self.rng, [*messages, *again, *storms])
        queue.drain()
        tally.injected += Counter(plant.aws.injected_faults())
        faulted = plant.aws.faulted_requests()
        tally.retries += plant.aws.retries()
        plant.aws.inject_faults()
        tally.redelivered += queue.redelivered
        failed = {message.subject for message in queue.dead}
        tally.failures[verb] += len(failed)
        left = list(plant.abort_uploads())
        tally.uploads_by_rule += sum(covered for _path, covered in left)
        tally.orphan_uploads += sum(not covered for _path, covered in left)
        unreachable = _beyond_abort(faulted)
        tally.unexplained += [
            path for path, _covered in left
            if path not in unreachable and not any(subject in path for subject in plant.killed_with)
        ]  # fmt: skip
        return failed

    def _judge(self, failed: set[str], bucket: str, suffix: str, read: Callable[[str], bytes]) -> list[Source]:
        """Compare every destination byte by byte; return the sources whose destination is correct."""
        tally, arrived = self.tally, []
        stored = self.plant.keys(bucket, f"soak/{tally.seed}/")
        expected = {source.key + suffix for source in self.sources}
        tally.duplicates += [key for key in stored if key not in expected]
        for source in self.sources:
            key = source.key + suffix
            if key not in stored:
                tally.lost += [] if source.key in failed else [key]
                continue
            *older, current = source.contents
            content = read(key)
            if content == current:
                arrived.append(source)
            elif content not in older:
                tally.corrupted.append(key)
            elif source.key not in failed:
                # An older version is where the current one should be, and nobody was told.
                tally.lost.append(key)
        return arrived


def _beyond_abort(faulted: list[dict[str, Any]]) -> set[str]:
    """Return where a function may leave an upload: it was never told of it, or not let abort it."""
    return {
        request["path"] for request in faulted
        if "AbortMultipartUpload" in request["operations"]
        or (request["kind"] == "lost answer" and "CreateMultipartUpload" in request["operations"])
    }  # fmt: skip


def lines(tally: Tally) -> Iterator[str]:
    """Yield the report, a line each."""
    yield f"seed                          {tally.seed}"
    yield f"objects                       {tally.objects} ({tally.overwritten} overwritten mid-run)"
    yield f"events delivered twice        {tally.repeated}"
    yield f"faults injected               {sum(tally.injected.values())}"
    for kind, count in sorted(tally.injected.items()):
        yield f"  {kind:27} {count}"
    yield f"functions killed at time-out  {tally.killed}"
    yield f"retries by the SDK            {tally.retries}"
    yield f"redelivered by the queue      {tally.redelivered}"
    yield f"failures reported             {tally.failures['encrypt']} encrypt, {tally.failures['decrypt']} decrypt"
    yield f"lost                          {len(tally.lost)} {tally.lost or ''}"
    yield f"corrupted                     {len(tally.corrupted)} {tally.corrupted or ''}"
    yield f"duplicates                    {len(tally.duplicates)} {tally.duplicates or ''}"
    yield f"uploads for lifecycle rule    {tally.uploads_by_rule}"
    yield f"unexplained uploads           {len(tally.unexplained)} {tally.unexplained or ''}"
    yield f"orphan uploads                {tally.orphan_uploads}"
    peaks = [f"{peak:.0f}" for peak in tally.peaks]
    yield f"peak memory of a function     {peaks[0]} MiB in the first chunk, {peaks[-1]} in the last: {' '.join(peaks)}"
    yield f"defects                       {tally.defects or 'none'}"
