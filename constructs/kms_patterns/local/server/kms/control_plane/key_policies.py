"""What KMS refuses to store as a key policy: malformed ones, unknown principals, and those that lock their author out.

AWS: https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html
"""

from kms_patterns.local.server.authorization.authorization import authorize_key
from kms_patterns.local.server.authorization.caller import Caller, bound_ids
from kms_patterns.local.server.authorization.policy_documents import KEY_POLICY, Malformed, check_document
from kms_patterns.local.server.emulator.emulator import RESPONSES, reach
from kms_patterns.local.server.kms.key_records import KeyRecord, find_key
from kms_patterns.local.server.kms.kms_call import Request, ResponseMembers
from kms_patterns.local.server.kms.kms_errors import KmsError

MOST_BYTES = 32768
NAME = "default"
_ANY_KEY = "arn:aws:kms:us-east-1:000000000000:key/any"
_LOCKED_OUT = "The new key policy will not allow you to update the key policy in the future."
_STORING = frozenset({"CreateKey", "PutKeyPolicy", "ReplicateKey"})


def check(operation: str, request: Request, caller: Caller) -> None:
    """Refuse a request that stores a key policy, or names one, if KMS would refuse it.

    Raises:
        KmsError: MalformedPolicyDocumentException, LimitExceededException, NotFoundException for another name.
    """
    if operation in {"PutKeyPolicy", "GetKeyPolicy"} and request.get("PolicyName", NAME) != NAME:
        raise KmsError("NotFoundException", f"No such policy exists: a key has the policy {NAME} only")
    document = request.get("Policy")
    if operation not in _STORING or document is None:
        return
    if len(document.encode()) > MOST_BYTES:
        raise KmsError("LimitExceededException", f"A key policy has at most {MOST_BYTES} bytes.")
    try:
        check_document(document, KEY_POLICY)
    except Malformed as refused:
        raise _malformed(str(refused)) from refused
    if request.get("BypassPolicyLockoutSafetyCheck"):
        return
    # It binds root here, as which nothing is delegated; what a key policy leaves to IAM, IAM must allow the author.
    # AWS: https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html (Policy)
    author = Caller(caller.arn, "Author", caller.account)
    decision = authorize_key(author, "kms:PutKeyPolicy", {"Arn": _ANY_KEY, "Policy": document}, {})
    delegated = decision.reason.startswith("because no identity-based")
    if delegated and not caller.is_root:
        held = find_key(str(request["KeyId"])) if operation == "PutKeyPolicy" else None
        here = f"{reach(RESPONSES, 'get_region')()}:{caller.account}"
        key = {"Arn": held["Arn"] if held else f"arn:aws:kms:{here}:key/new", "Policy": document}
        decision = authorize_key(caller, "kms:PutKeyPolicy", key, {})
    if not decision.allowed and not (delegated and caller.is_root):
        raise _malformed(_LOCKED_OUT)


def put_key_policy(record: KeyRecord, request: Request) -> ResponseMembers:
    """Return the response to PutKeyPolicy; the principals that the policy names are those that exist now."""
    record |= {"Policy": request["Policy"], "_bound_policy": None}
    bound_ids(record)
    return {}


def _malformed(message: str) -> KmsError:
    return KmsError("MalformedPolicyDocumentException", message)
