"""No request is answered with an internal error, spoils a key or is allowed where the simulator denies: seeded."""

import base64
import json
import random
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape
from ministack.services import iam
from ministack.services import kms as emulated

from kms_patterns.local import LocalAws
from kms_patterns.local.server.kms import kms_service
from kms_patterns.local.server.kms.condition_values import condition_values
from kms_patterns.local.server.kms.kms_errors import KmsError
from kms_patterns.local.server.kms.permissions import PERMISSIONS
from kms_patterns.local.server.kms.service_model import kms_model, parsed
from tests.local.conftest import ACCOUNT, ROOT, USER, KmsInProcess, caller, kms_in_process, policy
from tests.local.test_policies import theirs

SEED, EACH = 20261125, 40
MODELS = {
    "cloudformation": "cloudformation", "dynamodb": "dynamodb", "events": "events", "iam": "iam", "logs": "logs",
    "secretsmanager": "secretsmanager", "sns": "sns", "sqs": "sqs", "ssm": "ssm", "states": "stepfunctions",
    "sts": "sts",
}  # fmt: skip
JUNK = (
    None,
    True,
    -1,
    10**20,
    1.5,
    "",
    "x",
    "é" * 3,
    "a" * 300,
    "\x00",
    [],
    {},
    [None],
    {"a": None},
    [[1]],
    "{",
    "<a/>",
)


def made(chance: random.Random, model: dict[str, Any], shape: str, depth: int = 0) -> Any:
    """Return a value of a shape, in which a third of the members are of another."""
    described = model["shapes"][shape]
    if depth > 3 or (depth and chance.random() < 0.3):
        return chance.choice(JUNK)
    if described["type"] == "structure":
        members = described.get("members", {}).items()
        return {
            name: made(chance, model, member["shape"], depth + 1) for name, member in members if chance.random() < 0.6
        }
    if described["type"] == "list":
        return [made(chance, model, described["member"]["shape"], depth + 1)]
    return chance.choice(described.get("enum") or JUNK)


def flat(value: Any, name: str = "") -> dict[str, str]:
    """Return nested members as the query protocol writes them."""
    if isinstance(value, dict):
        parts = [flat(item, f"{name}.{key}" if name else key) for key, item in value.items()]
    elif isinstance(value, list):
        parts = [flat(item, f"{name}.member.{number}") for number, item in enumerate(value, 1)]
    else:
        return {name: value if isinstance(value, str) else json.dumps(value)} if name else {}
    return {key: item for part in parts for key, item in part.items()}


@pytest.mark.parametrize(("service", "name"), MODELS.items(), ids=MODELS.keys())
def test_answers_of_random_requests_are_typed(aws: LocalAws, service: str, name: str) -> None:
    chance, model = random.Random(f"{SEED} {service}"), Loader().load_service_model(name, "service-2")
    trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(aws.ca_bundle)))
    opener, session = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted), aws.session()
    credentials, failed = Credentials(session.access_key_id, session.secret_access_key), {}
    for _ in range(EACH):
        operation = chance.choice(sorted(model["operations"]))
        shape = model["operations"][operation].get("input", {}).get("shape")
        content = made(chance, model, shape) if shape else {}
        if model["metadata"]["protocol"] == "json":
            target = f"{model['metadata']['targetPrefix']}.{operation}"
            headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
            body = json.dumps(content).encode() if chance.random() < 0.95 else b"\xff"
        else:
            headers = {"content-type": "application/x-www-form-urlencoded"}
            form = {"Action": operation, "Version": model["metadata"]["apiVersion"]}
            body = urlencode(form | flat(content)).encode()
        signed = AWSRequest(method="POST", url=aws.endpoint_url + "/", data=body, headers=headers)
        SigV4Auth(credentials, service, aws.region).add_auth(signed)
        request = urllib.request.Request(str(signed.url), body, dict(signed.headers), method="POST")
        try:
            opener.open(request, timeout=20).close()
        except urllib.error.HTTPError as refused:
            answer = refused.read()
            if refused.code == 500 or (refused.code != 501 and not answer):
                failed[operation] = answer[:200]
    assert failed == {}


