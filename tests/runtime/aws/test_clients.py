"""How often the functions' clients try, and how long they wait for an answer."""

import pytest

from kms_runtime.handlers import clients


@pytest.fixture(autouse=True)
def region(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    made = (clients.kms_client, clients.kms_client_without_retries, clients.s3_client)
    yield
    for client in made:
        client.cache_clear()


@pytest.mark.parametrize(
    ("name", "attempts", "read_timeout"),
    [("kms_client", 5, 10), ("kms_client_without_retries", 1, 10), ("s3_client", 5, 60)],
)
def test_client_is_bounded_and_made_once(name, attempts, read_timeout):
    make = getattr(clients, name)
    config = make().meta.config
    assert config.retries["total_max_attempts"] == attempts
    assert (config.connect_timeout, config.read_timeout) == (3, read_timeout)
    assert make() is make()
