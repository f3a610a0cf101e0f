"""What a pattern that signs pins: one algorithm of its key."""

from collections.abc import Sequence

from kms_patterns.keys.signing_key import SigningKey
from kms_patterns.patterns.parts.key_uses import check_key_of_app
from kms_patterns.policy.key_specs import ALGORITHMS


def chosen_algorithm(signing_key: SigningKey, algorithm: str | None, *, usable: Sequence[str] | None = None) -> str:
    """Return ``algorithm``, or the key's only one.

    Args:
        signing_key: The key.
        algorithm: Such as ``RSASSA_PSS_SHA_256``; None for the only one that there is.
        usable: Algorithms that the pattern can work with. Defaults to all.

    Raises:
        ValueError: The key or the pattern has no such algorithm, or there is a choice and none was made.
    """
    check_key_of_app(signing_key.node.path, "signing_key", signing_key)
    path, spec = signing_key.node.path, signing_key.key_spec.value
    known = [name for name in ALGORITHMS["SIGN_VERIFY"][spec] if usable is None or name in usable]
    if algorithm is None and len(known) == 1:
        return known[0]
    if algorithm in known:
        return algorithm
    given = "algorithm is missing" if algorithm is None else f"algorithm {algorithm} cannot be used"
    choice = f"give one of {', '.join(known)}" if known else "take a key of another spec"
    raise ValueError(f"{path} ({spec}): {given} (KMS: InvalidKeyUsageException); {choice}")