MODEL = kms_model()
OPERATIONS = sorted(PERMISSIONS)
WRONG = [
    None, True, 7, -1, 2**40, 1.5, "", "x", "x" * 9000, "\ud800", [], ["x"], {}, {"a": "b"}, [[[]]], [None], {"a": 1},
]  # fmt: skip
# RSA keys take a second each to make, and a key that is gone answers all alike.
RARE = {"CreateKey", "DisableKey", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext", "ScheduleKeyDeletion"}
OFTEN = ["CreateGrant", "Decrypt", "Encrypt", "ReEncrypt", "RetireGrant"]
# Codes that the API reference lists under "Common errors" and botocore's model does not.
COMMON = {"AccessDeniedException", "ValidationException", "SerializationException", "NotAuthorizedException"}
CODES = {shape.error_code for shape in map(MODEL.shape_for, MODEL.shape_names) if shape.metadata.get("exception")}  # type: ignore[attr-defined]
LINES: list[tuple[str, list[str], list[str]]] = [
    ("kms:EncryptionContext:tenant", ["a", "b"], ["StringEquals", "StringNotEquals", "StringEqualsIfExists"]),
    ("kms:EncryptionContextKeys", ["tenant", "x"], ["ForAllValues:StringEquals", "ForAnyValue:StringEquals"]),
    ("kms:ViaService", ["s3.us-east-1.amazonaws.com"], ["StringEquals", "StringNotEquals", "Null"]),
    ("kms:CallerAccount", [ACCOUNT, "1" * 12], ["StringEquals", "StringNotEquals"]),
    ("kms:GrantOperations", ["Decrypt", "Encrypt"], ["ForAllValues:StringEquals"]),
    ("kms:GrantIsForAWSResource", ["true", "false"], ["Bool", "BoolIfExists"]),
    ("kms:RequestAlias", ["alias/a", "alias/o"], ["StringEquals", "StringNotEquals", "StringLikeIfExists", "Null"]),
    ("aws:TagKeys", ["team", "x"], ["ForAllValues:StringEquals", "ForAnyValue:StringEquals"]),
    ("aws:RequestTag/team", ["blue", "red"], ["StringEquals", "StringEqualsIfExists"]),
    ("aws:PrincipalArn", [USER, ROOT], ["ArnEquals", "ArnNotEquals"]),
]  # fmt: skip


@dataclass
class World:
    """What exists, to be named in requests, and every decision that was made."""

    kms: KmsInProcess
    keys: list[str]
    ciphertexts: list[str]
    tokens: list[str] = field(default_factory=lambda: ["none"])
    decided: list[dict[str, Any]] = field(default_factory=list)

    def value(self, rng: random.Random, name: str, shape: Shape) -> Any:
        known: dict[str, list[Any]] = {
            "KeyId": self.keys, "TargetKeyId": self.keys, "SourceKeyId": self.keys, "DestinationKeyId": self.keys,
            "CiphertextBlob": self.ciphertexts, "AliasName": ["alias/a", "alias/n1", "alias/n2", "alias/aws/x", "n"],
            "GranteePrincipal": [USER, ROOT, "*"], "RetiringPrincipal": [USER, ROOT], "Policy": [POLICY, "{", "[]"],
            "GrantTokens": [[], self.tokens[-1:], ["none"]], "GrantToken": self.tokens,
            "TagKey": ["team", "aws:x", "x"], "GrantId": ["0" * 64, "x"],
            "ReplicaRegion": ["eu-west-1", "xx-north-9"], "PrimaryRegion": ["eu-west-1"],
        }  # fmt: skip
        if name in known:
            return rng.choice(known[name])
        return self.generated(rng, shape)

    def generated(self, rng: random.Random, shape: Shape) -> Any:
        if isinstance(shape, StructureShape):
            chosen = [name for name in shape.members if name in shape.required_members or rng.random() < 0.3]
            return {name: self.value(rng, name, shape.members[name]) for name in chosen}
        if isinstance(shape, ListShape):
            return [self.generated(rng, shape.member) for _ in range(rng.randint(0, 3))]
        if isinstance(shape, MapShape):
            return {"tenant": rng.choice(["a", "b"])} if rng.random() < 0.8 else {}
        if isinstance(shape, StringShape):
            return rng.choice(shape.enum) if shape.enum else rng.choice(["x", "team", "a1"])
        least, most = shape.metadata.get("min", 1), shape.metadata.get("max", 64)
        values: dict[str, Any] = {
            "integer": rng.choice([least, most, least - 1, 32]), "boolean": rng.random() < 0.3,
            "timestamp": rng.choice([0, 4e9, 1e12]),
            "blob": base64.b64encode(rng.randbytes(rng.choice([1, 32, 64]))).decode(),
        }  # fmt: skip
        return values[shape.type_name]


POLICY = policy({"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"})
CHANGES: dict[str, dict[str, Any]] = {
    "TagResource": {"Tags": [{"TagKey": "t", "TagValue": ""}]}, "UntagResource": {"TagKeys": ["t"]}, "EnableKey": {},
    "PutKeyPolicy": {"Policy": POLICY}, "Encrypt": {"Plaintext": "eA=="},
}  # fmt: skip
IN_CONTEXT = {
    "Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext",
    "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext",
}  # fmt: skip
STATES = {"KMSInvalidStateException", "InvalidKeyUsageException", "DisabledException"}


@pytest.fixture
def world(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with kms_in_process(tmp_path / "calls") as kms:
        monkeypatch.setitem(iam._users, "ann", {"Arn": USER})
        kinds: list[dict[str, Any]] = [
            {}, {"MultiRegion": True}, {"Origin": "EXTERNAL"}, {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"},
            {"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"}, {"KeySpec": "ML_DSA_44", "KeyUsage": "SIGN_VERIFY"},
            {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"},
            {"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"},
        ]  # fmt: skip
        keys = [kms.key(**kind) for kind in kinds]
        for name, key in {"a": keys[0], "o": keys[1]}.items():
            kms.answer("CreateAlias", AliasName=f"alias/{name}", TargetKeyId=key)
        blob = {"Plaintext": "eA==", "EncryptionContext": {"tenant": "a"}}
        made = World(kms, keys, [kms.answer("Encrypt", KeyId=key, **blob)["CiphertextBlob"] for key in keys[:2]])
        made.keys += [keys[0].rpartition("/")[2], "alias/a", "alias/none", "x", keys[0][:-1] + "0"]
        monkeypatch.setattr(kms_service, "decide_target", _noting(kms_service.decide_target, made))
        yield made


def _noting(decide: Any, world: World) -> Any:
    def noting(call: Any, target: Any) -> Any:
        decision = decide(call, target)
        if call.caller.kind == "User" and target.key and target.action not in {"kms:CreateGrant", "kms:RetireGrant"}:
            key_policy = json.loads(target.key["Policy"])
            key_policy["Statement"] += _as_statements(target.key["Arn"])
            given = condition_values(call, target).items()
            found = {key: value() if callable(value) else value for key, value in given}
            values = {key: value for key, value in found.items() if value is not None}
            world.decided.append({
                "principal": USER, "action": target.action, "resource": target.resource, "allowed": decision.allowed,
                "context": {"aws:PrincipalArn": USER} | {key: _strings(value) for key, value in values.items()},
                "identity": [{"Version": "2012-10-17", "Statement": [it.body for it in call.caller.identity]}],
                "resource_policy": key_policy, "boundary": None, "session": None, "reason": decision.reason,
            })  # fmt: skip
        return decision

    return noting


def _as_statements(key: str) -> Iterator[dict[str, Any]]:
    """Yield what the grants on a key would be in its policy: the simulator has no grants."""
    for grant in emulated._grants.values():
        constraints = grant.get("Constraints") or {}
        if grant["KeyId"] != key or "GranteePrincipal" not in grant or "SourceArn" in constraints:
            continue
        operations = set(grant["Operations"]) - {"CreateGrant", "RetireGrant"}
        named = {"Effect": "Allow", "Principal": {"AWS": grant["GranteePrincipal"]}, "Resource": "*"}
        free = [f"kms:{name}" for name in sorted(operations - IN_CONTEXT)]
        bound = [f"kms:{name}" for name in sorted(operations & IN_CONTEXT)]
        yield from [named | {"Action": free}] if free else []
        yield from [named | {"Action": bound, "Condition": _as_condition(constraints)}] if bound else []


def _as_condition(constraints: dict[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
    pairs = {**constraints.get("EncryptionContextSubset", {}), **constraints.get("EncryptionContextEquals", {})}
    condition: dict[str, dict[str, Any]] = {
        "StringEquals": {f"kms:EncryptionContext:{name}": value for name, value in pairs.items()}
    }
    equal = constraints.get("EncryptionContextEquals")
    if equal is not None:
        keys = {"kms:EncryptionContextKeys": sorted(equal)} if equal else {}
        condition |= {"ForAllValues:StringEquals": keys} if equal else {}
        condition |= {} if equal else {"Null": {"kms:EncryptionContextKeys": "true"}}
    return {operator: block for operator, block in condition.items() if block}


def _strings(value: Any) -> Any:
    if isinstance(value, list):
        return [str(it) for it in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def _broken(rng: random.Random, request: dict[str, Any]) -> Any:
    chance = rng.random()
    if request and chance < 0.25:
        request[rng.choice(sorted(request))] = rng.choice(WRONG)
    elif request and chance < 0.35:
        del request[rng.choice(sorted(request))]
    elif chance < 0.4:
        request[rng.choice(["keyId", "Unknown", ""])] = rng.choice(WRONG)
    return request


def _caller(rng: random.Random) -> Any:
    if rng.random() < 0.6:
        return caller()
    statements = []
    for _ in range(rng.randint(1, 3)):
        condition: dict[str, Any] = {}
        for _ in range(rng.choice([0, 0, 1, 2])):
            key, values, operators = rng.choice(LINES)
            operator = rng.choice(operators)
            condition.setdefault(operator, {})[key] = rng.choice(["true", "false"] if operator == "Null" else values)
        statements.append({
            "Effect": "Deny" if rng.random() < 0.25 else "Allow", "Resource": "*", "Condition": condition,
            "Action": rng.choice(["kms:*", "kms:*", ["kms:Encrypt", "kms:Describe*"], "kms:ReEncrypt*", "kms:*Grant"]),
        })  # fmt: skip
    return caller(*statements)


def _grant(rng: random.Random, world: World) -> dict[str, Any]:
    kinds = ["EncryptionContextEquals", "EncryptionContextSubset"]
    pairs = rng.choice([{}, {"tenant": "a"}, {"tenant": "b"}])
    return {
        "KeyId": rng.choice(world.keys[:2]), "GranteePrincipal": USER, "RetiringPrincipal": USER,
        "Operations": rng.sample(sorted(IN_CONTEXT | {"DescribeKey"}), 3),
        "Constraints": {rng.choice(kinds): pairs} if rng.random() < 0.7 else {},
    }  # fmt: skip


def _send(world: World, seed: int) -> str:
    rng = random.Random(seed)
    operation = rng.choice(OPERATIONS)
    if operation in RARE and rng.random() < 0.9:
        operation = rng.choice(OFTEN)
    shape = MODEL.operation_model(operation).input_shape
    sent = _grant(rng, world) if operation == "CreateGrant" else world.generated(rng, shape) if shape else {}
    request = _broken(rng, sent)
    by, via = _caller(rng), rng.choice([None, None, "s3"])
    try:
        # As it comes over the wire, with what JSON makes of it.
        found = world.kms.answer(operation, by, via, **parsed(json.dumps(request).encode()))
    except KmsError as refused:
        return refused.code
    world.tokens += [found["GrantToken"]] if "GrantToken" in found else []
    return "OK"


def test_random_requests_are_answered_or_refused_by_type_and_spoil_no_key(
    world: World, pytestconfig: pytest.Config
) -> None:
    codes = [_send(world, seed) for seed in range(pytestconfig.getoption("random_requests"))]
    assert 0.05 < codes.count("OK") / len(codes) < 0.6, "the generator is of use"
    assert len(set(codes)) > 8, sorted(set(codes))
    assert set(codes) <= CODES | COMMON | {"OK"}
    for listed in world.kms.answer("ListKeys", Limit=1000)["Keys"]:
        named = {"KeyId": listed["KeyId"]}
        for operation in ("DescribeKey", "GetKeyPolicy", "ListResourceTags", "ListGrants", "ListAliases"):
            assert world.kms.code(operation, **named) == "OK", (operation, listed)
        for operation, more in CHANGES.items():
            assert world.kms.code(operation, **named, **more) in {"OK", *STATES}, (operation, listed)


def test_nothing_is_allowed_that_an_independent_simulator_denies(world: World, pytestconfig: pytest.Config) -> None:
    for seed in range(pytestconfig.getoption("random_requests")):
        _send(world, seed)
    assert {"grant", "key policy and identity policy"} < {one["reason"] for one in world.decided}
    differing = [
        one for one, allowed in zip(world.decided, theirs(world.decided), strict=True) if one["allowed"] is not allowed
    ]
    assert not differing, f"{len(differing)} of {len(world.decided)}: {json.dumps(differing[:2], indent=1)}"
