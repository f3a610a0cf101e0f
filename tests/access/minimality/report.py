"""Prints how many single removals were tried per stack, and which change nothing: ``report.py CDK_OUT``."""

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from minimality.removals import Removal, removals
from minimality.scenarios import STACKS, of_stack
from minimality.trial import HOW, NOTHING_CHANGES, Trial
from minimality.world import template_of

from kms_patterns.access.evaluate.simulator import Simulator, simulator

KINDS = ("statement", "action", "condition", "resource")


def main(assembly: Path) -> None:
    print(f"| stack | scenarios | removals | {' | '.join(f'{kind}s' for kind in KINDS)} | {' | '.join(HOW)} |")
    print("|---|---|---|" + "---|" * (len(KINDS) + len(HOW)))
    with simulator() as running:
        for stack in STACKS:
            found = tried(assembly, stack, running)
            kinds = Counter(removal.kind for removal in found)
            counts = [len(of_stack(stack)), len(found), *(kinds[kind] for kind in KINDS)]
            numbers = [*counts, *(list(found.values()).count(name) for name in HOW)]
            print(f"| {stack} | {' | '.join(map(str, numbers))} |")


def tried(assembly: Path, stack: str, running: Simulator) -> dict[Removal, str]:
    template = template_of(assembly, stack)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{stack}.template.json"
        path.write_text(json.dumps(template))
        found = Trial(template, of_stack(stack), path, running).how(removals(template))
    for removal, how in found.items():
        if how == NOTHING_CHANGES:
            print(f"superfluous: {stack} {removal}", file=sys.stderr)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
