"""Issues signed tokens (JWT) under a key of KMS, and publishes the keys that they are verified with."""

from collections.abc import Sequence

from aws_cdk import Duration, Token
from constructs import Construct

from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.keys.asymmetric_keys import SigningKey
from kms_patterns.keys.imported.imported_types import ImportedMacKey
from kms_patterns.keys.symmetric_keys import MacKey
from kms_patterns.patterns.parts.function_pattern import FunctionAddress
from kms_patterns.patterns.parts.key_uses import check_key_of_app
from kms_patterns.patterns.parts.token_functions import TOKEN_ALGORITHMS, TokenFunctions, check_time

JWKS_PATH = ".well-known/jwks.json"


class TokenIssuer(TokenFunctions):
    """A function that issues tokens, and an HTTPS address at which anyone gets the public keys (JWKS).

    The issuing function may ``kms:Sign`` with the current key, one algorithm, messages as they are. The one at the
    address may ``kms:GetPublicKey`` of all keys. Readers verify without AWS (``kms_runtime.tokens.verify_token``, or
    any JOSE library), so a token cannot be called back: keep ``token_lifetime`` short.

    Keys roll over without an outage in three deployments: put the new key into ``next_keys``; after ``max_age``, swap
    (the new key becomes ``signing_key``, the old one goes to ``previous_keys``); after ``token_lifetime``, leave the
    old one out. Each token names its key's id as ``kid``. A key that is disabled leaves the address within ``max_age``.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        signing_key: The key of new tokens: ECC_NIST_P256 (ES256), P384, P521, ECC_NIST_EDWARDS25519 (EdDSA), or RSA.
        issuer: ``iss``: who issues, usually an address that starts with ``https://``.
        audiences: ``aud``: who reads the tokens; a request names one, or means the only one.
        previous_keys: Keys of tokens that have not expired yet; they sign nothing new.
        next_keys: Keys that will sign, so that readers know them before they do.
        rsa_algorithm: ``PS256``, ``PS384``, ``PS512``, ``RS256``, ``RS384`` or ``RS512``, for RSA keys.
        required_claims: Claims that every token has besides the registered ones, such as ``["tenant"]``.
        token_lifetime: The longest time that a token is valid, up to 24 hours. Defaults to 15 minutes.
        max_age: How long readers keep the public keys, up to 24 hours. Defaults to 5 minutes.
        token_type: ``typ``, such as ``at+jwt``: tokens for another purpose should have another.
        jwks_url: Address of the key set where your own HTTP API, load balancer or distribution invokes
            ``jwks_function`` for it, as ``https://keys.example.com/.well-known/jwks.json``. Defaults to a function URL
            that is made here, which some Regions do not have.
        reserved_concurrency: How many requests the address serves at a time, in place of that of ``options``; see
            ``FunctionAddress``.
        options: Memory, timeout, network, logs and the like of the functions. Defaults to 256 MiB and 10 seconds.
            No token is in the logs.

    Attributes:
        jwks_function: Answers at the address, and can read the public keys, nothing else.
        jwks_role: Its role.
        jwks_url: Address of the JSON Web Key Set, for readers with and without AWS credentials.

    Raises:
        RegionUnsupported: The Region does not have function URLs and ``jwks_url`` is not given.
        TypeError: An HMAC key, of which nothing can be published: ``MacTokenIssuer`` takes it.
        ValueError: No token algorithm exists for a key's spec, a key signs other data in another pattern, or a name or
            duration is out of range.

    See https://www.rfc-editor.org/rfc/rfc7519 and https://www.rfc-editor.org/rfc/rfc8725
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        signing_key: SigningKey,
        issuer: str,
        audiences: Sequence[str],
        previous_keys: Sequence[SigningKey] = (),
        next_keys: Sequence[SigningKey] = (),
        rsa_algorithm: str = "PS256",
        required_claims: Sequence[str] = (),
        token_lifetime: Duration | None = None,
        max_age: Duration | None = None,
        token_type: str = "JWT",  # noqa: S107 - a header's value
        jwks_url: str | None = None,
        reserved_concurrency: int | None = None,
        options: FunctionOptions | None = None,
    ) -> None:
        keys = [signing_key, *next_keys, *previous_keys]
        for key in keys:
            _check_signing(scope, key)
        max_age = max_age or Duration.minutes(5)
        check_time("max_age", max_age)
        _check_jwks_url(jwks_url, reserved_concurrency)
        super().__init__(
            scope,
            construct_id,
            keys=keys,
            issuer=issuer,
            audiences=audiences,
            required_claims=required_claims,
            token_lifetime=token_lifetime,
            token_type=token_type,
            rsa_algorithm=rsa_algorithm,
            options=options,
        )
        algorithms = [TOKEN_ALGORITHMS[self.algorithm].kms_name]
        signing_key.grant_sign(self.issue_role, algorithms=algorithms, message_types=["RAW"]).assert_success()
        age = {"MAX_AGE": str(max_age.to_seconds())}
        made = self._function("Jwks", "Publishes the keys that tokens are verified with", self._token_keys | age)
        self.jwks_function, self.jwks_role = made.function, made.role
        for key in keys:
            key.grant_public_key(self.jwks_role).assert_success()
        if jwks_url is None:
            address = FunctionAddress(
                self,
                "Address",
                function=self.jwks_function,
                instead="give jwks_url, the address at which an HTTP API of yours invokes jwks_function",
                reserved_concurrency=reserved_concurrency,
            )
            jwks_url = f"{address.url}{JWKS_PATH}"
        self.jwks_url = jwks_url


def _check_jwks_url(url: str | None, reserved_concurrency: int | None) -> None:
    if url is None:
        return
    if not Token.is_unresolved(url) and not (url.startswith("https://") and url.endswith(JWKS_PATH)):
        raise ValueError(
            f"jwks_url {url!r} does not start with https:// or end with {JWKS_PATH}: readers could be given other keys "
            "on the way, and jwks_function serves no other path; give such an address"
        )
    if reserved_concurrency is not None:
        raise ValueError("reserved_concurrency is for the function URL: with jwks_url give it in options")


def _check_signing(scope: Construct, key: object) -> None:
    if isinstance(key, MacKey | ImportedMacKey):
        raise TypeError(
            "TokenIssuer takes signing keys, not HMAC keys: an HMAC key is secret, so there is nothing to publish at a "
            "JWKS address. MacTokenIssuer takes one, and has a verify function instead"
        )
    check_key_of_app(scope.node.path, "a key of tokens", key, SigningKey)
