"""The keys of an issuer, fetched from its JWKS address and cached.

See https://www.rfc-editor.org/rfc/rfc9111
"""

import ssl

from kms_runtime.errors import TokenKeyUnknown
from kms_runtime.public_keys.remote_document import RemoteDocument
from kms_runtime.tokens.key_set import LARGEST_DOCUMENT, Jwks, TokenKey


class RemoteJwks:
    """A key set at an HTTPS address, for ``verify_token``.

    It is fetched when first needed, again after ``max-age`` (with its ETag, so that an unchanged one is not sent), and
    when a token names a key that it lacks, but never more than once in ``shortest_interval`` (once a second while no
    keys are cached): forged tokens cannot make a reader overload the issuer. While the address does not respond, the
    cached keys stay in use for up to ``longest_outage``. Safe to share between threads: while one fetches, those that
    find their key do not wait.

    Args:
        url: Such as ``TokenIssuer.jwks_url``; ``https://`` only. Redirects are not followed.
        ssl_context: Defaults to one that trusts the machine's authorities.
        timeout: Seconds to wait for the connection, for the next bytes, and for the whole body.
        shortest_interval: Seconds between two requests, at least.
        longest_outage: Seconds after ``max-age`` for which keys are used without a response.

    Raises:
        InvalidRequest: ``url`` does not start with ``https://``.
    """

    def __init__(
        self,
        url: str,
        *,
        ssl_context: ssl.SSLContext | None = None,
        timeout: float = 5,
        shortest_interval: float = 30,
        longest_outage: float = 3600,
    ) -> None:
        self._document = RemoteDocument(
            url,
            Jwks.parse,
            largest=LARGEST_DOCUMENT,
            accept="application/jwk-set+json, application/json",
            ssl_context=ssl_context,
            timeout=timeout,
            shortest_interval=shortest_interval,
            longest_outage=longest_outage,
        )

    def find(self, key_id: str) -> TokenKey:
        """Return the key with this id.

        Raises:
            TokenKeyUnknown: The issuer has no such key.
            ServiceUnreachable: The address did not respond, and no keys are cached.
            TokenKeySetInvalid: It responded with something other than a key set, and no keys are cached.
        """
        fetched = self._document.current()
        try:
            return fetched.content.find(key_id)
        except TokenKeyUnknown:
            return self._document.current(lacking_since=fetched.at).content.find(key_id)
