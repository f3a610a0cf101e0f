"""Values of an assembly's templates, all stacks together.

What only a deployment can tell becomes a symbol, and is listed with the place that uses it. ``alternatives`` follows
both ways of a condition that only a deployment decides.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from kms_patterns.access.model import Unresolved
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION, Stack
from kms_patterns.access.read.intrinsics import ABSENT, Json, Scope, World
from kms_patterns.access.unknowns.symbols import TRUE, Proposition, symbol

_MOST_WAYS = 64
_FALSE = "false"


@dataclass
class Resolver:
    """Resolves values of an assembly's templates to what a deployment would make of them.

    Attributes:
        stacks: Every stack of the assembly.
        unresolved: What could not be resolved, filled by ``resolve``.
    """

    stacks: Sequence[Stack]
    unresolved: set[Unresolved] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._exports = [
            (json.dumps(output["Export"]["Name"], sort_keys=True), stack, output["Value"])
            for stack in self.stacks
            for output in stack.template.get("Outputs", {}).values()
            if "Export" in output
        ]

    def resolve(self, stack: Stack, value: Json, where: str) -> Json:
        """Return ``value`` with every intrinsic function replaced by its result.

        Args:
            stack: The stack whose template holds ``value``.
            value: Any JSON value of the template.
            where: The place that needs it, for the list of what could not be resolved.
        """
        result = Scope(self, stack, where).value(value)
        return None if result is ABSENT else result

    def alternatives(self, stack: Stack, value: Json, where: str) -> list[tuple[tuple[Proposition, ...], Json]]:
        """Return every way in which ``value`` may resolve, with the propositions under which it does.

        Args:
            stack: The stack whose template holds ``value``.
            value: Any JSON value of the template.
            where: The place that needs it.
        """
        found: list[tuple[tuple[Proposition, ...], Json]] = []
        pending: list[dict[str, bool]] = [{}]
        while pending:
            if len(found) + len(pending) > _MOST_WAYS:
                self.unresolved.add(Unresolved(where, "its conditions", "there are too many ways to follow each"))
                return [((), symbol(f"value of {where}"))]
            world = World(pending.pop())
            result = Scope(self, stack, where, world).value(value)
            if world.asked:
                pending += [{**world.assumed, world.asked[0]: way} for way in (False, True)]
            else:
                given = ((name, TRUE if way else _FALSE) for name, way in sorted(world.assumed.items()))
                found.append((tuple(given), None if result is ABSENT else result))
        return found

    def holds(self, stack: Stack, condition: str | None, where: str) -> bool:
        """Return whether a template condition holds; one that cannot be decided counts as true, and is listed."""
        return condition is None or Scope(self, stack, where).condition(condition)

    def existence(self, stack: Stack, condition: str | None, where: str) -> tuple[Proposition, ...]:
        """Return under which propositions a resource exists that has this template condition, if only some hold."""
        if condition is None:
            return ()
        ways = self.alternatives(stack, {"Fn::If": [condition, True, False]}, where)
        return next((given for given, exists in ways if exists), ())

    def exported(self, stack: Stack, name: Json) -> tuple[Stack, Json] | None:
        """Return stack and value of an export, by its unresolved or resolved name: of the same account and region.

        An environment-agnostic stack may meet an export of any, if there is only one.
        """
        wanted = json.dumps(name, sort_keys=True)
        found = [(exporter, value) for key, exporter, value in self._exports if key == wanted]
        near = [item for item in found if (item[0].account, item[0].region) == (stack.account, stack.region)]
        agnostic = [item for item in found if {item[0].account, stack.account} & {UNKNOWN_ACCOUNT}]
        agnostic = agnostic or [item for item in found if {item[0].region, stack.region} & {UNKNOWN_REGION}]
        return near[0] if near else (agnostic[0] if len(agnostic) == 1 else None)
