"""Some objects through the deployed EnvelopeCipher in bad weather; ``make soak`` sends thousands."""

import pytest

from demo.scenario import Stage
from tests.soak.plant import Plant
from tests.soak.report import lines
from tests.soak.run import soak

pytestmark = pytest.mark.end_to_end
SEED = 9


def test_nothing_is_lost_corrupted_doubled_or_orphaned(stage: Stage) -> None:
    tally = soak(Plant(stage), objects=30, chunk=30, seed=SEED)
    print("\n".join(lines(tally)))
    assert tally.defects == {}
    assert {"throttle", "reset", "lost answer", "hanging part", "refused part"} <= set(tally.injected)
    assert tally.retries > tally.objects / 4
    assert sum(tally.failures.values()) < tally.objects / 2
