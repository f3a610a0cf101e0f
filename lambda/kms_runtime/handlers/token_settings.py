"""The configuration of the TokenIssuer functions, read from environment variables that the construct sets."""

import json
from collections.abc import Mapping

from kms_runtime.errors import FunctionMisconfigured, TokenAlgorithmRefused
from kms_runtime.handlers.settings import required_variable
from kms_runtime.tokens.algorithms import token_algorithm


def seconds_variable(environment: Mapping[str, str], name: str) -> int:
    """Return the environment variable ``name``, a whole number of seconds.

    Raises:
        FunctionMisconfigured: It is missing or no such number.
    """
    value = required_variable(environment, name)
    if not (value.isascii() and value.isdecimal()):
        raise FunctionMisconfigured(f"{name} is {value!r}, not a number of seconds")
    return int(value)


def token_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Return ``TOKEN_KEYS``: a JSON object, ARN of each key to JOSE's name of its algorithm, the current key first.

    Raises:
        FunctionMisconfigured: It is missing, no such object, empty, or names an algorithm that tokens may not have.
    """
    text = required_variable(environment, "TOKEN_KEYS")
    try:
        keys = json.loads(text)
    except ValueError:
        raise FunctionMisconfigured("TOKEN_KEYS is not JSON") from None
    if not isinstance(keys, dict) or not keys or not all(isinstance(name, str) for name in keys.values()):
        raise FunctionMisconfigured("TOKEN_KEYS is not a JSON object of key ARNs and algorithms")
    for name in keys.values():
        check_algorithm("TOKEN_KEYS", name)
    return keys


def check_algorithm(variable: str, name: str) -> str:
    """Return ``name`` if tokens may have this algorithm.

    Raises:
        FunctionMisconfigured: They may not; the message names ``variable``.
    """
    try:
        return token_algorithm(name).name
    except TokenAlgorithmRefused as error:
        raise FunctionMisconfigured(f"{variable}: {error}") from None
