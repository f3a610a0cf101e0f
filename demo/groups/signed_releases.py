"""Releases signed in S3 on upload; a detached signature and a statement, checked without any call."""

import base64
import io
import time
from collections.abc import Callable
from typing import Any

from demo.groups.public_key import published
from demo.principals import client, directly, foreign_signing_key, function_client, invoke_as
from demo.scenario import Group, Stage, summarize
from kms_runtime.errors import KmsRuntimeError
from kms_runtime.signatures.artifacts import ArtifactDigests, digest_artifact, verify_signature, verify_statement

STACK, ALGORITHM = "CodeSigning", "ECDSA_SHA_256"
RELEASE, OLDER = "app-1.1.bin", "app-1.0.bin"
PATIENCE = 60

releases = Group("Code signing: releases in S3, signed on upload", order=100)


def _stored(stage: Stage, key: str) -> bytes:
    s3 = client(stage, "s3", STACK, "PublisherRoleArn")
    return bytes(s3.get_object(Bucket=stage.output(STACK, "SignaturesName"), Key=key)["Body"].read())


def _await(stage: Stage, key: str) -> None:
    """Wait for an object among the signatures: EventBridge starts the function when it gets to it."""
    s3, bucket = stage.aws.session().client("s3"), stage.output(STACK, "SignaturesName")
    deadline = time.monotonic() + PATIENCE
    while not s3.list_objects_v2(Bucket=bucket, Prefix=key).get("KeyCount"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{key} did not appear in {bucket} within {PATIENCE} s")
        time.sleep(0.2)


def _upload(stage: Stage, name: str, content: bytes | None = None) -> None:
    s3, bucket = client(stage, "s3", STACK, "BuilderRoleArn"), stage.output(STACK, "ArtifactsName")
    if content is None:
        s3.upload_file(str(stage.file), bucket, name)
    else:
        s3.put_object(Bucket=bucket, Key=name, Body=content)
    _await(stage, f"{name}.dsse.json")


def _file(stage: Stage) -> ArtifactDigests:
    with stage.file.open("rb") as file:
        return digest_artifact(file, algorithm=ALGORITHM)


def _checked(stage: Stage, check: Callable[..., Any], artifact: ArtifactDigests, data: bytes, **options: Any) -> str:
    """Check as outsiders do: with the published key, and no call."""
    try:
        check(artifact, data, published(stage, STACK), algorithm=ALGORITHM, **options)
    except KmsRuntimeError as error:
        return f"refused: {error.code}"
    return "genuine"


@releases.scenario("builder", "uploads a release, and does nothing else", "signed by itself, by 2 Sign")
def upload_is_signed(stage: Stage) -> str:
    published(stage, STACK)  # once it is published, the calls that follow are of the release
    before = len(stage.aws.kms_calls())
    _upload(stage, RELEASE)
    # A function that starts fetches the public key once, to verify what is there.
    ours = [call for call in stage.aws.kms_calls()[before:] if not call["viaService"]]
    calls = [call for call in ours if call["action"] != "kms:GetPublicKey"]
    return f"signed by itself, by {summarize(calls)}"


@releases.scenario(
    "outsider", "checks signature and statement with the published key", "genuine, genuine, no call of KMS"
)
def outsider_verifies(stage: Stage) -> str:
    artifact = _file(stage)
    signature, statement = _stored(stage, f"{RELEASE}.sig"), _stored(stage, f"{RELEASE}.dsse.json")
    before = len(stage.aws.kms_calls())
    found = [
        _checked(stage, verify_signature, artifact, signature),
        _checked(stage, verify_statement, artifact, statement, name=RELEASE),
    ]
    calls = "no call" if len(stage.aws.kms_calls()) == before else "calls"
    return f"{', '.join(found)}, {calls} of KMS"


@releases.scenario("publisher", "has it signed again, as a repeated event would", "nothing to do")
def repeated_event(stage: Stage) -> str:
    before = len(stage.aws.kms_calls())
    answer = invoke_as(stage, STACK, "Publisher", "Sign", sourceKey=RELEASE)
    signed = any(call["action"] == "kms:Sign" for call in stage.aws.kms_calls()[before:])
    return "signed again" if answer["signed"] or signed else "nothing to do"


@releases.scenario(
    "outsider",
    "checks a tampered release",
    "signature refused: KMSInvalidSignatureException, statement refused: ArtifactMismatch",
)
def tampered_release(stage: Stage) -> str:
    artifact = digest_artifact(io.BytesIO(stage.file.read_bytes() + b"!"), algorithm=ALGORITHM)
    signature = _checked(stage, verify_signature, artifact, _stored(stage, f"{RELEASE}.sig"))
    statement = _checked(stage, verify_statement, artifact, _stored(stage, f"{RELEASE}.dsse.json"))
    return f"signature {signature}, statement {statement}"


@releases.scenario(
    "outsider",
    "is given an older release under the new one's name",
    "signature genuine, statement refused: ArtifactMismatch",
)
def older_release_passed_off(stage: Stage) -> str:
    _upload(stage, OLDER, b"version 1.0")
    artifact = digest_artifact(io.BytesIO(b"version 1.0"), algorithm=ALGORITHM)
    signature = _checked(stage, verify_signature, artifact, _stored(stage, f"{OLDER}.sig"))
    statement = _checked(stage, verify_statement, artifact, _stored(stage, f"{OLDER}.dsse.json"), name=RELEASE)
    return f"signature {signature}, statement {statement}"


@releases.refused("outsider", "checks a signature by another key", "KMSInvalidSignatureException")
def release_signed_by_another_key(stage: Stage) -> str:
    kms, arn, artifact = stage.aws.session().client("kms"), foreign_signing_key(stage), _file(stage)
    foreign = kms.sign(KeyId=arn, Message=artifact.ready.data, MessageType="DIGEST", SigningAlgorithm=ALGORITHM)
    return _checked(stage, verify_signature, artifact, foreign["Signature"])


@releases.refused("builder", "writes a signature itself", "AccessDenied (s3:PutObject)")
def builder_may_not_write_signatures(stage: Stage) -> None:
    s3 = client(stage, "s3", STACK, "BuilderRoleArn")
    s3.put_object(Bucket=stage.output(STACK, "SignaturesName"), Key=f"{RELEASE}.sig", Body=b"forged")


@releases.refused("sign function's role", "replaces the release", "AccessDenied (s3:PutObject)")
def signer_may_not_write_artifacts(stage: Stage) -> None:
    s3 = function_client(stage, "s3", STACK, "SignRoleArn")
    s3.put_object(Bucket=stage.output(STACK, "ArtifactsName"), Key=RELEASE, Body=b"replaced")


@releases.refused("sign function's role", "signs a message instead of a digest", "AccessDeniedException (kms:Sign)")
def signer_is_held_to_digests(stage: Stage) -> None:
    directly(stage, STACK, "Sign", "sign", Message=b"x", MessageType="RAW", SigningAlgorithm=ALGORITHM)


@releases.refused("sign function's role", "calls Verify", "AccessDeniedException (kms:Verify)")
def signer_of_releases_may_not_verify(stage: Stage) -> None:
    given = {"Message": bytes(32), "MessageType": "DIGEST", "SigningAlgorithm": ALGORITHM}
    signature = base64.b64decode(_stored(stage, f"{RELEASE}.sig"))
    directly(stage, STACK, "Sign", "verify", Signature=signature, **given)


@releases.refused("builder", "invokes the sign function", "AccessDeniedException (lambda:InvokeFunction)")
def builder_may_not_invoke(stage: Stage) -> None:
    invoke_as(stage, STACK, "Builder", "Sign", sourceKey=RELEASE)
