"""Custom key stores, of which the embedded AWS has none.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/key-store-overview.html
"""

from kms_patterns.local.server.kms.kms_errors import KmsError, unsupported
from kms_patterns.local.server.kms.members import Request, ResponseMembers


def no_key_store(name: str) -> KmsError:
    """Return the refusal of a custom key store by its id or name."""
    return KmsError("CustomKeyStoreNotFoundException", f"Custom key store {name} does not exist")


def describe_custom_key_stores(request: Request) -> ResponseMembers:
    """Return the response to DescribeCustomKeyStores."""
    named = request.get("CustomKeyStoreId") or request.get("CustomKeyStoreName")
    if named:
        raise no_key_store(named)
    return {"CustomKeyStores": [], "Truncated": False}


def create_custom_key_store(_request: Request) -> ResponseMembers:
    """Refuse CreateCustomKeyStore."""
    raise unsupported("The embedded AWS has no custom key stores.")


def use_custom_key_store(request: Request) -> ResponseMembers:
    """Refuse any other operation on a custom key store."""
    raise no_key_store(request["CustomKeyStoreId"])
