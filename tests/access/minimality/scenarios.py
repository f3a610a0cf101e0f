"""The scenarios of every stack of the reference app: each module of ``patterns`` is about one stack.

A module has ``STACK``, the stack's name; ``FEWEST_REMOVALS``, so that policies that are no longer read are noticed; and
``scenarios()``, which yields what the pattern is for and what it must withstand. Nothing else names the modules.
"""

import importlib
from pathlib import Path
from types import ModuleType

from minimality.scenario import Scenario


def _modules() -> dict[str, ModuleType]:
    names = sorted(path.stem for path in (Path(__file__).parent / "patterns").glob("*.py"))
    modules = [importlib.import_module(f"minimality.patterns.{name}") for name in names]
    return {module.STACK: module for module in modules}


_PATTERNS = _modules()
STACKS = list(_PATTERNS)


def of_stack(stack: str) -> list[Scenario]:
    """Return the scenarios of one stack of the reference app."""
    return list(_PATTERNS[stack].scenarios())


def fewest_removals(stack: str) -> int:
    """Return how many single removals there are at least."""
    return int(_PATTERNS[stack].FEWEST_REMOVALS)
