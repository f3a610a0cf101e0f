"""``CachingKeyring``: fewer calls to AWS KMS, for less isolation between messages.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/data-key-caching.html
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial

from kms_runtime.errors import InvalidRequest
from kms_runtime.fork_lock import ForkLock
from kms_runtime.keyrings.keyring import DEFAULT_SUITE, DataKey, EncryptedKeys, Keyring
from kms_runtime.message import AlgorithmSuite
from kms_runtime.message.suite import wipe

MAX_MESSAGES_ENCRYPTED = 2**32
MAX_BYTES_ENCRYPTED = 2**63 - 1


@dataclass(slots=True)
class _Entry:
    data_key: DataKey
    expires: float
    messages: int = 0
    plaintext_bytes: int = 0


class CachingKeyring:
    """Keeps data keys of another keyring in memory and uses each for several messages with the same encryption context.

    **Use it only to stay below a request quota.** Data keys stay in memory for ``max_age``; a revoked permission shows
    that much later; and AWS CloudTrail no longer has an entry per message. Each message still has an encryption key of
    its own, derived from the data key. Signed messages are not cached when encrypting: each has a key pair of its own
    in its encryption context. Safe for use by several threads, of which one at a time calls AWS KMS, and across
    ``os.fork``: a child process starts with an empty cache.

    Args:
        keyring: Where data keys come from.
        capacity: Most data keys held, at least 1; the one that was used longest ago is wiped first.
        max_age: Seconds that a data key is used, more than 0.
        max_messages_encrypted: Most messages encrypted under one data key, 1 to 2**32.
        max_bytes_encrypted: Most bytes of plaintext encrypted under one data key, 0 to 2**63 - 1. If given, a message
            whose length is not known when it begins (``encrypt`` of a stream) gets a data key of its own.
        clock: Returns seconds that only ever grow.

    Raises:
        InvalidRequest: A limit is out of range.
    """

    def __init__(
        self,
        keyring: Keyring,
        *,
        capacity: int,
        max_age: float,
        max_messages_encrypted: int = MAX_MESSAGES_ENCRYPTED,
        max_bytes_encrypted: int = MAX_BYTES_ENCRYPTED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if capacity < 1 or max_age <= 0 or not 1 <= max_messages_encrypted <= MAX_MESSAGES_ENCRYPTED:
            raise InvalidRequest(
                f"capacity {capacity}, max_age {max_age}, max_messages_encrypted {max_messages_encrypted}; allowed are "
                f"at least 1, more than 0, and 1 to {MAX_MESSAGES_ENCRYPTED}"
            )
        if not 0 <= max_bytes_encrypted <= MAX_BYTES_ENCRYPTED:
            raise InvalidRequest(f"max_bytes_encrypted {max_bytes_encrypted}; 0 to {MAX_BYTES_ENCRYPTED} are allowed")
        self._keyring = keyring
        self._max_bytes = max_bytes_encrypted
        self._capacity, self._max_age, self._max_messages = capacity, max_age, max_messages_encrypted
        self._clock = clock
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        # A child process has the entries of its parent: it must neither use a data key more often nor keep it longer.
        self._lock = ForkLock(in_child=self.clear)

    def generate_data_key(
        self, encryption_context: Mapping[str, str], suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> DataKey:
        """Return a copy of a cached data key, or a new one; errors as for the keyring behind this."""
        return self.generate_data_key_for(None, encryption_context, suite)

    def generate_data_key_for(
        self, plaintext_bytes: int | None, encryption_context: Mapping[str, str], suite: AlgorithmSuite, /
    ) -> DataKey:
        """Return the same for a message of so many bytes, None if that is not known."""
        if plaintext_bytes is None:
            plaintext_bytes = 0 if self._max_bytes == MAX_BYTES_ENCRYPTED else self._max_bytes + 1
        if suite.signed or plaintext_bytes > self._max_bytes:
            return self._keyring.generate_data_key(encryption_context, suite)
        key = ("encrypt", suite.suite_id, frozenset(encryption_context.items()))
        fetch = partial(self._keyring.generate_data_key, encryption_context, suite)
        return self._cached(key, fetch, self._max_messages, plaintext_bytes)

    def decrypt_data_key(
        self, encrypted: EncryptedKeys, encryption_context: Mapping[str, str], suite: AlgorithmSuite = DEFAULT_SUITE, /
    ) -> DataKey:
        """Return a copy of a cached data key, or a newly decrypted one; errors as for the keyring behind this."""
        key = ("decrypt", suite.suite_id, tuple(encrypted), frozenset(encryption_context.items()))
        return self._cached(key, lambda: self._keyring.decrypt_data_key(encrypted, encryption_context, suite), None)

    def clear(self) -> None:
        """Forget and wipe every data key."""
        with self._lock:
            while self._entries:
                self._drop(next(iter(self._entries)))

    def _cached(
        self, key: Hashable, fetch: Callable[[], DataKey], most: int | None, plaintext_bytes: int = 0
    ) -> DataKey:
        with self._lock:
            now = self._clock()
            for expired in [key for key, entry in self._entries.items() if entry.expires <= now]:
                self._drop(expired)
            entry = self._entries.get(key)
            if entry and entry.plaintext_bytes + plaintext_bytes > self._max_bytes:
                self._drop(key)
                entry = None
            if entry is None:
                entry = self._entries[key] = _Entry(fetch(), self._clock() + self._max_age)
            self._entries.move_to_end(key)
            entry.messages += 1
            entry.plaintext_bytes += plaintext_bytes
            found = entry.data_key
            copy = DataKey(bytearray(found.plaintext), found.encrypted, found.key_arn)
            if entry.messages == most:
                self._drop(key)
            while len(self._entries) > self._capacity:
                self._drop(next(iter(self._entries)))
            return copy

    def _drop(self, key: Hashable) -> None:
        wipe(self._entries.pop(key).data_key.plaintext)
