"""``python -m tests.soak --objects 3000``: deploy the reference app into an embedded AWS and soak it."""

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from demo.runner import default_input, deployed_stage
from tests.soak.plant import Plant
from tests.soak.run import lines, soak

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Print the table; the status is 1 if anything was lost, corrupted, doubled or left, or memory grew."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--objects", type=int, default=3000, help="how many objects (3000)")
    parser.add_argument("--chunk", type=int, default=250, help="how many of them at a time (250)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="makes a run repeatable; printed")
    arguments = parser.parse_args()
    with deployed_stage(ROOT, default_input(), Console(stderr=True)) as stage:
        tally = soak(Plant(stage), objects=arguments.objects, chunk=arguments.chunk, seed=arguments.seed)
    print("\n".join(lines(tally)))
    return 1 if tally.defects else 0


if __name__ == "__main__":
    sys.exit(main())
