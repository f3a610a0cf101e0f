"""The demo's scenarios: each module here defines one group or more, and nothing else names the modules.

A group says its own place by ``order``. Helpers that modules share stand above.
"""

import pkgutil
from dataclasses import replace
from importlib import import_module

from demo.scenario import Group, Scenario


def _groups() -> list[Group]:
    modules = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Group)]
    return sorted(dict.fromkeys(found), key=lambda group: (group.order, group.title))


SCENARIOS: tuple[Scenario, ...] = tuple(
    replace(scenario, group=f"{number}. {group.title}")
    for number, group in enumerate(_groups(), start=1)
    for scenario in group.scenarios
)
