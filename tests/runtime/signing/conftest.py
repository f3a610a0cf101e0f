"""Keys that sign, each made once, and what outsiders know of them."""

from collections.abc import Callable
from typing import Any

import pytest

from kms_runtime import KmsRuntimeError
from kms_runtime.public_keys.public_key import PublicKey
from tests.runtime.conftest import ARN, SigningKms, record_of


@pytest.fixture
def kms() -> SigningKms:
    return SigningKms()


@pytest.fixture
def arn_of() -> Callable[..., str]:
    """The ARN of the key of a key spec; of another one for another name."""
    return lambda spec, name="": ARN.format(spec.replace("_", "-") + name)


@pytest.fixture
def public_key(arn_of: Callable[..., str]) -> Callable[..., PublicKey]:
    """The public half, fetched from a KMS of its own, so that no call is counted."""
    return lambda spec, name="": PublicKey.fetch(arn_of(spec, name), kms_client=SigningKms())


@pytest.fixture
def private_key(arn_of: Callable[..., str]) -> Callable[..., Any]:
    return lambda spec, name="": record_of(arn_of(spec, name))["_private_key"]


@pytest.fixture
def refused() -> Callable[..., KmsRuntimeError]:
    """Call what must refuse, and return its error."""

    def call(function: Callable[..., Any], *arguments: Any, **options: Any) -> KmsRuntimeError:
        with pytest.raises(KmsRuntimeError) as caught:
            function(*arguments, **options)
        return caught.value

    return call
