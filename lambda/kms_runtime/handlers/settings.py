"""The functions' configuration, read from environment variables that the constructs set."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from kms_runtime.errors import FunctionMisconfigured, InvalidRequest
from kms_runtime.signing_algorithms import SigningAlgorithm, signing_algorithm


@dataclass(frozen=True, slots=True)
class Settings:
    """What every function knows.

    Args:
        key_arn: ``KEY_ARN``: the KMS key.
        fixed_context: ``ENCRYPTION_CONTEXT``: a JSON object of pairs that apply to every request; default ``{}``.
        required_names: ``REQUIRED_CONTEXT_KEYS``: a JSON list of names that a request must give; default ``[]``.
    """

    key_arn: str
    fixed_context: Mapping[str, str]
    required_names: tuple[str, ...]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings.

        Raises:
            FunctionMisconfigured: A variable is missing or not of the form given above.
        """
        fixed = _json(environment, "ENCRYPTION_CONTEXT", {})
        if not isinstance(fixed, dict) or not all(isinstance(value, str) for value in fixed.values()):
            raise FunctionMisconfigured("ENCRYPTION_CONTEXT is not a JSON object of strings")
        return cls(
            required_variable(environment, "KEY_ARN"), fixed, names_variable(environment, "REQUIRED_CONTEXT_KEYS")
        )


def required_variable(environment: Mapping[str, str], name: str) -> str:
    """Return the environment variable ``name``.

    Raises:
        FunctionMisconfigured: It is missing or empty.
    """
    value = environment.get(name)
    if not value:
        raise FunctionMisconfigured(f"the environment variable {name} is not set")
    return value


def signing_algorithm_setting(environment: Mapping[str, str]) -> SigningAlgorithm:
    """Return the algorithm named by ``SIGNING_ALGORITHM``, the only one that the function uses.

    Raises:
        FunctionMisconfigured: It is missing or none of AWS KMS's.
    """
    name = required_variable(environment, "SIGNING_ALGORITHM")
    try:
        return signing_algorithm(name)
    except InvalidRequest as error:
        raise FunctionMisconfigured(f"SIGNING_ALGORITHM: {error}") from None


def names_variable(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Return the names that the environment variable ``name`` lists; none if it is missing.

    Raises:
        FunctionMisconfigured: It is not a JSON list of strings.
    """
    names = _json(environment, name, [])
    if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
        raise FunctionMisconfigured(f"{name} is not a JSON list of strings")
    return tuple(names)


def _json(environment: Mapping[str, str], name: str, default: object) -> Any:
    text = environment.get(name)
    if not text:
        return default
    try:
        return json.loads(text)
    except ValueError:
        raise FunctionMisconfigured(f"{name} is not JSON") from None
