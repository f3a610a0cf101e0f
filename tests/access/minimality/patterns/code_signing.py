"""Signing uploaded releases by their digest, with a function that reads artifacts and writes signatures."""

from collections.abc import Iterator

from tests.access.minimality.world import (
    TLS,
    Access,
    Scenario,
    administration,
    assumed,
    download,
    function,
    publication,
    upload,
)

STACK = "KmsPatterns-CodeSigning"
FEWEST_REMOVALS = 140
USES_DEPLOYED = 1
DIGESTS = {"StringEquals": {"kms:MessageType": "DIGEST", "kms:SigningAlgorithm": "ECDSA_SHA_256"}}
ACCESS: Access = {
    "Key": {
        "Export/Publish/Role": {"kms:GetPublicKey": None},
        "Export/Serve/Role": {},
        "Signer/Sign/Role": {"kms:Sign": DIGESTS, "kms:GetPublicKey": None},
        "BuilderRole": {},
        "PublisherRole": {},
    },
}
PINS = {"kms:SigningAlgorithm": "ECDSA_SHA_256", "kms:MessageType": "DIGEST"}


def scenarios() -> Iterator[Scenario]:
    key, storage, signer = (f"{STACK}/{name}" for name in ("Key", "StorageKey", "Signer/Sign"))
    artifacts, signatures = f"{STACK}/Artifacts", f"{STACK}/Signatures"
    builder, publisher = f"{STACK}/BuilderRole", f"{STACK}/PublisherRole"
    yield from administration(key)
    yield from administration(storage)
    yield from publication(f"{STACK}/Export", "releases", key)
    yield from signing(f"{signer}/Role", key)
    yield from download(f"{signer}/Role", artifacts, storage)
    yield from statements_and_signatures(f"{signer}/Role", signatures, storage)
    yield from function(signer)
    yield from undelivered_events(f"{signer}/DeadLetters")
    yield from upload(builder, artifacts, storage)
    yield from download(publisher, artifacts, storage)
    yield from download(publisher, signatures, storage)
    for caller, allowed in ((publisher, True), (builder, False)):
        yield Scenario(caller, "lambda:InvokeFunction", f"{signer}/Function", allowed=allowed)
        yield from assumed(caller, "ec2.amazonaws.com")


def signing(role: str, key: str) -> Iterator[Scenario]:
    yield Scenario(role, "kms:Sign", key, allowed=True, context=PINS)
    for other in ({"kms:SigningAlgorithm": "ECDSA_SHA_384"}, {"kms:MessageType": "RAW"}):
        yield Scenario(role, "kms:Sign", key, allowed=False, context=PINS | other)
    yield Scenario(role, "kms:GetPublicKey", key, allowed=True)
    yield Scenario("any other role", "kms:Sign", key, allowed=False, context=PINS)
    for who in (role, "account administrator"):
        yield Scenario(who, "kms:Verify", key, allowed=False, context=PINS)


def statements_and_signatures(role: str, bucket: str, storage: str) -> Iterator[Scenario]:
    """Both are written and read again, and nothing else is reached."""
    for ending in (".dsse.json", ".sig"):
        yield from download(role, bucket, storage, f"*release{ending}")
        yield from upload(role, bucket, storage, f"*release{ending}", multipart=False)
    for action, key in (("s3:GetObject", "release"), ("s3:PutObject", "release")):
        yield Scenario(role, action, f"{bucket}/*{key}", allowed=False, context=TLS)
    for action in ("s3:PutObject", "s3:DeleteObject"):
        yield Scenario(role, action, f"{STACK}/Artifacts/*release.sig", allowed=False, context=TLS)


def undelivered_events(queue: str) -> Iterator[Scenario]:
    """EventBridge keeps what it could not deliver of this rule, and of no other."""
    for rule, allowed in ((f"<{STACK}/Signer/ObjectCreated/Rule>", True), ("arn:aws:events:::rule/another", False)):
        context = {"aws:SecureTransport": "true", "aws:SourceArn": rule}
        yield Scenario("events.amazonaws.com", "sqs:SendMessage", queue, allowed=allowed, context=context)
