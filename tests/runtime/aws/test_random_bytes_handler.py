"""RandomBytes' function: as many bytes as asked for, bounds before any call, typed refusals."""

import base64

import fastjsonschema
import pytest

from kms_runtime.errors import InvalidRequest
from kms_runtime.handlers import random_bytes
from kms_runtime.handlers.validation import schema


class RandomKms:
    """Stands for ``boto3.client("kms")``."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def generate_random(self, *, NumberOfBytes: int) -> dict[str, bytes]:  # noqa: N803
        self.calls.append(NumberOfBytes)
        return {"Plaintext": b"r" * NumberOfBytes}


@pytest.fixture(autouse=True)
def kms(monkeypatch: pytest.MonkeyPatch) -> RandomKms:
    found = RandomKms()
    monkeypatch.setattr(random_bytes, "kms_client", lambda: found)
    return found


@pytest.mark.parametrize("count", [1, 1024])
def test_response_has_the_bytes_and_follows_its_schema(kms: RandomKms, count: int) -> None:
    made = random_bytes.generate({"count": count}, None)
    assert base64.b64decode(made["randomBytes"]) == b"r" * count
    assert kms.calls == [count]
    fastjsonschema.compile(schema("random_bytes/generate_response"))(made)


@pytest.mark.parametrize(
    "event", [{}, {"count": 0}, {"count": 1025}, {"count": "32"}, {"count": True}, {"count": 1, "x": 1}]
)
def test_other_events_are_refused_before_any_call(kms: RandomKms, event: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        random_bytes.generate(event, None)
    assert kms.calls == []
