"""The import graph: every explicit import counts, wherever it stands, also one for types or inside of a function."""

import ast
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

Modules = dict[str, set[str]]


def imports(source: str) -> Iterator[str]:
    """Yield the modules that a source text names; of ``from x import y`` both ``x.y`` and ``x``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def resolved(source: str, known: AbstractSet[str]) -> set[str]:
    """Return which of the modules ``known`` a source text imports."""
    return {known_part for name in imports(source) if (known_part := innermost(name, known))}


def innermost(name: str, known: AbstractSet[str]) -> str:
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def is_in(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def circles(modules: Modules) -> list[set[str]]:
    """Return the groups of modules that reach each other."""
    reached = {name: reachable(name, modules) for name in modules}
    groups = {frozenset(other for other in reached[name] if name in reached.get(other, ())) for name in modules}
    return [set(group) for group in groups if len(group) > 1]


def reachable(start: str, modules: Modules) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        new = modules.get(ahead.pop(), set()) - found
        found |= new
        ahead.extend(new)
    return found
