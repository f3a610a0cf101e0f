"""Prints how many single removals were tried per stack, and which change nothing: ``report.py CDK_OUT``."""

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from minimality.removals import Removal, denies, removals, twins, with_lapse, without
from minimality.scenarios import STACKS, of_stack
from minimality.world import World, template_of

from kms_patterns.access.simulator import Simulator, simulator

KINDS = ("statement", "action", "condition", "resource")
HOW = ("alone", "with its twin in the other policy", "under the lapse it guards against", "nothing changes")


def main(assembly: Path) -> None:
    print(f"| stack | scenarios | removals | {' | '.join(f'{kind}s' for kind in KINDS)} | {' | '.join(HOW)} |")
    print("|---|---|---|" + "---|" * (len(KINDS) + len(HOW)))
    with simulator() as running:
        for stack in STACKS:
            template = template_of(assembly, stack)
            found = {removal: how(assembly, stack, removal, running) for removal in removals(template)}
            kinds = Counter(removal.kind for removal in found)
            counts = [len(of_stack(stack)), len(found), *(kinds[kind] for kind in KINDS)]
            numbers = [*counts, *(list(found.values()).count(name) for name in HOW)]
            print(f"| {stack} | {' | '.join(map(str, numbers))} |")


def how(assembly: Path, stack: str, removal: Removal, running: Simulator) -> str:
    template = template_of(assembly, stack)

    def outcomes(*taken: Removal, lapse: bool = False) -> list[bool]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{stack}.template.json"
            changed = without(template, *taken)
            path.write_text(json.dumps(with_lapse(changed) if lapse else changed))
            return World(path, running).outcomes(of_stack(stack))

    expected = [scenario.allowed for scenario in of_stack(stack)]
    others = twins(template, removal)
    if outcomes(removal) != expected:
        return HOW[0]
    if others and outcomes(removal, *others) != expected:
        return HOW[1]
    if denies(template, removal) and outcomes(removal, lapse=True) != outcomes(lapse=True):
        return HOW[2]
    print(f"superfluous: {stack} {removal}", file=sys.stderr)
    return HOW[3]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
