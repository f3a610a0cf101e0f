"""Every scenario of the demo, in playing order: each module of ``groups`` defines one group or more.

Nothing else names the modules. A group says its own place by ``order``.
"""

import pkgutil
from dataclasses import replace
from importlib import import_module

from demo import groups
from demo.scenario import Group, Scenario


def _groups() -> list[Group]:
    modules = [import_module(f"{groups.__name__}.{module.name}") for module in pkgutil.iter_modules(groups.__path__)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Group)]
    return sorted(dict.fromkeys(found), key=lambda group: (group.order, group.title))


SCENARIOS: tuple[Scenario, ...] = tuple(
    replace(scenario, group=f"{number}. {group.title}")
    for number, group in enumerate(_groups(), start=1)
    for scenario in group.scenarios
)
