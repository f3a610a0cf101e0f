"""Every action of S3, KMS, Lambda and IAM, tried by an administrator with ``*:*`` whom no key policy names.

``python -m tests.local.every_action`` deploys an ``EncryptedBucket`` to an embedded AWS, sends each operation that
botocore knows, followed by an upload of the uploader, and looks for the content afterwards: in the response, in the
bucket, in a bucket of the administrator's, as a named role, and in what a function returns that reads the bucket or
that the administrator made. Content may be read only by the operations of ``TABLE``, as the threats in SECURITY.md say.

``--pairs`` then sends every ordered pair of the changes that were accepted and did not let content be read, and each of
them followed by each request that was refused alone. Many pairs share a deployment: in it the changes add up, and the
content is looked for, after an upload, once a request was accepted, and at the end. ``--part 2/3`` sends the second
third of the pairs: the parts have no pair in common and are the whole together.
"""

import argparse
import io
import json
import random
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import combinations, permutations, product
from typing import Any

import aws_cdk as cdk
import botocore.session
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import OperationModel, Shape

from kms_patterns import EncryptedBucket, EncryptionKey, KeyLifecycle
from kms_patterns.local import AssumeRoleRefused, AwsSession, LocalAws

SERVICES = ("s3", "kms", "lambda", "iam")
MARKER = b"content-that-only-named-roles-read"
TABLE: Mapping[str, str] = {
    "kms PutKeyPolicy": "key administrator: reading",
    "iam UpdateAssumeRolePolicy": "administrator: becoming a named role",
    "lambda UpdateFunctionCode": "administrator: changing a function",
    "lambda UpdateFunctionConfiguration": "administrator: changing a function, by a layer of its own",
    "lambda CreateFunction": "administrator: passing a named role to a function of its own",
}
"""Operations after which content may be read, and the cell of the threat table that says so."""
_READING = ("Get", "List", "Head", "Describe", "Generate", "Simulate", "Select", "Verify", "Encrypt", "Sign", "Invoke")
_ALWAYS = "kms PutKeyPolicy"
OWN = "own-function-"
"""What the administrator's functions are called."""
_ONCE = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10)
_EVERYONE = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
)
_IDENTITY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
_SIZE = """import boto3, os
def handler(event, context):
    found = boto3.client("s3").get_object(Bucket=os.environ["BUCKET"], Key="before")["Body"].read()
    return """
_LAYER = """from botocore.session import get_session
def client(name):
    raise ValueError(get_session().create_client(name).get_object(Bucket=%r, Key="before")["Body"].read().decode())
"""
"""Stands for the SDK in a function whose layer it is, and tells what the function's role reads."""
_NOT_BUILT = frozenset(
    {"NotImplemented", "UnknownOperationException", "InvalidAction", "501", "404", "UnknownOperation"}
)


@dataclass
class Attempt:
    """One operation with one request, and what came of it."""

    service: str
    operation: str
    request: Mapping[str, Any]
    outcome: str = ""
    read: list[str] = field(default_factory=list)
    breaks: bool = False
    """Whether uploader, downloader, function or administrator no longer do what they are for."""

    @property
    def name(self) -> str:
        return f"{self.service} {self.operation}"

    @property
    def changes(self) -> bool:
        """Whether it was accepted, may have changed something, and did not let content be read."""
        return self.outcome == "accepted" and not self.read and not self.operation.startswith(_READING)

    @property
    def was_refused(self) -> bool:
        """Whether AWS would know it and it was denied or refused alone; after a change it may not be."""
        return self.outcome in {"denied", "refused"} and not self.operation.startswith(_READING)


