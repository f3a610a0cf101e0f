"""What the patterns of one app use a key for, so that no pattern makes or decrypts what belongs to another one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from aws_cdk import Token
from constructs import Construct

from kms_patterns.keys.asymmetric_keys import RsaEncryptionKey, SigningKey
from kms_patterns.keys.customer_managed_key import CustomerManagedKey
from kms_patterns.keys.errors import ArgumentRefused
from kms_patterns.keys.symmetric_keys import EncryptionKey, MacKey
from kms_patterns.policy.key_specs import ALGORITHMS

Key = EncryptionKey | RsaEncryptionKey | SigningKey | MacKey
Fixed = Mapping[str, Sequence[str]]

TOKENS: Final = "tokens"
RELEASES: Final = "objects and statements about them"
CALLERS_BYTES: Final = "any bytes that callers send"
SECRETS: Final = "values that callers get back"
DATA_KEYS: Final = "data keys of messages"
PRIVATE_KEYS: Final = "private keys of data key pairs"

_SIGNED: Final = (
    "a caller that may have any bytes signed or authenticated could have a token made, for any subject, or a statement "
    "about any object. Give each its own key"
)
_ENCRYPTED: Final = (
    "a caller of one could decrypt what the other one encrypted, or pass its own values off as that. Give each its own "
    "key"
)
_APART: Final = ", or in encryption_context the same name with different values"


@dataclass(frozen=True)
class _Use:
    what: str
    user: str
    fixed: Fixed

    def apart_from(self, other: "_Use") -> bool:
        """Whether a fixed pair of the encryption context, which role and key policy demand, keeps both uses apart."""
        return any(
            not _may_be_equal(values, other.fixed[name]) for name, values in self.fixed.items() if name in other.fixed
        )


_uses: "WeakKeyDictionary[Key, list[_Use]]" = WeakKeyDictionary()


def check_key_of_app(path: str, what: str, key: object, kind: type = CustomerManagedKey) -> None:
    """Check that a construct is given a key whose spec and policy this app has.

    Args:
        path: Construct path of the pattern, or of the key.
        what: Name of the argument.
        key: The key.
        kind: Type of key that the construct works with. Defaults to any of this package.

    Raises:
        ArgumentRefused: It is imported, or not a key of this package and of this type.
    """
    if not isinstance(key, CustomerManagedKey):
        raise ArgumentRefused(
            f"{path}: {what}={type(key).__name__}: an imported key, or one that is not of this package, has "
            "no key spec and no key policy that this app writes; give a key that this app makes, or define the "
            "construct in the app that makes it"
        )
    if not isinstance(key, kind):
        raise ArgumentRefused(
            f"{path}: {what}={type(key).__name__}: its functions would end in InvalidKeyUsageException; give an object "
            f"of type {kind.__name__}"
        )


def use_key(key: Key, what: str, user: Construct, *, fixed: Fixed | None = None) -> None:
    """Note what ``user`` uses ``key`` for.

    Two constructs may share a key for the same use. Otherwise one could be led to serve the other's data: a token is a
    message like any other, and a data key or a private key is a value like any other. With a symmetric key a fixed pair
    of the encryption context, demanded by the policies of both, keeps them apart; an RSA key has no context.

    Args:
        key: The key; two imported keys with the same ARN are one.
        what: One of the constants of this module.
        user: The pattern.
        fixed: Name to the values that the encryption context may have there; no request with another one is allowed.

    Raises:
        ValueError: Another pattern uses the key for something else, and nothing keeps both apart.
    """
    use = _Use(what, user.node.path, {} if isinstance(key, RsaEncryptionKey) else fixed or {})
    for known in _known(key):
        if known.what != what and not known.apart_from(use):
            signs = isinstance(key, SigningKey | MacKey)
            hint = _APART if not signs and not isinstance(key, RsaEncryptionKey) else ""
            raise ValueError(
                f"{key.node.path} is used for {known.what} in {known.user} and would be used for {what} in {use.user}: "
                f"{_SIGNED if signs else _ENCRYPTED}{hint}"
            )
    _uses.setdefault(key, []).append(use)


def _known(key: Key) -> Iterator[_Use]:
    arn = key.key_arn
    # Only an imported key can have the ARN of another one.
    imported = not Token.is_unresolved(arn)
    for other, uses in list(_uses.items()):
        if other is key or (imported and other.key_arn == arn and other.node.root is key.node.root):
            yield from uses


def _may_be_equal(values: Sequence[str], others: Sequence[str]) -> bool:
    unknown = any(Token.is_unresolved(value) for value in (*values, *others))
    return unknown or not set(values).isdisjoint(others)


def fixed_pairs(pairs: Mapping[str, str]) -> Fixed:
    """Return the pairs of an encryption context as :func:`use_key` takes them."""
    return {name: (value,) for name, value in pairs.items()}


def chosen_algorithm(signing_key: SigningKey, algorithm: str | None, *, usable: Sequence[str] | None = None) -> str:
    """Return ``algorithm``, or the key's only one.

    Args:
        signing_key: The key.
        algorithm: Such as ``RSASSA_PSS_SHA_256``; None for the only one that there is.
        usable: Algorithms that the pattern can work with. Defaults to all.

    Raises:
        ValueError: The key or the pattern has no such algorithm, or there is a choice and none was made.
    """
    check_key_of_app(signing_key.node.path, "signing_key", signing_key, SigningKey)
    path, spec = signing_key.node.path, signing_key.key_spec.value
    known = [name for name in ALGORITHMS["SIGN_VERIFY"][spec] if usable is None or name in usable]
    if algorithm is None and len(known) == 1:
        return known[0]
    if algorithm in known:
        return algorithm
    given = "algorithm is missing" if algorithm is None else f"algorithm {algorithm} cannot be used"
    choice = f"give one of {', '.join(known)}" if known else "take a key of another spec"
    raise ValueError(f"{path} ({spec}): {given} (KMS: InvalidKeyUsageException); {choice}")
