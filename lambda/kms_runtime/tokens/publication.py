"""The document of a JWKS address: the public keys of an issuer, fetched from AWS KMS and kept for a while."""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kms_runtime.aws_errors import AwsError, DisabledException, KMSInvalidStateException, NotFoundException
from kms_runtime.errors import KmsRuntimeError
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.tokens.key_set import jwks_document

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

LOG = logging.getLogger("kms_runtime")
FAILURE_KEPT: Final = 10.0
"""Seconds for which a failure is the response, as the header Retry-After says."""
_GONE = (DisabledException, KMSInvalidStateException, NotFoundException)


class JwksPublication:
    """The JSON Web Key Set of an issuer's keys, from one GetPublicKey per key and period.

    A key that is disabled, pending deletion or deleted is omitted, so disabling a key in AWS KMS takes it from the
    address within the period. If AWS KMS cannot be asked, what was published last stays. A failure is kept for
    ``FAILURE_KEPT`` seconds: requests of strangers do not become requests to AWS KMS.

    Args:
        keys: ARN of each key and JOSE's name of its algorithm, the current key first.
        kms_client: A ``boto3.client("kms")``.
        refresh_after: Seconds that a set is kept.
    """

    def __init__(self, keys: Sequence[tuple[str, str]], *, kms_client: "KMSClient", refresh_after: int) -> None:
        self._keys, self._client, self._refresh_after = keys, kms_client, refresh_after
        self._document, self._until = b"", 0.0
        self._failure: KmsRuntimeError | None = None

    def document(self) -> bytes:
        """Return the set as JSON; the same bytes as long as the keys are the same.

        Raises:
            AwsError: AWS KMS refused, and nothing was published before; or no key is left.
            ServiceUnreachable: No response of AWS KMS, and nothing was published before.
        """
        if time.monotonic() >= self._until:
            try:
                self._document, self._failure = self._fetch(), None
            except KmsRuntimeError as error:
                if not self._document or isinstance(error, _GONE):
                    self._failure, self._until = error, time.monotonic() + FAILURE_KEPT
                    raise
                LOG.warning("published keys are kept", extra={"errorCode": error.code, "reason": str(error)})
            self._until = time.monotonic() + self._refresh_after
        if self._failure is not None:
            raise type(self._failure)(self._failure.message)
        return self._document

    def _fetch(self) -> bytes:
        found, gone = [], None
        for arn, algorithm in self._keys:
            try:
                found.append((PublicKey.fetch(arn, kms_client=self._client), algorithm))
            except _GONE as error:
                gone = error
                LOG.warning("key is not published", extra={"keyArn": arn, "errorCode": error.code})
        if not found:
            raise gone or AwsError("no key is configured")
        return jwks_document(found)
