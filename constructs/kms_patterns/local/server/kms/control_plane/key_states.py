"""Which control plane operations a key's state refuses; the data plane asks ``keys.require_usable``.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
"""

from kms_patterns.local.server.kms.keys import KeyRecord
from kms_patterns.local.server.kms.kms_errors import KmsError

_LEAVING = frozenset({"PendingDeletion", "PendingReplicaDeletion"})
_NOT_WHILE_LEAVING = frozenset({
    "CreateAlias", "DisableKey", "EnableKey", "GetParametersForImport", "ImportKeyMaterial", "ReplicateKey",
    "ScheduleKeyDeletion", "UpdatePrimaryRegion",
    "TagResource", "UntagResource", "UpdateAlias", "UpdateKeyDescription",
})  # fmt: skip


def check_state(operation: str, record: KeyRecord) -> None:
    """Refuse an operation that the key's state does not allow.

    Raises:
        KmsError: KMSInvalidStateException.
    """
    leaving = record["KeyState"] in _LEAVING
    if leaving and operation in _NOT_WHILE_LEAVING:
        raise KmsError("KMSInvalidStateException", f"{record['Arn']} is pending deletion.")
    if operation == "CancelKeyDeletion" and not leaving:
        raise KmsError("KMSInvalidStateException", f"{record['Arn']} is not pending deletion.")
    if operation in {"EnableKey", "DisableKey"} and record["KeyState"] == "PendingImport":
        raise KmsError("KMSInvalidStateException", f"{record['Arn']} is pending import.")
