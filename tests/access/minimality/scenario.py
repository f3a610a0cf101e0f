"""One request, and what must become of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Access = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any] | None]]]
"""Key -> role -> action -> under which condition: all that the role may do with the key, by paths within the stack."""


@dataclass(frozen=True)
class Scenario:
    """One request, and whether it must be allowed.

    Attributes:
        who: A role's construct path, a service, or one of the principals that always exist.
        action: The action.
        on: A resource's construct path, for objects followed by ``/*``, or by ``/*`` and the key of one.
        allowed: The outcome.
        context: What the request carries; ``<path>`` in a value stands for the ARN of that resource.
    """

    who: str
    action: str
    on: str
    allowed: bool
    context: Mapping[str, str | list[str]] = field(default_factory=dict)
