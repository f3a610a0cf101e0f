"""Names of wrapping keys that are not in AWS KMS."""

from kms_runtime.errors import InvalidRequest

_AWS_NAMESPACE = "aws-kms"


def checked_namespace(namespace: str) -> str:
    """Return ``namespace``, the key provider id of a raw keyring.

    Raises:
        InvalidRequest: It is empty, or starts with ``aws-kms``, which AWS reserves.
    """
    if not namespace or namespace.startswith(_AWS_NAMESPACE):
        raise InvalidRequest(f"the namespace {namespace!r}; it must not be empty nor start with {_AWS_NAMESPACE}")
    return namespace
