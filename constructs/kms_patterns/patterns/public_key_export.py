"""Publishes the public keys of KMS keys at an HTTPS address that needs no AWS credentials."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from aws_cdk import Duration, Stack, aws_iam, aws_s3
from aws_cdk import aws_cloudfront as cloudfront
from constructs import Construct

from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.keys.asymmetric_keys import KeyAgreementKey, KeyEncapsulationKey, RsaEncryptionKey, SigningKey
from kms_patterns.keys.key_options import KeyLifecycle
from kms_patterns.patterns.parts.event_rules import StackDeployedRule
from kms_patterns.patterns.parts.function_pattern import FunctionAddress, FunctionPattern
from kms_patterns.patterns.parts.object_grants import grant_objects
from kms_patterns.patterns.parts.public_key_checks import check_distribution, check_files, check_keys
from kms_patterns.patterns.public_bucket import PublicBucket
from kms_patterns.policy.actions import DOWNLOAD, UPLOAD

FORMS: Final = ("json", "pem", "der", "jwk")


class PublicKeyExport(FunctionPattern):
    """Four files per key, fetched from KMS after every deployment and on a schedule, served over HTTPS to anyone.

    The files are a JSON document (key ARN, algorithms, limits of a plaintext, checksum, and the other three), PEM, DER
    and a JSON Web Key. The function that publishes may ``kms:GetPublicKey`` on these keys and write these files; the
    one that serves may read them and is not allowed any KMS action. To trust a key is to trust its address: compare
    the document's ``sha256`` by another channel before the first use.

    The serving function keeps a file for a minute, or for ``max_age`` if that is shorter, and a failure for 10 seconds:
    requests of strangers do not become requests to AWS.

    After a first deployment the address returns 503 until the files are there, some seconds later.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        keys: Name to key, some 25 at most. The files are called ``<name>.json``, ``.pem``, ``.der`` and ``.jwk``; lower
            case letters, digits, hyphens.
        algorithms: Name to the algorithms that the document names, such as ``{"inbox": ["RSAES_OAEP_SHA_256"]}``: those
            that the functions behind the key accept. Defaults to every one that the key has.
        bucket: Where the files are kept. Defaults to a bucket into which only the publishing function can write.
        prefix: Path before the files' names in the bucket, such as ``keys/``. Defaults to none.
        distribution: A distribution of CloudFront that serves ``bucket``, HTTPS only; then the construct makes no
            function that serves them. Defaults to a function at a function URL, which some Regions do not have.
        max_age: How long caches keep a file, 1 second to 365 days. Defaults to 1 hour.
        refresh: How often the keys are fetched besides, whole minutes. Defaults to 1 hour.
        reserved_concurrency: How many requests the serving function serves at a time, in place of that of ``options``;
            see :class:`FunctionAddress`.
        configured_by: ARNs of further roles or users that may change the policy of the bucket that is made here and
            delete versions in it, as :class:`EncryptedBucket` takes them. Defaults to none but the role that deploys.
        lifecycle: What happens to the bucket that is made here when its stack is deleted.
        options: Memory, timeout, network, logs and the like of the functions. Defaults to 256 MiB and 30 seconds; the
            serving function always has 10. Nothing in the logs is secret.

    Attributes:
        publish_function: Fetches the keys and stores the files; invoke it with ``{}`` to do so now.
        publish_role: Its role.

    Raises:
        RegionUnsupported: The Region does not have function URLs and no distribution is given.
        ValueError: A name, prefix, duration or algorithm is not valid, there are too many keys, or a distribution comes
            without its bucket.
        TypeError: A key does not have a public half.

    See https://docs.aws.amazon.com/kms/latest/developerguide/download-public-key.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        keys: Mapping[str, RsaEncryptionKey | SigningKey | KeyAgreementKey | KeyEncapsulationKey],
        algorithms: Mapping[str, Sequence[str]] | None = None,
        bucket: aws_s3.IBucket | None = None,
        prefix: str = "",
        distribution: cloudfront.IDistribution | None = None,
        max_age: Duration | None = None,
        refresh: Duration | None = None,
        reserved_concurrency: int | None = None,
        configured_by: Sequence[str] = (),
        lifecycle: KeyLifecycle = KeyLifecycle.RETAIN,
        options: FunctionOptions | None = None,
    ) -> None:
        super().__init__(scope, construct_id, options, handlers="public_key_export", timeout=Duration.seconds(30))
        self._names = tuple(keys)
        check_keys(keys, algorithms or {})
        if bucket is not None and configured_by:
            raise ValueError(
                "configured_by is for the bucket that is made here: write it into the policy of your bucket"
            )
        max_age, refresh = max_age or Duration.hours(1), refresh or Duration.hours(1)
        check_files(prefix, max_age, refresh)
        files = [f"{prefix}{name}.{form}" for name in keys for form in FORMS]
        check_distribution(distribution, bucket, files)

        publisher = self._function("Publish", "Fetches public keys from KMS and stores their files", {})
        self.publish_function, self.publish_role = publisher.function, publisher.role
        self.bucket: aws_s3.IBucket = bucket or PublicBucket(
            self, "Bucket", publisher=publisher.role, lifecycle=lifecycle, configured_by=configured_by
        )
        chosen = algorithms or {}
        published = {
            name: {"keyArn": key.key_arn, "algorithms": list(chosen.get(name, ()))} for name, key in keys.items()
        }
        settings = {
            "BUCKET": self.bucket.bucket_name,
            "PREFIX": prefix,
            "MAX_AGE": str(max_age.to_seconds()),
            "PUBLIC_KEYS": Stack.of(self).to_json_string(published),
        }
        publisher.configure(settings)
        grant_objects(self.bucket, publisher.role, UPLOAD, files)
        for key in keys.values():
            key.grant_public_key(publisher.role).assert_success()
        deployed = StackDeployedRule(
            self, "Deployed", function=publisher.function, every=refresh, dead_letters=publisher.dead_letters
        )
        self._serve_role: aws_iam.Role | None = None
        if distribution is not None:
            self._address = f"https://{distribution.distribution_domain_name}/{prefix}"
            return
        server = self._function("Serve", "Serves public keys of KMS to anybody", {}, timeout=Duration.seconds(10))
        self._serve_role = server.role
        # While the server is being made, the rule becomes ready for the event at the end of the deployment.
        server.function.node.add_dependency(deployed)
        server.configure(settings)
        grant_objects(self.bucket, server.role, DOWNLOAD, files)
        address = FunctionAddress(
            self,
            "Address",
            function=server.function,
            instead="give bucket and distribution, a distribution of CloudFront that serves that bucket",
            reserved_concurrency=reserved_concurrency,
        )
        self._address = address.url

    @property
    def serve_role(self) -> aws_iam.Role:
        """The role of the serving function.

        Raises:
            ValueError: A distribution serves the files.
        """
        if self._serve_role is None:
            raise ValueError(
                "a distribution serves the files: the construct makes no serving function, so it has no role"
            )
        return self._serve_role

    def url(self, name: str, form: Literal["json", "pem", "der", "jwk"] = "json") -> str:
        """Return the address of a file.

        Args:
            name: Name of a key.
            form: Which of its four files.

        Raises:
            ValueError: ``name`` or ``form`` is unknown.
        """
        if name not in self._names or form not in FORMS:
            raise ValueError(
                f"{name}.{form} is not published: keys are {', '.join(self._names)}, forms {', '.join(FORMS)}"
            )
        return f"{self._address}{name}.{form}"
