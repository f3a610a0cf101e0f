"""Takes single things out of a stack's policies and says which scenario notices."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from minimality.removals import Removal, denies, keys, reduced, twins, with_lapse
from minimality.scenario import Scenario
from minimality.world import Variant, World

from kms_patterns.access.evaluate.simulator import Simulator

ALONE, WITH_TWIN = "alone", "with its twin in the other policy"
UNDER_LAPSE, NOTHING_CHANGES = "under the lapse it guards against", "nothing changes"
HOW = (ALONE, WITH_TWIN, UNDER_LAPSE, NOTHING_CHANGES)

Taken = tuple[str, frozenset[Removal], bool]
"""A resource, what is taken out of its policy, and whether there is a lapse in it."""


class Trial:
    """One stack with its scenarios. Only what a removal takes part in is evaluated again, all in one simulator."""

    def __init__(self, template: dict[str, Any], scenarios: list[Scenario], path: Path, running: Simulator) -> None:
        self._template, self._scenarios = template, scenarios
        self._world = World(path, running)
        self._keys = keys(template)
        self._variants: dict[Taken, int] = {}

    def outcomes(self) -> list[bool]:
        """Return what each scenario gets under the template as it is."""
        return self._world.outcomes(self._scenarios)

    def how(self, removals: Iterable[Removal]) -> dict[Removal, str]:
        """Return how each removal is noticed."""
        tried = list(removals)
        self._load(tried)
        return {removal: self._how(removal) for removal in tried}

    def _how(self, removal: Removal) -> str:
        if self._noticed([removal], lapse=False):
            return ALONE
        # A condition stands in the role's policy and in the key policy, so that either can be weakened alone.
        others = twins(self._template, removal)
        if others and self._noticed([removal, *others], lapse=False):
            return WITH_TWIN
        # A denial may guard against an allowance that nobody has, yet: it is judged where everybody has it.
        if denies(self._template, removal) and self._noticed([removal], lapse=True):
            return UNDER_LAPSE
        return NOTHING_CHANGES

    def _noticed(self, taken: list[Removal], *, lapse: bool) -> bool:
        groups = _by_policy(taken)
        lapsed = self._places({key: frozenset() for key in self._keys}, lapse=True) if lapse else {}
        places = {**lapsed, **self._places(groups, lapse=lapse)}
        before = self._under_lapse if lapse else [scenario.allowed for scenario in self._scenarios]
        return any(
            self._world.outcome(scenario, places) is not expected
            for scenario, expected in zip(self._scenarios, before, strict=True)
            if any(scenario in self._concerned[name] for name in groups)
        )

    @cached_property
    def _under_lapse(self) -> list[bool]:
        places = self._places({key: frozenset() for key in self._keys}, lapse=True)
        return [self._world.outcome(scenario, places) for scenario in self._scenarios]

    @cached_property
    def _concerned(self) -> Mapping[str, list[Scenario]]:
        return {
            name: [scenario for scenario in self._scenarios if self._world.takes_part(name, scenario)]
            for name in self._world.policies
        }

    def _places(self, groups: Mapping[str, frozenset[Removal]], *, lapse: bool) -> dict[str, int]:
        return {name: self._variants[name, taken, lapse and name in self._keys] for name, taken in groups.items()}

    def _load(self, tried: list[Removal]) -> None:
        wanted: dict[Taken, None] = dict.fromkeys((key, frozenset[Removal](), True) for key in self._keys)
        for removal in tried:
            for group in (_by_policy([removal]), _by_policy([removal, *twins(self._template, removal)])):
                for name, taken in group.items():
                    wanted |= dict.fromkeys((name, taken, lapse) for lapse in {False, name in self._keys})
        self._variants = {taken: place for place, taken in enumerate(wanted)}
        self._world.load([self._variant(*taken) for taken in wanted])

    def _variant(self, name: str, taken: frozenset[Removal], lapse: bool) -> Variant:
        document = reduced(dict(self._world.policies[name].document), taken)
        return name, with_lapse(document) if lapse else document


def _by_policy(taken: Iterable[Removal]) -> dict[str, frozenset[Removal]]:
    groups: dict[str, set[Removal]] = {}
    for removal in taken:
        groups.setdefault(removal.logical_id, set()).add(removal)
    return {name: frozenset(group) for name, group in groups.items()}
