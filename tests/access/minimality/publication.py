"""What a published key is used for: one function fetches and writes it, one reads it, nobody else replaces it."""

from collections.abc import Iterator

from minimality.scenario import Scenario
from minimality.uses import ADMINISTRATOR, DEPLOYER, TLS, configuration, function

FORMS = ("json", "pem", "der", "jwk")


def publication(export: str, name: str, key: str) -> Iterator[Scenario]:
    publisher, server, bucket = f"{export}/Publish/Role", f"{export}/Serve/Role", f"{export}/Bucket"
    yield Scenario(publisher, "kms:GetPublicKey", key, allowed=True)
    for action in ("kms:Decrypt", "kms:Encrypt"):
        yield Scenario(publisher, action, key, allowed=False)
    for who in (server, "any other role", "account administrator"):
        yield Scenario(who, "kms:GetPublicKey", key, allowed=False)
    for form in FORMS:
        file = f"{bucket}/*{name}.{form}"
        yield Scenario(publisher, "s3:PutObject", file, allowed=True, context=TLS)
        yield Scenario(server, "s3:GetObject", file, allowed=True, context=TLS)
        yield Scenario(server, "s3:PutObject", file, allowed=False, context=TLS)
        yield Scenario("account administrator", "s3:PutObject", file, allowed=False, context=TLS)
    yield Scenario("account administrator", "s3:ReplicateObject", f"{bucket}/*{name}.json", allowed=False, context=TLS)
    yield Scenario(publisher, "s3:PutObject", f"{bucket}/*another.json", allowed=False, context=TLS)
    for context in ({"aws:SecureTransport": "false"}, {**TLS, "s3:TlsVersion": "1.1"}):
        yield Scenario(server, "s3:GetObject", f"{bucket}/*{name}.json", allowed=False, context=context)
        yield Scenario("account administrator", "s3:ListBucket", bucket, allowed=False, context=context)
    for context, allowed in ((TLS, False), ({**TLS, "aws:PrincipalArn": DEPLOYER}, True)):
        version = f"{bucket}/*{name}.json"
        yield Scenario(ADMINISTRATOR, "s3:DeleteObjectVersion", version, allowed=allowed, context=context)
    yield from configuration(bucket)
    for side in ("Publish", "Serve"):
        yield from function(f"{export}/{side}")
    yield from _dead_letters(f"{export}/Publish/DeadLetters", f"{export}/Deployed/Rule")


def pinned(role: str, action: str, key: str) -> Iterator[Scenario]:
    """One role, with SHA-256 and with nothing else."""
    algorithm = "kms:EncryptionAlgorithm"
    context = {algorithm: "RSAES_OAEP_SHA_256"}
    yield Scenario(role, action, key, allowed=True, context=context)
    yield Scenario(role, action, key, allowed=False, context={algorithm: "RSAES_OAEP_SHA_1"})
    yield Scenario("any other role", action, key, allowed=False, context=context)


def _dead_letters(queue: str, rule: str) -> Iterator[Scenario]:
    tls = {"aws:SecureTransport": "true"}
    events = "events.amazonaws.com"
    mine, anothers = {"aws:SourceArn": f"<{rule}>"}, {"aws:SourceArn": "arn:aws:events:any-region-1:1:rule/x"}
    yield Scenario(events, "sqs:SendMessage", queue, allowed=True, context={**tls, **mine})
    yield Scenario(events, "sqs:SendMessage", queue, allowed=False, context={**tls, **anothers})
