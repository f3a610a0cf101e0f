"""RandomBytes' function and what is behind it: as many bytes as asked for, bounds before any call, typed refusals."""

import base64

import fastjsonschema
import pytest

from kms_runtime import KmsRuntimeError
from kms_runtime.errors import InvalidRequest
from kms_runtime.handlers import random_bytes
from kms_runtime.handlers.validation import schema
from kms_runtime.random_bytes import random_bytes as bytes_of_kms


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


class Source:
    """Stands for ``boto3.client("kms")``."""

    def __init__(self, answers=None):
        self.calls, self.answers = [], answers

    def generate_random(self, **request):
        self.calls.append(request)
        return {"Plaintext": self.answers or bytes(request["NumberOfBytes"])}


@pytest.mark.parametrize("count", [1, 32, 1024])
def test_as_many_bytes_as_asked_for(count):
    source = Source()
    assert bytes_of_kms(count, source) == bytes(count)
    assert source.calls == [{"NumberOfBytes": count}]


@pytest.mark.parametrize("count", [0, -1, 1025, 1.5, "32", True, None])
def test_other_counts_are_refused_before_any_call(count):
    source = Source()
    with pytest.raises(KmsRuntimeError, match="GenerateRandom makes 1 to 1024") as caught:
        bytes_of_kms(count, source)
    assert (caught.value.code, source.calls) == ("InvalidRequest", [])


def test_short_answer_is_an_error():
    with pytest.raises(KmsRuntimeError, match="31 bytes, not 32") as caught:
        bytes_of_kms(32, Source(bytes(31)))
    assert (caught.value.code, caught.value.operation) == ("KMSInternalException", "GenerateRandom")


def test_refusal_of_kms_keeps_its_name(kms_error):
    class Refusing:
        def generate_random(self, **_request):
            raise kms_error("AccessDeniedException", "GenerateRandom")

    with pytest.raises(KmsRuntimeError) as caught:
        bytes_of_kms(32, Refusing())
    assert caught.value.code == "AccessDeniedException"
