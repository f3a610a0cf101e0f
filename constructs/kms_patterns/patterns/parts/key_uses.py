"""What the patterns of one app sign with a key, so that no pattern signs what another one's readers take for theirs."""

from weakref import WeakKeyDictionary

from constructs import Construct

from kms_patterns.keys.mac_key import MacKey
from kms_patterns.keys.signing_key import SigningKey

TOKENS = "tokens"
CALLERS_BYTES = "whatever its callers send"

_uses: "WeakKeyDictionary[SigningKey | MacKey, tuple[str, str]]" = WeakKeyDictionary()


def use_key(key: SigningKey | MacKey, use: str, user: Construct) -> None:
    """Note that ``user`` signs ``use`` with ``key``.

    A token is a message like any other: who may have any message signed under the same key can have a token signed,
    for any subject, which every reader takes.

    Raises:
        ValueError: Another pattern signs something else with it, and one of the two signs tokens.
    """
    known, where = _uses.setdefault(key, (use, user.node.path))
    if known != use:
        raise ValueError(
            f"{key.node.path} signs {known} in {where} and would sign {use} in {user.node.path}: who may have any "
            "message signed could have a token signed, for any subject. Give tokens a key of their own"
        )
