"""What a scenario is: who does what, what must come of it, and what was observed."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from kms_patterns.local import LocalAws

_ACTION = re.compile(r"\b(?:kms|s3|lambda|dynamodb|iam|ssm|sts):[A-Z]\w+")


@dataclass
class Stage:
    """The deployed reference app, as the scenarios see it."""

    aws: LocalAws
    outputs: Mapping[str, Mapping[str, str]]
    """CloudFormation outputs by stack name."""
    file: Path
    """The input: a real file, sent in parts."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What one scenario leaves for a later one."""

    def output(self, stack: str, name: str) -> str:
        """Return the output ``name`` of ``KmsPatterns-<stack>``."""
        return self.outputs[f"KmsPatterns-{stack}"][name]

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what ``make`` returned when ``name`` was first asked for."""
        if name not in self.notes:
            self.notes[name] = make()
        return self.notes[name]


@dataclass(frozen=True)
class Scenario:
    """One row of the demo.

    Attributes:
        group: The pattern shown, as a heading of the report.
        who: The principal that acts.
        what: What it does.
        expected: The exact text that ``act`` must return.
        act: Does it, and returns what was observed, where it is not refused.
    """

    group: str
    who: str
    what: str
    expected: str
    act: Callable[[Stage], str | None]

    @property
    def name(self) -> str:
        """The name of the function that plays it: stable, unique, fit for a test id."""
        return self.act.__name__


Act = TypeVar("Act", bound=Callable[[Stage], str | None])


class Group:
    """The scenarios of one pattern, in the order in which they are written.

    Args:
        title: The heading of the report.
        order: The place of the group in the report; groups with the same number are in order of their titles.
    """

    def __init__(self, title: str, *, order: int) -> None:
        self.title = title
        self.order = order
        self.scenarios: list[Scenario] = []

    def scenario(self, who: str, what: str, expected: str) -> Callable[[Act], Act]:
        """Register the decorated function, in the order of the report's columns; it must return ``expected``."""

        def register(act: Act) -> Act:
            self.scenarios.append(Scenario(self.title, who, what, expected, act))
            return act

        return register

    def refused(self, who: str, what: str, refusal: str) -> Callable[[Act], Act]:
        """Register the decorated function; it must be refused with ``refusal``: the code, and any denied action."""
        return self.scenario(who, what, f"refused: {refusal}")


@dataclass(frozen=True)
class Row:
    """A scenario that was played, what was observed, and the KMS calls that it made."""

    scenario: Scenario
    observed: str
    calls: Sequence[Mapping[str, Any]]

    @property
    def kms_calls(self) -> str:
        """The calls in short."""
        return summarize(self.calls)

    @property
    def as_expected(self) -> bool:
        """Whether exactly the expected was observed."""
        return self.observed == self.scenario.expected


def play(scenario: Scenario, stage: Stage) -> Row:
    """Play one scenario. A refusal is an observation; so is any other failure, which no scenario expects."""
    before = len(stage.aws.kms_calls())
    try:
        observed = scenario.act(stage) or "not refused"
    except ClientError as error:
        observed = describe_refusal(error)
    except Exception as error:  # noqa: BLE001 - a row must say what went wrong, and the next ones still be played
        observed = f"failed: {type(error).__name__}: {error}"
    return Row(scenario, observed, stage.aws.kms_calls()[before:])


def describe_refusal(error: ClientError) -> str:
    """Return AWS's error code and, where AWS names it, the action that was denied."""
    details = error.response["Error"]
    action = _ACTION.search(details.get("Message", ""))
    return f"refused: {details['Code']}" + (f" ({action.group()})" if action else "")


def summarize(calls: Sequence[Mapping[str, Any]]) -> str:
    """Return the KMS calls as text, equal ones counted: ``6 Decrypt via s3, GenerateDataKey denied``."""
    names = [_name_call(call) for call in calls]
    return ", ".join(name if count == 1 else f"{count} {name}" for name, count in Counter(names).items()) or "none"


def _name_call(call: Mapping[str, Any]) -> str:
    name = str(call["action"]).removeprefix("kms:")
    via = f" via {str(call['viaService']).split('.')[0]}" if call.get("viaService") else ""
    denied = " denied" if call["decision"] != "allow" else ""
    return name + via + denied
