"""The public key at an HTTPS address, for outsiders who encrypt, verify or agree: no AWS credentials, no boto3."""

import json
import ssl

from kms_runtime.errors import PublicKeyInvalid
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.public_keys.remote_document import RemoteDocument

_LARGEST_DOCUMENT = 65_536


class RemotePublicKey:
    """A key that a PublicKeyExport publishes, fetched when it is first needed and again after ``max-age``.

    It is fetched with its ETag, so that an unchanged one is not sent; while the address does not respond, the cached
    key stays in use for up to ``longest_outage``. Safe to share between threads.

    Args:
        url: Address of the JSON document, such as ``PublicKeyExport.url("inbox")``; ``https://`` only. Redirects are
            not followed.
        sha256: What ``PublicKey.sha256`` must be, learnt by another channel. Defaults to any key of the address.
        ssl_context: Defaults to one that trusts the machine's authorities.
        timeout: Seconds to wait for a response.
        longest_outage: Seconds after ``max-age`` for which the key is used without a response.

    Raises:
        InvalidRequest: ``url`` does not start with ``https://``.
    """

    def __init__(
        self,
        url: str,
        *,
        sha256: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        timeout: float = 5,
        longest_outage: float = 3600,
    ) -> None:
        self._url, self._sha256 = url, sha256
        self._document = RemoteDocument(
            url,
            self._parse,
            largest=_LARGEST_DOCUMENT,
            accept="application/json",
            ssl_context=ssl_context,
            timeout=timeout,
            shortest_interval=30,
            longest_outage=longest_outage,
        )

    def get(self) -> PublicKey:
        """Return the key.

        Raises:
            ServiceUnreachable: The address did not respond, and no key is cached.
            PublicKeyInvalid: It responded with something other than a key, or with another key, and none is cached.
        """
        return self._document.current().content

    def _parse(self, raw: bytes) -> PublicKey:
        if len(raw) > _LARGEST_DOCUMENT:
            raise PublicKeyInvalid(f"{self._url} has more than {_LARGEST_DOCUMENT} bytes: this is not a public key")
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise PublicKeyInvalid(f"{self._url} is not JSON: {error}") from None
        if not isinstance(document, dict):
            raise PublicKeyInvalid(f"{self._url} is not a JSON object")
        key = PublicKey.from_document(document)
        if self._sha256 is not None and key.sha256 != self._sha256:
            raise PublicKeyInvalid(f"{self._url} is the key {key.sha256}, not {self._sha256}")
        return key
