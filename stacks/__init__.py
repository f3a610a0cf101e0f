"""The stacks of the reference app: one module per pattern."""

import pkgutil
from importlib import import_module

from stacks.support import ReferenceStack


def discovered() -> list[type[ReferenceStack]]:
    """Return the stacks of every module of this package, in order of their names."""
    modules = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    values = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    stacks = [value for value in values if issubclass(value, ReferenceStack) and value is not ReferenceStack]
    return sorted(set(stacks), key=lambda stack: stack.NAME)
