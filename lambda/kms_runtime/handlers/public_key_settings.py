"""The configuration of the PublicKeyExport functions, read from environment variables that the construct sets."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from kms_runtime.errors import FunctionMisconfigured
from kms_runtime.handlers.settings import required_variable


@dataclass(frozen=True, slots=True)
class PublicKeySettings:
    """What both functions know.

    Args:
        bucket: ``BUCKET``: where the files are.
        prefix: ``PREFIX``: put before the files' names; default none.
        max_age: ``MAX_AGE``: seconds that a cache keeps a file.
        keys: ``PUBLIC_KEYS``: a JSON object, name to ``{"keyArn": …, "algorithms": [...]}``; no algorithms: all.
    """

    bucket: str
    prefix: str
    max_age: int
    keys: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings.

        Raises:
            FunctionMisconfigured: A variable is missing or not of the form given above.
        """
        max_age = required_variable(environment, "MAX_AGE")
        if not max_age.isdecimal():
            raise FunctionMisconfigured(f"MAX_AGE is {max_age!r}, not a number of seconds")
        bucket, prefix = required_variable(environment, "BUCKET"), environment.get("PREFIX", "")
        return cls(bucket, prefix, int(max_age), _keys(required_variable(environment, "PUBLIC_KEYS")))


def _keys(text: str) -> dict[str, Any]:
    try:
        keys = json.loads(text)
    except ValueError:
        raise FunctionMisconfigured("PUBLIC_KEYS is not JSON") from None
    if not isinstance(keys, dict) or not all(isinstance(key, dict) and "keyArn" in key for key in keys.values()):
        raise FunctionMisconfigured('PUBLIC_KEYS is not a JSON object of {"keyArn": …}')
    return keys
