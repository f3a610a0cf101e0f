"""The functions of a token issuer, and what an app chooses for its tokens."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration, Stack, Token, aws_iam
from constructs import Construct

from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.keys.asymmetric_keys import SigningKey
from kms_patterns.keys.symmetric_keys import MacKey
from kms_patterns.patterns.parts.function_pattern import FunctionPattern
from kms_patterns.patterns.parts.key_uses import TOKENS, use_key


@dataclass(frozen=True)
class TokenAlgorithm:
    """What KMS calls an algorithm of JOSE, and which keys have it."""

    kms_name: str
    key_specs: tuple[str, ...]


_RSA: Final = ("RSA_2048", "RSA_3072", "RSA_4096")

TOKEN_ALGORITHMS: Final[Mapping[str, TokenAlgorithm]] = {
    "ES256": TokenAlgorithm("ECDSA_SHA_256", ("ECC_NIST_P256",)),
    "ES384": TokenAlgorithm("ECDSA_SHA_384", ("ECC_NIST_P384",)),
    "ES512": TokenAlgorithm("ECDSA_SHA_512", ("ECC_NIST_P521",)),
    **{f"RS{bits}": TokenAlgorithm(f"RSASSA_PKCS1_V1_5_SHA_{bits}", _RSA) for bits in (256, 384, 512)},
    **{f"PS{bits}": TokenAlgorithm(f"RSASSA_PSS_SHA_{bits}", _RSA) for bits in (256, 384, 512)},
    "EdDSA": TokenAlgorithm("ED25519_SHA_512", ("ECC_NIST_EDWARDS25519",)),
    **{f"ML-DSA-{size}": TokenAlgorithm("ML_DSA_SHAKE_256", (f"ML_DSA_{size}",)) for size in (44, 65, 87)},
    **{f"HS{bits}": TokenAlgorithm(f"HMAC_SHA_{bits}", (f"HMAC_{bits}",)) for bits in (256, 384, 512)},
}
"""JOSE's name -> what KMS has for it. ``kms_runtime.tokens.algorithms`` is the same; a test compares them."""

RSA_ALGORITHMS: Final = ("PS256", "PS384", "PS512", "RS256", "RS384", "RS512")


LONGEST_LIFETIME: Final = 86_400
LONGEST_CLOCK_SKEW: Final = 300
_REGISTERED: Final = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})


def jose_algorithm(key: SigningKey | MacKey, rsa_algorithm: str) -> str:
    """Return JOSE's name of the algorithm of a key's tokens.

    Raises:
        ValueError: Tokens have no algorithm for the key's spec, or ``rsa_algorithm`` is not one of RSA.
    """
    if rsa_algorithm not in RSA_ALGORITHMS:
        raise ValueError(f"rsa_algorithm {rsa_algorithm!r}: give one of {', '.join(RSA_ALGORITHMS)}")
    spec = key.key_spec.value
    if spec.startswith("RSA_"):
        return rsa_algorithm
    found = next((name for name, known in TOKEN_ALGORITHMS.items() if spec in known.key_specs), None)
    if found is None:
        allowed = sorted({spec for known in TOKEN_ALGORITHMS.values() for spec in known.key_specs})
        raise ValueError(
            f"{key.node.path}: tokens have no algorithm for key spec {spec}; give a key of spec {', '.join(allowed)}"
        )
    return found


def _check(
    keys: Sequence[SigningKey] | Sequence[MacKey],
    issuer: str,
    audiences: Sequence[str],
    required_claims: Sequence[str],
    token_type: str,
) -> None:
    paths = [key.node.path for key in keys]
    doubled = sorted({path for path in paths if paths.count(path) > 1})
    if doubled:
        raise ValueError(f"{', '.join(doubled)} is given twice: previous_keys and next_keys are other keys")
    for what, names in (("audiences", audiences), ("required_claims", required_claims)):
        if isinstance(names, str):
            raise TypeError(f"{what} is the string {names!r}: give a list of names")
    if not audiences or not issuer or not all([*audiences, *required_claims]):
        raise ValueError("issuer, audiences and required_claims: give an issuer, at least one audience, no empty name")
    own = sorted(_REGISTERED.intersection(required_claims))
    if own:
        raise ValueError(f"required_claims {', '.join(own)}: every token has those; name further ones")
    if not Token.is_unresolved(token_type) and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}", token_type):
        raise ValueError(f"token_type {token_type!r} is not the name of a type, such as JWT or at+jwt")


_TIMES: Final = {
    "token_lifetime": (1, LONGEST_LIFETIME, "a token cannot be called back before it expires"),
    "max_age": (1, LONGEST_LIFETIME, "a withdrawn key stays trusted for that long"),
    "clock_skew": (0, LONGEST_CLOCK_SKEW, "it prolongs every token"),
}


def check_time(name: str, value: Duration) -> None:
    """Check how long tokens are valid, how long readers keep the public keys, or how much clocks may differ.

    Raises:
        ValueError: The time is out of the range that ``name`` has.
    """
    least, most, why = _TIMES[name]
    if not value.is_unresolved() and not least <= value.to_seconds() <= most:
        raise ValueError(f"{name} is {value.to_seconds()} s: give {least} s to {most} s; {why}")


class TokenFunctions(FunctionPattern):
    """Base of the token issuers; use one of those: ``TokenIssuer`` or ``MacTokenIssuer``.

    Attributes:
        issue_function: Issues tokens, and can do nothing else with the key.
        issue_role: Its role.

    Raises:
        TypeError: ``audiences`` or ``required_claims`` is a string, of which each letter would be a name.
        ValueError: A key is given twice; a name is empty, or an audience missing; a required claim is the issuer's own;
            or ``token_type`` is not a media type without its ``application/``.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        keys: Sequence[SigningKey] | Sequence[MacKey],
        issuer: str,
        audiences: Sequence[str],
        required_claims: Sequence[str],
        token_lifetime: Duration | None,
        token_type: str,
        rsa_algorithm: str,
        options: FunctionOptions | None,
    ) -> None:
        super().__init__(scope, construct_id, options, handlers="token_issuer")
        lifetime = token_lifetime or Duration.minutes(15)
        check_time("token_lifetime", lifetime)
        _check(keys, issuer, audiences, required_claims, token_type)
        for key in keys:
            use_key(key, TOKENS, self)
        self._algorithms = {key.key_arn: jose_algorithm(key, rsa_algorithm) for key in keys}
        self._expected = {
            "ISSUER": issuer,
            "AUDIENCES": self._json(list(audiences)),
            "REQUIRED_CLAIMS": self._json(list(required_claims)),
            "TOKEN_TYPE": token_type,
        }
        self.algorithm = self._algorithms[keys[0].key_arn]
        own = {"KEY_ARN": keys[0].key_arn, "TOKEN_ALGORITHM": self.algorithm}
        times = {"TOKEN_LIFETIME": str(lifetime.to_seconds())}
        made = self._function("Issue", "Issues tokens signed by KMS", {**self._expected, **own, **times})
        self.issue_function, self.issue_role = made.function, made.role

    def grant_issue(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to get tokens, for any subject; it needs no permission on the key."""
        return self.issue_function.grant_invoke(grantee)

    @property
    def _token_keys(self) -> dict[str, str]:
        """The variable that names each key and its algorithm, the current key first."""
        return {"TOKEN_KEYS": self._json(self._algorithms)}

    def _json(self, value: object) -> str:
        return Stack.of(self).to_json_string(value)
