"""The table of a soak."""

from collections.abc import Iterator

from tests.soak.run import Tally


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
