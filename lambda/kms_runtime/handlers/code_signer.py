"""Lambda function of the CodeSigner construct.

Event and response: ``schemas/code_signer.json``.
"""

from functools import cache
from typing import Any

from kms_runtime.handlers.outcome import logged
from kms_runtime.handlers.settings import kms_client, required_variable, s3_client, signing_algorithm_setting
from kms_runtime.handlers.validation import Event, Response
from kms_runtime.public_keys.public_key import PublicKey
from kms_runtime.s3.location import S3Object
from kms_runtime.s3.object_signing import sign_object


@logged("CodeSign", "code_signer/request")
def sign(event: Event, _context: Any) -> Response:
    """Sign one object; refusals raise, and Lambda reports the class name as ``errorType``."""
    source_key = event["sourceKey"]
    key_arn, algorithm = required_variable("KEY_ARN"), signing_algorithm_setting()
    done = sign_object(
        S3Object(required_variable("SOURCE_BUCKET"), source_key),
        required_variable("DESTINATION_BUCKET"),
        key_arn=key_arn,
        algorithm=algorithm.name,
        kms_client=kms_client(),
        s3_client=s3_client(),
        public_key=_public_key(key_arn),
    )
    return {
        "source": done.artifact.as_response(),
        "signature": done.signature.as_response(),
        "statement": done.statement.as_response(),
        **done.digests.digests,
        "artifactBytes": done.digests.size,
        "keyArn": key_arn,
        "signingAlgorithm": algorithm.name,
        "signed": done.signed,
    }


@cache
def _public_key(key_arn: str) -> PublicKey:
    return PublicKey.fetch(key_arn, kms_client=kms_client())