class Principal:
    """A session with one client of each kind: a client costs as much as many requests."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session
        self._made: dict[tuple[str, Config | None], Any] = {}

    def client(self, service: str, config: Config | None = None) -> Any:
        """Return the client of ``service`` with this configuration."""
        if (service, config) not in self._made:
            self._made[service, config] = self._session.client(service, config=config)
        return self._made[service, config]


class Deployment:
    """A deployed bucket with an uploader, a downloader and a function that reads, and an administrator beside them."""

    def __init__(self, aws: LocalAws, name: str) -> None:
        self._aws, self.stack = aws, f"EveryAction{name}"
        outputs = _deploy(aws, self.stack)
        self.bucket, self.key, self.function = outputs["Bucket"], outputs["Key"], outputs["Function"]
        self.roles = {name: outputs[name] for name in ("Uploader", "Downloader", "Reader")}
        self.admin_role = outputs["Administrator"]
        self.administrator = Principal(aws.assume(self.admin_role, "ec2.amazonaws.com"))
        self._uploader = Principal(aws.assume(self.roles["Uploader"], "ec2.amazonaws.com"))
        self.own = f"own-{name.lower()}-{random.getrandbits(40):x}"
        self.administrator.client("s3").create_bucket(Bucket=self.own)
        self.own_key = self.administrator.client("kms").create_key()["KeyMetadata"]["Arn"]
        layer = {"Content": {"ZipFile": _zip(_LAYER % self.bucket, "python/boto3.py")}, "LayerName": self.own}
        self.layer = self.administrator.client("lambda").publish_layer_version(**layer)["LayerVersionArn"]
        self._uploads, self.uploaded = 0, False
        self.upload("before")

    def close(self) -> None:
        """Delete the functions, each of which keeps a process; the rest does not stand in the way."""
        functions = self._aws.client("lambda")
        for name in (self.function, *(f"{OWN}{number}" for number in range(len(self.roles) + 1))):
            with suppress(ClientError):
                functions.delete_function(FunctionName=name)

    def upload(self, name: str) -> None:
        """Upload as the uploader, naming no encryption."""
        self._uploader.client("s3").put_object(Bucket=self.bucket, Key=name, Body=MARKER)

    def works(self) -> bool:
        """Return whether uploader, downloader, function and administrator still do what they are for."""
        with suppress(ClientError, BotoCoreError, AssumeRoleRefused):
            self.upload("check")
            mine = {"RoleName": self.admin_role.rpartition("/")[2], "Tags": [{"Key": "a", "Value": "b"}]}
            self.administrator.client("iam").tag_role(**mine)
            downloader = self._aws.assume(self.roles["Downloader"], "ec2.amazonaws.com").client("s3")
            found = downloader.get_object(Bucket=self.bucket, Key="before")["Body"].read()
            answer = self._aws.client("lambda").invoke(FunctionName=self.function)["Payload"].read()
            listed = self.administrator.client("s3").list_buckets()["Buckets"]
            return found == MARKER and answer == b"%d" % len(MARKER) and self.own in [it["Name"] for it in listed]
        return False

    def readable(self) -> list[str]:
        """Return the ways in which the administrator reads content, after a further upload."""
        self._uploads += 1
        after = f"after-{self._uploads}"
        self.uploaded = False
        with suppress(ClientError, AssumeRoleRefused):
            self.upload(after)
            self.uploaded = True
        found = [f"{self.bucket}/{name}" for name in ("before", after) if self._reads(name)]
        s3 = self.administrator.client("s3")
        with suppress(ClientError):
            listed = [entry["Key"] for entry in s3.list_objects_v2(Bucket=self.own).get("Contents", [])]
            bodies = {name: s3.get_object(Bucket=self.own, Key=name)["Body"].read() for name in listed}
            found += [f"{self.own}/{name}" for name, body in bodies.items() if MARKER in body]
        sts = self.administrator.client("sts")
        for name, arn in self.roles.items():
            with suppress(ClientError):
                given = sts.assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
                if name == "Uploader":
                    found.append("became the uploader")
                else:
                    keys = dict(zip(_CREDENTIALS, (given[it] for it in _GIVEN), strict=True))
                    became = self._aws.client("s3", **keys)
                    found += (
                        [f"as {name}"]
                        if MARKER in became.get_object(Bucket=self.bucket, Key="before")["Body"].read()
                        else []
                    )
        functions = self.administrator.client("lambda")
        own = [it["FunctionName"] for it in self._aws.client("lambda").list_functions()["Functions"]]
        for name in (self.function, *(it for it in own if it.startswith(OWN))):
            with suppress(ClientError):
                answer = functions.invoke(FunctionName=name)["Payload"].read()
                found += [f"by the function {name.removeprefix(self.stack)}"] if MARKER in answer else []
        return found

    def _reads(self, name: str) -> bool:
        with suppress(ClientError):
            return MARKER in self.administrator.client("s3").get_object(Bucket=self.bucket, Key=name)["Body"].read()
        return False


_CREDENTIALS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_GIVEN = ("AccessKeyId", "SecretAccessKey", "SessionToken")


@cache
def _template(account: str, region: str) -> str:
    app = cdk.App(analytics_reporting=False)
    synthesizer = cdk.DefaultStackSynthesizer(generate_bootstrap_version_rule=False)
    stack = cdk.Stack(app, "Every", env=cdk.Environment(account=account, region=region), synthesizer=synthesizer)
    key = EncryptionKey(stack, "Key", lifecycle=KeyLifecycle.EPHEMERAL)
    bucket = EncryptedBucket(stack, "Bucket", encryption_key=key)
    outputs = {"Bucket": bucket.bucket_name, "Key": key.key_arn}
    for who in ("Uploader", "Downloader", "Administrator"):
        role = iam.Role(stack, who, assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        outputs[who] = role.role_arn
        if who == "Uploader":
            bucket.grant_upload(role)
        elif who == "Downloader":
            bucket.grant_download(role)
        else:
            role.add_to_policy(iam.PolicyStatement(actions=["*"], resources=["*"]))
    function = aws_lambda.Function(
        stack,
        "Function",
        runtime=aws_lambda.Runtime.PYTHON_3_12,
        handler="index.handler",
        code=aws_lambda.Code.from_inline(_SIZE + "len(found)"),
        environment={"BUCKET": bucket.bucket_name},
        timeout=cdk.Duration.seconds(10),
    )
    assert function.role
    bucket.grant_download(function)
    for output, value in (outputs | {"Function": function.function_name, "Reader": function.role.role_arn}).items():
        cdk.CfnOutput(stack, f"Output{output}", value=value)
    return json.dumps(app.synth().get_stack_by_name("Every").template)


def _deploy(aws: LocalAws, name: str) -> dict[str, str]:
    formation, body = aws.client("cloudformation"), _template(aws.account, aws.region)
    formation.create_stack(StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    formation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    found = formation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
    return {item["OutputKey"].removeprefix("Output"): item["OutputValue"] for item in found}


def attempts(place: Deployment) -> Iterator[Attempt]:
    """Yield every operation with each request worth trying: written ones, or one filled by its model."""
    session = botocore.session.get_session()
    written = _written(place)
    for service in SERVICES:
        model = session.get_service_model(service)
        for operation in sorted(model.operation_names):
            filled = _filled(model.operation_model(operation), place)
            for request in written.get(f"{service} {operation}", [{}]):
                yield Attempt(service, operation, {**filled, **request})


def _written(place: Deployment) -> dict[str, Sequence[Mapping[str, Any]]]:
    """Return the requests that an attacker would write."""
    aes = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    own = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": place.own_key}
    under_own = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": place.own_key}
    source = {"CopySource": {"Bucket": place.bucket, "Key": "before"}}
    roles = [{"RoleName": arn.rpartition("/")[2]} for arn in (*place.roles.values(), place.admin_role)]
    by_role = {name: [{**role, **more} for role in roles] for name, more in {
        "iam UpdateAssumeRolePolicy": {"PolicyDocument": _trusting(place.admin_role)},
        "iam PutRolePolicy": {"PolicyName": "p", "PolicyDocument": _IDENTITY},
        "iam AttachRolePolicy": {"PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
        "iam DeleteRole": {}, "iam DeleteRolePolicy": {}, "iam PutRolePermissionsBoundary": {},
        "iam CreateRole": {"AssumeRolePolicyDocument": _trusting(place.admin_role)},
        "iam UpdateRole": {"MaxSessionDuration": 3600}, "iam TagRole": {"Tags": [{"Key": "a", "Value": "b"}]},
    }.items()}  # fmt: skip
    replication = {"Role": place.roles["Downloader"], "Rules": [{
        "ID": "r", "Status": "Enabled", "Priority": 1, "Filter": {"Prefix": ""},
        "DeleteMarkerReplication": {"Status": "Disabled"}, "Destination": {"Bucket": f"arn:aws:s3:::{place.own}"},
        "SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}}}]}  # fmt: skip
    encryption = {"SSEKMS": {"KMSKeyArn": place.own_key}}
    code = _zip(_SIZE + "found.decode()")
    return by_role | {
        "s3 PutBucketEncryption": [
            {"ServerSideEncryptionConfiguration": aes},
            {"ServerSideEncryptionConfiguration": {"Rules": [{"ApplyServerSideEncryptionByDefault": own}]}},
        ],
        "s3 PutBucketPolicy": [{"Policy": _EVERYONE}],
        "s3 PutBucketReplication": [{"ReplicationConfiguration": replication}],
        "s3 CopyObject": [
            {**source, "Bucket": place.own, "Key": "copy", "ServerSideEncryption": "AES256"},
            {**source, "Bucket": place.own, "Key": "copy", **under_own},
            {**source, "Bucket": place.bucket, "Key": "before", "ServerSideEncryption": "AES256"},
        ],
        "s3 UploadPartCopy": [{**source, "Bucket": place.own}],
        "s3 PutObject": [{"Key": "x", "Body": b"x", "ServerSideEncryption": "AES256"}, {"Key": "y", "Body": b"x"}],
        "s3 UpdateObjectEncryption": [{"ObjectEncryption": encryption}],
        "s3 RenameObject": [{"RenameSource": "before"}],
        "s3 PutBucketAcl": [{"ACL": "public-read"}],
        "s3 PutObjectAcl": [{"ACL": "public-read"}],
        "s3 PutBucketVersioning": [{"VersioningConfiguration": {"Status": "Suspended"}}],
        "s3 CreateBucket": [{}],
        "s3 GetObject": [{}, {"Range": "bytes=0-9999"}, {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}],
        "kms PutKeyPolicy": [{"Policy": _EVERYONE, "PolicyName": "default"}],
        "kms CreateGrant": [{"GranteePrincipal": place.admin_role, "Operations": ["Decrypt", "GenerateDataKey"]}],
        "kms ReplicateKey": [{"ReplicaRegion": "eu-west-1", "Policy": _EVERYONE}],
        "kms ReEncrypt": [{"CiphertextBlob": b"x", "DestinationKeyId": place.own_key}],
        "kms UpdateAlias": [{"AliasName": "alias/mine", "TargetKeyId": place.key}],
        "kms CreateAlias": [{"AliasName": "alias/mine", "TargetKeyId": place.key}],
        "lambda UpdateFunctionCode": [{"ZipFile": code}],
        "lambda UpdateFunctionConfiguration": [
            {"Environment": {"Variables": {"BUCKET": place.own}}}, {"Role": place.admin_role},
            {"Layers": [place.layer]},
        ],
        "lambda CreateFunction": [
            {"FunctionName": f"{OWN}{number}", "Role": arn, "Code": {"ZipFile": code}, "Handler": "index.handler",
             "Runtime": "python3.12", "Environment": {"Variables": {"BUCKET": place.bucket}}}
            for number, arn in enumerate((*place.roles.values(), place.admin_role))
        ],
        "lambda AddPermission": [{"Principal": place.admin_role, "Action": "lambda:*", "StatementId": "s"}],
    }  # fmt: skip


def _trusting(arn: str) -> str:
    trusted = {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [trusted]})


def _zip(code: str, name: str = "index.py") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, code)
    return packed.getvalue()


def _filled(operation: OperationModel, place: Deployment) -> dict[str, Any]:
    shape = operation.input_shape
    return {} if shape is None else _value(shape, "", place)


def _value(shape: Shape, name: str, place: Deployment) -> Any:
    """Return the simplest valid value, and for what names a resource, the one that is attacked."""
    known: dict[str, Any] = {
        "Bucket": place.bucket, "Key": "before", "KeyId": place.key, "TargetKeyId": place.key,
        "FunctionName": place.function, "RoleName": place.roles["Downloader"].rpartition("/")[2],
        "Role": place.roles["Reader"], "CopySource": f"{place.bucket}/before", "Policy": _EVERYONE,
        "PolicyDocument": _IDENTITY, "AssumeRolePolicyDocument": _trusting(place.admin_role),
        "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess",
        "PermissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess",
        "AliasName": "alias/mine", "ReplicaRegion": "eu-west-1", "DestinationKeyId": place.own_key,
    }  # fmt: skip
    if name in known and shape.type_name == "string":
        return known[name]
    number, length = shape.metadata.get("min", 1), max(int(shape.metadata.get("min", 1)), 4)
    simple = {
        "blob": b"x" * 32, "boolean": True, "timestamp": "2030-01-01T00:00:00Z", "double": 1.0, "float": 1.0,
        "integer": number, "long": number, "string": (getattr(shape, "enum", None) or ["a" * length])[0],
    }  # fmt: skip
    if shape.type_name == "structure":
        return {member: _value(shape.members[member], member, place) for member in shape.required_members}
    if shape.type_name in {"list", "map"}:
        inner = shape.member if shape.type_name == "list" else shape.value
        return [_value(inner, name, place)] if shape.type_name == "list" else {"a": _value(inner, name, place)}
    return simple[shape.type_name]


def _send(place: Deployment, attempt: Attempt) -> None:
    client = place.administrator.client(attempt.service, config=_ONCE)
    method = botocore.xform_name(attempt.operation)
    try:
        answer = getattr(client, method)(**attempt.request)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code"))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        denied = "AccessDenied" in code or "not authorized" in str(error)
        attempt.outcome = "denied" if denied else "not built" if code in _NOT_BUILT or status == 501 else "refused"
    except BotoCoreError as error:
        attempt.outcome = f"not sent: {type(error).__name__}"
    except Exception as error:  # noqa: BLE001 - a response that cannot be parsed is an outcome
        attempt.outcome = f"not parsed: {type(error).__name__}"
    else:
        attempt.outcome = "accepted"
        if MARKER in _flat(answer):
            attempt.read.append("in the response")


def _flat(value: Any) -> bytes:
    if isinstance(value, Mapping):
        return b"".join(map(_flat, value.values()))
    if isinstance(value, list | tuple):
        return b"".join(map(_flat, value))
    if hasattr(value, "read"):
        return bytes(value.read())
    if hasattr(value, "__iter__") and not isinstance(value, str | bytes):
        return b"".join(map(_flat, value))
    return value if isinstance(value, bytes) else str(value).encode()


def run(
    aws: LocalAws, *, services: Sequence[str] = SERVICES, sample: int | None = None, seed: int = 20261126
) -> list[Attempt]:
    """Try every operation, or ``sample`` requests and one that lets content be read; return what came of each."""
    number, tried = 0, []
    place = Deployment(aws, str(number))
    planned = list(attempts(place))
    everything = range(len(planned))
    chosen = set(everything if sample is None else random.Random(seed).sample(everything, sample))
    for index in everything:
        attempt = planned[index]
        if attempt.service not in services or (index not in chosen and attempt.name != _ALWAYS):
            continue
        _send(place, attempt)
        attempt.read += place.readable()
        attempt.breaks = not place.works()
        tried.append(attempt)
        if attempt.read or attempt.breaks:
            place.close()
            number += 1
            place = Deployment(aws, str(number))
            planned = list(attempts(place))
    return tried


@dataclass
class Pairs:
    """What came of the pairs.

    Attributes:
        left: The ordered pairs that were not sent yet.
        sent: How many were.
        without_upload: How many were sent where the last look was without an upload, as that was refused.
        deployments: How many deployments that took.
        read: By pair, how content was read; a pair that reads was sent in a deployment of its own.
        unexplained: Sequences after which content was read, and no pair with the last of which reads it alone.
    """

    left: set[tuple[int, int]]
    sent: int = 0
    without_upload: int = 0
    deployments: int = 0
    read: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    unexplained: list[str] = field(default_factory=list)

    @contextmanager
    def deployed(self, aws: LocalAws) -> Iterator[tuple[Deployment, list[Attempt]]]:
        """Yield a new deployment, and every attempt on it."""
        self.deployments += 1
        place = Deployment(aws, f"Pairs{self.deployments}")
        yield place, list(attempts(place))
        place.close()


def run_pairs(
    aws: LocalAws, tried: Sequence[Attempt], said: Callable[[str], None], part: tuple[int, int] = (1, 1)
) -> Pairs:
    """Send every ordered pair of the changes in ``tried``, which is the result of ``run`` with everything, or a part.

    Changes that break nothing share two deployments, one for each order. One that breaks the deployment follows all
    of these in one, is followed by all of them in another, and meets each other breaking one alone. What was refused
    alone follows the changes.
    """
    refused = [index for index, it in enumerate(tried) if it.was_refused]
    gentle = [index for index, it in enumerate(tried) if it.changes and not it.breaks]
    breaking = [index for index, it in enumerate(tried) if it.changes and it.breaks]
    orders = [[*gentle, *refused], gentle[::-1]]
    orders += [order for one in breaking for order in ([*gentle, one], [one, *gentle], [one, *refused])]
    orders += [list(pair) for pair in permutations(breaking, 2)]
    changes = [*gentle, *breaking]
    everything = set(permutations(changes, 2)) | set(product(changes, refused))
    first, parts = part
    mine = [it for number, it in enumerate(orders) if number % parts == first - 1]
    found = Pairs(left=set().union(*_shares(orders, everything)[first - 1 :: parts]))
    said(f"{len(everything)} pairs, {len(found.left)} of them in part {first} of {parts}")
    for number, order in enumerate(mine, 1):
        _sequence(aws, order, found)
        said(
            f"{number} of {len(mine)} orders: {found.sent} pairs, {len(found.read)} read, "
            f"{found.without_upload} without an upload, {len(found.left)} left"
        )
    return found


def _shares(orders: Sequence[Sequence[int]], pairs: set[tuple[int, int]]) -> list[set[tuple[int, int]]]:
    """Return for each order the pairs that it is the first to hold."""
    left, shares = set(pairs), []
    for order in orders:
        shares.append(set(combinations(order, 2)) & left)
        left -= shares[-1]
    return shares


def _sequence(aws: LocalAws, order: Sequence[int], found: Pairs) -> None:
    """Send what is left of the pairs of an order in one deployment; after a pair that reads, the rest without it."""
    if not found.left & set(combinations(order, 2)):
        return
    sent: list[int] = []
    with found.deployed(aws) as (place, planned):
        for index in order:
            _send(place, planned[index])
            pairs = {(earlier, index) for earlier in sent} & found.left
            # What is refused changes nothing; should it, the end shows it. The first look tells whether uploads go on.
            looks = not sent or index == order[-1] or (pairs and planned[index].outcome == "accepted")
            read = [*planned[index].read, *(place.readable() if looks else [])]
            if read:
                break
            found.left -= pairs
            found.sent += len(pairs)
            found.without_upload += 0 if place.uploaded else len(pairs)
            sent.append(index)
        else:
            return
    reads = _explain(aws, sent, index, found)
    found.left -= pairs if reads is None else {(reads, index)}
    for without in (index, reads):
        if without is not None:
            _sequence(aws, [one for one in order if one != without], found)


def _explain(aws: LocalAws, sent: Sequence[int], index: int, found: Pairs) -> int | None:
    """Return the change that lets content be read together with ``index`` alone, the latest first."""
    for one in reversed(sent):
        with found.deployed(aws) as (place, planned):
            for each in (one, index):
                _send(place, planned[each])
            read = [*planned[one].read, *planned[index].read, *place.readable()]
        if read:
            found.sent += 1
            found.read[planned[one].name, planned[index].name] = read
            return one
    found.unexplained.append(" > ".join(planned[each].name for each in (*sent, index)))
    return None


def unexpected(tried: Sequence[Attempt]) -> list[str]:
    """Return what was read by an operation that the table does not name."""
    return [f"{it.name}: {', '.join(it.read)}" for it in tried if it.read and it.name not in TABLE]


def main() -> None:
    """Run everything and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.local.every_action", description=__doc__)
    parser.add_argument("--sample", type=int, help="that many requests only")
    parser.add_argument("--pairs", action="store_true", help="every ordered pair of accepted changes as well")
    parser.add_argument("--service", action="append", choices=SERVICES, help="this one only; may be repeated")
    parser.add_argument("--part", type=_part, default=(1, 1), help="of the pairs, such as 2/3: the second of three")
    given = parser.parse_args()
    if given.pairs and (given.service or given.sample):
        parser.error("--pairs needs every operation: leave --sample and --service out")
    services = given.service or SERVICES
    with LocalAws.start() as aws:
        tried = run(aws, services=services, sample=given.sample)
        _print(tried)
        pairs = run_pairs(aws, tried, partial(print, flush=True), given.part) if given.pairs else None
    if pairs is not None:
        print(f"pairs: {pairs.sent} in {pairs.deployments} deployments, {len(pairs.left)} not sent")
        print(f"{pairs.without_upload} of them where an upload was refused at the last look")
        for names, how in sorted(pairs.read.items()):
            print("content read:", " > ".join(names), how, "-- NOT IN THE TABLE")
        for sequence in pairs.unexplained:
            print("content read after", sequence)
    more = pairs is not None and (pairs.unexplained or pairs.read)
    sys.exit(1 if unexpected(tried) or more else 0)


def _part(text: str) -> tuple[int, int]:
    first, parts = map(int, text.split("/"))
    if not 1 <= first <= parts:
        raise ValueError(text)
    return first, parts


def _print(tried: Sequence[Attempt]) -> None:
    for service in dict.fromkeys(it.service for it in tried):
        mine = [it for it in tried if it.service == service]
        counts = Counter(it.outcome.partition(":")[0] for it in mine)
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
        print(f"{service}: {len({it.operation for it in mine})} operations, {len(mine)} requests: {outcomes}")
    for it in tried:
        if it.read:
            print("content read:", it.name, it.read, "--", TABLE.get(it.name, "NOT IN THE TABLE"))
    changes = [it for it in tried if it.changes]
    print(f"{len(changes)} changes let nothing be read, {sum(it.breaks for it in changes)} break", flush=True)


if __name__ == "__main__":
    main()
