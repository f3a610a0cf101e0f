"""Message authentication codes by a key that never leaves AWS KMS: 1 to 4096 bytes each.

The code of a message proves that a principal with ``kms:GenerateMac`` made it, to a reader with ``kms:VerifyMac``.
Nothing can be verified outside of AWS KMS: for that, sign (``kms_runtime.signatures``).

See https://docs.aws.amazon.com/kms/latest/developerguide/hmac.html
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from kms_runtime.aws_errors import KMSInvalidMacException
from kms_runtime.errors import InvalidRequest, MessageTooLarge
from kms_runtime.key_arn import call_kms

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

MESSAGE_LIMIT: Final = 4096
MAC_BYTES: Final[Mapping[str, int]] = {f"HMAC_SHA_{bits}": bits // 8 for bits in (224, 256, 384, 512)}
"""Length of the code by algorithm; each key has the one algorithm of its spec."""


def generate_mac(message: bytes, *, key_arn: str, algorithm: str, kms_client: "KMSClient") -> bytes:
    """Return the authentication code of ``message``: one call.

    Args:
        message: 1 to 4096 bytes. A digest must not replace a longer one: a caller who can choose two messages with
            one digest could swap them; sign such data instead.
        key_arn: ARN of an HMAC key.
        algorithm: The key's, such as ``HMAC_SHA_256``.
        kms_client: A ``boto3.client("kms")``.

    Raises:
        InvalidRequest: The message is empty or the algorithm unknown; AWS KMS is not called.
        MessageTooLarge: More than 4096 bytes; AWS KMS is not called.
        AwsError: AWS KMS refused; the class name is its error code.
    """
    _check(message, algorithm)
    given = {"Message": message, "MacAlgorithm": algorithm}
    return bytes(call_kms(kms_client.generate_mac, "GenerateMac", key_arn, **given)["Mac"])


def verify_mac(message: bytes, mac: bytes, *, key_arn: str, algorithm: str, kms_client: "KMSClient") -> None:
    """Return if ``mac`` is the code of ``message``: one call; further arguments and errors as for ``generate_mac``.

    Raises:
        KMSInvalidMacException: It is not; a code of another length is refused without a call.
    """
    _check(message, algorithm)
    if len(mac) != MAC_BYTES[algorithm]:
        raise KMSInvalidMacException(f"the code has {len(mac)} bytes; {algorithm} makes {MAC_BYTES[algorithm]}")
    given = {"Message": message, "MacAlgorithm": algorithm, "Mac": mac}
    response = call_kms(kms_client.verify_mac, "VerifyMac", key_arn, **given)
    if response.get("MacValid") is not True:
        raise KMSInvalidMacException("VerifyMac did not say that the code is valid", operation="VerifyMac")


def _check(message: bytes, algorithm: str) -> None:
    if algorithm not in MAC_BYTES:
        raise InvalidRequest(f"{algorithm!r} is not a MAC algorithm; AWS KMS has {', '.join(MAC_BYTES)}")
    if not message:
        raise InvalidRequest("the message is empty; AWS KMS GenerateMac and VerifyMac take 1 to 4096 bytes")
    if len(message) > MESSAGE_LIMIT:
        raise MessageTooLarge(
            f"the message has {len(message)} bytes and AWS KMS GenerateMac takes at most {MESSAGE_LIMIT}; "
            "sign larger data (kms_runtime.signatures, or the Signer construct)"
        )
