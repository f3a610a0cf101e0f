"""Some objects through the deployed EnvelopeCipher in bad weather; ``make soak`` sends thousands."""

import pytest

from kms_patterns.demo.scenario import Stage
from tests.soak.plant import Plant
from tests.soak.report import lines
from tests.soak.run import soak

pytestmark = pytest.mark.end_to_end
SEED = 9
UNABORTED = ("lost answer", "expired credentials", "clock skew", "access denied", "disabled key")
"""Faults after which a function may not know an upload or not be let abort it."""
LARGEST_FUNCTION = 120
"""MiB: the interpreter with the AWS SDK takes 70, three parts of an upload 18."""


def test_nothing_is_lost_corrupted_doubled_or_orphaned(stage: Stage) -> None:
    tally = soak(Plant(stage), objects=30, chunk=30, seed=SEED)
    print("\n".join(lines(tally)))
    assert (tally.lost, tally.corrupted, tally.duplicates, tally.orphan_uploads) == ([], [], [], 0)
    assert {"throttle", "reset", "lost answer", "hanging part"} <= set(tally.injected)
    assert tally.retries > tally.objects / 4
    assert sum(tally.failures.values()) < tally.objects / 2
    assert tally.uploads_by_rule <= tally.killed + sum(tally.injected[kind] for kind in UNABORTED)
    assert max(tally.peaks) < LARGEST_FUNCTION
