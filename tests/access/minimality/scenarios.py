"""The scenarios of every stack of the reference app: each module of ``patterns`` is about one stack.

A module has ``STACK``, the stack's name; ``FEWEST_REMOVALS`` and ``USES_DEPLOYED``, the least number of single removals
and the number of direct uses of a key that ``test_removals_deployed`` tries, so that policies that are no longer read
are noticed; ``ACCESS``, what each role may do with each key; and ``scenarios()``, which yields what the pattern is for
and what it must withstand. Nothing else names the modules.
"""

import importlib
from pathlib import Path
from types import ModuleType

from minimality.scenario import Access, Scenario


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


def uses_deployed(stack: str) -> int:
    """Return how many direct uses of a key there are that a removal refuses in the embedded AWS."""
    return int(_PATTERNS[stack].USES_DEPLOYED)


def access_of(stack: str) -> Access:
    """Return what each role of the stack may do with each key; roles that are not named may use no key."""
    found: Access = _PATTERNS[stack].ACCESS
    return found
