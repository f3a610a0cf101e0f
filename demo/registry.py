"""The decorator that makes a function a scenario, in the order in which they are written."""

from collections.abc import Callable

from demo.scenario import Scenario, Stage

Act = Callable[[Stage], str]


class Group:
    """The scenarios of one pattern."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.scenarios: list[Scenario] = []

    def scenario(self, *, who: str, what: str, expected: str) -> Callable[[Act], Act]:
        """Register the decorated function; it must return ``expected``."""

        def register(act: Act) -> Act:
            self.scenarios.append(Scenario(self.title, who, what, expected, act))
            return act

        return register
