"""TokenIssuer and MacTokenIssuer: tokens are made by one role, with the current key and one algorithm."""

import json
from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms

from kms_patterns import EncryptionKey, MacKey, MacTokenIssuer, SigningKey, TokenIssuer
from kms_patterns.patterns.parts.token_functions import TOKEN_ALGORITHMS
from kms_runtime.tokens import ALGORITHMS

Statements = list[dict[str, Any]]
Synth = Callable[[cdk.Stack], dict[str, Any]]
GIVEN: dict[str, Any] = {"issuer": "https://issuer.example", "audiences": ["orders"]}
SPECS = {
    "ES256": ("ECC_NIST_P256", "ECDSA_SHA_256"),
    "ES384": ("ECC_NIST_P384", "ECDSA_SHA_384"),
    "ES512": ("ECC_NIST_P521", "ECDSA_SHA_512"),
    "EdDSA": ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512"),
    "PS256": ("RSA_2048", "RSASSA_PSS_SHA_256"),
    "RS256": ("RSA_3072", "RSASSA_PKCS1_V1_5_SHA_256"),
}


def key_of(stack: cdk.Stack, name: str, spec: str = "ECC_NIST_P256") -> SigningKey:
    return SigningKey(stack, name, key_spec=getattr(kms.KeySpec, spec))


@pytest.fixture
def keys(stack: cdk.Stack) -> dict[str, SigningKey]:
    return {name: key_of(stack, name) for name in ("Current", "Next", "Previous")}


@pytest.fixture
def issuer(stack: cdk.Stack, keys: dict[str, SigningKey]) -> TokenIssuer:
    others = {"next_keys": [keys["Next"]], "previous_keys": [keys["Previous"]]}
    return TokenIssuer(stack, "Issuer", signing_key=keys["Current"], **others, **GIVEN)


def pins(algorithm: str) -> dict[str, Any]:
    return {"StringEquals": {"kms:SigningAlgorithm": algorithm, "kms:MessageType": "RAW"}}


def own(stack: cdk.Stack, issuer: TokenIssuer, name: str) -> Statements:
    base = issuer.node.find_child(name)
    return [
        {
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Effect": "Allow",
            "Resource": stack.resolve(base.log_group.log_group_arn),
        },
        {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": stack.resolve(base.dead_letters.queue_arn)},
    ]


def environment(template: dict[str, Any], stack: cdk.Stack, function: Any) -> dict[str, Any]:
    logical_id = stack.resolve(function.function_name)["Ref"]
    variables: dict[str, Any] = template["Resources"][logical_id]["Properties"]["Environment"]["Variables"]
    return variables


def test_issuing_role_signs_messages_with_the_current_key_and_nothing_else(
    stack: cdk.Stack, synth: Synth, keys: Any, issuer: TokenIssuer, role_statements: Callable[..., Statements]
) -> None:
    current = stack.resolve(keys["Current"].key_arn)
    assert role_statements(synth(stack), stack, issuer.issue_role) == [
        *own(stack, issuer, "Issue"),
        {"Action": "kms:Sign", "Condition": pins("ECDSA_SHA_256"), "Effect": "Allow", "Resource": current},
    ]


def test_publishing_role_reads_the_public_keys_of_all_and_nothing_else(
    stack: cdk.Stack, synth: Synth, keys: Any, issuer: TokenIssuer, role_statements: Callable[..., Statements]
) -> None:
    arns = [stack.resolve(keys[name].key_arn) for name in ("Current", "Next", "Previous")]
    assert role_statements(synth(stack), stack, issuer.jwks_role) == [
        *own(stack, issuer, "Jwks"),
        {"Action": "kms:GetPublicKey", "Effect": "Allow", "Resource": arns},
    ]


def test_key_policies_name_the_issuing_role_on_the_current_key_only(
    stack: cdk.Stack,
    synth: Synth,
    keys: Any,
    issuer: TokenIssuer,
    key_statements: Callable[..., Statements],
    named: Callable[..., Any],
) -> None:
    template = synth(stack)
    uses = {
        name: key_statements(template, stack.get_logical_id(key.node.default_child))[1:] for name, key in keys.items()
    }
    published = named(issuer.jwks_role, ["kms:GetPublicKey"])
    assert uses == {
        "Current": [named(issuer.issue_role, ["kms:Sign"], pins("ECDSA_SHA_256")), published],
        "Next": [published],
        "Previous": [published],
    }


@pytest.mark.parametrize("algorithm", SPECS)
def test_algorithm_follows_from_the_key_and_is_pinned(
    algorithm: str, stack: cdk.Stack, synth: Synth, role_statements: Callable[..., Statements]
) -> None:
    spec, kms_name = SPECS[algorithm]
    choice = {"rsa_algorithm": algorithm} if spec.startswith("RSA") else {}
    issuer = TokenIssuer(stack, "Issuer", signing_key=key_of(stack, "Key", spec), **choice, **GIVEN)
    template = synth(stack)
    assert issuer.algorithm == algorithm
    assert role_statements(template, stack, issuer.issue_role)[-1]["Condition"] == pins(kms_name)
    assert environment(template, stack, issuer.issue_function)["TOKEN_ALGORITHM"] == algorithm


def test_functions_are_told_what_they_need(stack: cdk.Stack, synth: Synth, keys: Any) -> None:
    rsa = key_of(stack, "Rsa", "RSA_2048")
    issuer = TokenIssuer(
        stack,
        "Issuer",
        signing_key=keys["Current"],
        previous_keys=[rsa],
        issuer="https://issuer.example",
        audiences=["orders", "invoices"],
        required_claims=["tenant"],
        token_lifetime=cdk.Duration.minutes(5),
        max_age=cdk.Duration.minutes(1),
        token_type="at+jwt",
    )
    template = synth(stack)
    current = stack.resolve(keys["Current"].key_arn)
    assert environment(template, stack, issuer.issue_function) == {
        "KEY_ARN": current,
        "TOKEN_ALGORITHM": "ES256",
        "ISSUER": "https://issuer.example",
        "AUDIENCES": '["orders","invoices"]',
        "REQUIRED_CLAIMS": '["tenant"]',
        "TOKEN_LIFETIME": "300",
        "TOKEN_TYPE": "at+jwt",
    }
    published = environment(template, stack, issuer.jwks_function)
    assert published["MAX_AGE"] == "60"
    joined = published["TOKEN_KEYS"]["Fn::Join"][1]
    assert joined == ['{"', current, '":"ES256","', stack.resolve(rsa.key_arn), '":"PS256"}']


def test_address_is_open_to_everybody_and_is_no_door_to_the_issuing_function(
    stack: cdk.Stack, synth: Synth, issuer: TokenIssuer
) -> None:
    template = synth(stack)
    kinds = {item["Type"]: item["Properties"] for item in template["Resources"].values()}
    target = stack.resolve(issuer.jwks_function.function_arn)
    assert kinds["AWS::Lambda::Url"] == {"AuthType": "NONE", "TargetFunctionArn": target}
    permissions = [item for item in template["Resources"].values() if item["Type"] == "AWS::Lambda::Permission"]
    assert {json.dumps(item["Properties"]["FunctionName"]) for item in permissions} == {json.dumps(target)}
    assert json.dumps(stack.resolve(issuer.jwks_url)).endswith('".well-known/jwks.json"]]}')


def test_caller_is_granted_the_issuing_function_and_nothing_on_the_key(
    stack: cdk.Stack, synth: Synth, issuer: TokenIssuer, role: Any, role_statements: Callable[..., Statements]
) -> None:
    client = role("Client")
    issuer.grant_issue(client)
    function = stack.resolve(issuer.issue_function.function_arn)
    assert role_statements(synth(stack), stack, client) == [
        {"Action": "lambda:InvokeFunction", "Effect": "Allow", "Resource": function}
    ]


@pytest.mark.parametrize("position", ["signing_key", "previous_keys", "next_keys"])
def test_hmac_key_is_refused_because_nothing_of_it_may_be_published(position: str, stack: cdk.Stack, keys: Any) -> None:
    secret = MacKey(stack, "Mac")
    given = {"signing_key": keys["Current"], position: secret if position == "signing_key" else [secret]}
    with pytest.raises(TypeError, match="not HMAC keys: an HMAC key is secret, so there is nothing to publish"):
        TokenIssuer(stack, "Issuer", **given, **GIVEN)


def test_encryption_key_is_refused(stack: cdk.Stack) -> None:
    with pytest.raises(TypeError, match=r"=EncryptionKey: .*give an object of type SigningKey"):
        TokenIssuer(stack, "Issuer", signing_key=EncryptionKey(stack, "Data"), **GIVEN)  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", ["ECC_SECG_P256K1"])
def test_key_that_tokens_have_no_algorithm_for_is_refused(spec: str, stack: cdk.Stack) -> None:
    with pytest.raises(ValueError, match="tokens have no algorithm for key spec"):
        TokenIssuer(stack, "Issuer", signing_key=key_of(stack, "Key", spec), **GIVEN)


@pytest.mark.parametrize("size", [44, 65, 87])
def test_ml_dsa_key_signs_tokens_with_its_one_algorithm(size: int, stack: cdk.Stack, synth: Synth) -> None:
    issuer = TokenIssuer(stack, "Issuer", signing_key=key_of(stack, "Key", f"ML_DSA_{size}"), **GIVEN)
    assert issuer.algorithm == f"ML-DSA-{size}"
    text = str(synth(stack))
    assert "'kms:SigningAlgorithm': 'ML_DSA_SHAKE_256'" in text


def test_key_given_twice_is_refused(stack: cdk.Stack, keys: Any) -> None:
    with pytest.raises(ValueError, match="Stack/Current is given twice"):
        TokenIssuer(stack, "Issuer", signing_key=keys["Current"], previous_keys=[keys["Current"]], **GIVEN)


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"issuer": ""}, ValueError, "give an issuer"),
        ({"audiences": []}, ValueError, "at least one audience"),
        ({"audiences": ["orders", ""]}, ValueError, "no empty name"),
        ({"audiences": "orders"}, TypeError, "audiences is the string 'orders'"),
        ({"required_claims": "tenant"}, TypeError, "required_claims is the string 'tenant'"),
        ({"required_claims": ["exp", "sub"]}, ValueError, "required_claims exp, sub: every token has those"),
        ({"token_lifetime": cdk.Duration.hours(25)}, ValueError, "token_lifetime is 90000 s"),
        ({"token_lifetime": cdk.Duration.seconds(0)}, ValueError, "token_lifetime is 0 s"),
        ({"max_age": cdk.Duration.days(2)}, ValueError, "max_age is 172800 s"),
        ({"rsa_algorithm": "RS1"}, ValueError, "rsa_algorithm 'RS1'"),
        ({"token_type": "a b"}, ValueError, "token_type 'a b'"),
        ({"token_type": ""}, ValueError, "token_type ''"),
    ],
)
def test_parameter_that_makes_no_sense_is_refused(
    changes: dict[str, Any], error: type[Exception], reason: str, stack: cdk.Stack, keys: Any
) -> None:
    with pytest.raises(error, match=reason):
        TokenIssuer(stack, "Issuer", signing_key=keys["Current"], **(GIVEN | changes))


def test_policy_without_the_pins_would_be_noticed(
    stack: cdk.Stack, synth: Synth, keys: Any, role: Any, role_statements: Callable[..., Statements]
) -> None:
    careless = role("Careless")
    keys["Current"].grant_sign(careless)
    statements = role_statements(synth(stack), stack, careless)
    assert [statement.get("Condition") for statement in statements] != [pins("ECDSA_SHA_256")]


def test_token_issuer_matches_its_snapshot(
    stack: cdk.Stack, synth: Synth, issuer: TokenIssuer, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    snapshot_of(synth(stack))


MAC_GIVEN: dict[str, Any] = {"issuer": "https://sessions.example", "audiences": ["console"]}


def mac_key_of(stack: cdk.Stack, name: str, spec: str = "HMAC_256") -> MacKey:
    return MacKey(stack, name, key_spec=getattr(kms.KeySpec, spec))


def pin(bits: int) -> dict[str, Any]:
    return {"StringEquals": {"kms:MacAlgorithm": f"HMAC_SHA_{bits}"}}


def kms_statements(statements: Statements) -> Statements:
    return [statement for statement in statements if "kms:" in str(statement["Action"])]


@pytest.mark.parametrize("bits", [256, 384, 512])
def test_each_role_may_do_one_action_with_one_algorithm(
    bits: int,
    stack: cdk.Stack,
    synth: Synth,
    role_statements: Callable[..., Statements],
    key_statements: Callable[..., Statements],
    named: Callable[..., Any],
) -> None:
    key = mac_key_of(stack, "Key", f"HMAC_{bits}")
    issuer = MacTokenIssuer(stack, "Issuer", mac_key=key, **MAC_GIVEN)
    template, arn = synth(stack), stack.resolve(key.key_arn)
    assert issuer.algorithm == f"HS{bits}"
    for role, action in ((issuer.issue_role, "kms:GenerateMac"), (issuer.verify_role, "kms:VerifyMac")):
        base = issuer.node.find_child("Issue" if role is issuer.issue_role else "Verify")
        assert role_statements(template, stack, role) == [
            {
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Effect": "Allow",
                "Resource": stack.resolve(base.log_group.log_group_arn),
            },
            {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": stack.resolve(base.dead_letters.queue_arn)},
            {"Action": action, "Condition": pin(bits), "Effect": "Allow", "Resource": arn},
        ]
    assert key_statements(template)[1:] == [
        named(issuer.issue_role, ["kms:GenerateMac"], pin(bits)),
        named(issuer.verify_role, ["kms:VerifyMac"], pin(bits)),
    ]


def test_previous_key_is_verified_with_its_own_algorithm_and_makes_nothing_new(
    stack: cdk.Stack, synth: Synth, role_statements: Callable[..., Statements]
) -> None:
    current, previous = (
        mac_key_of(stack, "Current"),
        mac_key_of(stack, "Previous", "HMAC_512"),
    )
    issuer = MacTokenIssuer(stack, "Issuer", mac_key=current, previous_keys=[previous], **MAC_GIVEN)
    template = synth(stack)
    arns = [stack.resolve(key.key_arn) for key in (current, previous)]
    assert [s["Resource"] for s in kms_statements(role_statements(template, stack, issuer.issue_role))] == arns[:1]
    assert [
        (s["Resource"], s["Condition"]) for s in kms_statements(role_statements(template, stack, issuer.verify_role))
    ] == [(arns[0], pin(256)), (arns[1], pin(512))]


def test_nothing_is_published(stack: cdk.Stack, synth: Synth) -> None:
    MacTokenIssuer(stack, "Issuer", mac_key=mac_key_of(stack, "Key"), **MAC_GIVEN)
    kinds = {item["Type"] for item in synth(stack)["Resources"].values()}
    assert not kinds & {"AWS::Lambda::Url", "AWS::Lambda::Permission"}


def test_verify_function_knows_what_to_expect(stack: cdk.Stack, synth: Synth) -> None:
    key = mac_key_of(stack, "Key")
    skew = cdk.Duration.seconds(0)
    issuer = MacTokenIssuer(stack, "Issuer", mac_key=key, required_claims=["role"], clock_skew=skew, **MAC_GIVEN)
    function = synth(stack)["Resources"][stack.resolve(issuer.verify_function.function_name)["Ref"]]["Properties"]
    assert function["Handler"] == "kms_runtime.handlers.token_issuer.verify"
    assert function["Environment"]["Variables"] == {
        "ISSUER": "https://sessions.example",
        "AUDIENCES": '["console"]',
        "REQUIRED_CLAIMS": '["role"]',
        "TOKEN_TYPE": "JWT",
        "CLOCK_SKEW": "0",
        "TOKEN_KEYS": {"Fn::Join": ["", ['{"', stack.resolve(key.key_arn), '":"HS256"}']]},
    }


def test_callers_are_granted_one_function_each(
    stack: cdk.Stack, synth: Synth, role: Any, role_statements: Callable[..., Statements]
) -> None:
    issuer = MacTokenIssuer(stack, "Issuer", mac_key=mac_key_of(stack, "Key"), **MAC_GIVEN)
    login, console = role("Login"), role("Console")
    issuer.grant_issue(login)
    issuer.grant_verify(console)
    template = synth(stack)
    for who, function in ((login, issuer.issue_function), (console, issuer.verify_function)):
        assert role_statements(template, stack, who) == [
            {
                "Action": "lambda:InvokeFunction",
                "Effect": "Allow",
                "Resource": stack.resolve(function.function_arn),
            }
        ]


def test_hmac_224_has_no_algorithm_of_tokens(stack: cdk.Stack) -> None:
    with pytest.raises(ValueError, match="tokens have no algorithm for key spec HMAC_224"):
        MacTokenIssuer(stack, "Issuer", mac_key=mac_key_of(stack, "Key", "HMAC_224"), **MAC_GIVEN)


def test_clock_skew_has_a_limit(stack: cdk.Stack) -> None:
    with pytest.raises(ValueError, match="clock_skew is 301 s: give 0 s to 300 s"):
        MacTokenIssuer(
            stack,
            "Issuer",
            mac_key=mac_key_of(stack, "Key"),
            clock_skew=cdk.Duration.seconds(301),
            **MAC_GIVEN,
        )


def test_constructs_and_functions_agree_on_the_algorithms() -> None:
    assert {name: (known.kms_name, known.key_specs) for name, known in TOKEN_ALGORITHMS.items()} == {
        name: (known.kms_name, known.key_specs) for name, known in ALGORITHMS.items()
    }


def test_mac_token_issuer_matches_its_snapshot(
    stack: cdk.Stack, synth: Synth, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    MacTokenIssuer(stack, "Issuer", mac_key=mac_key_of(stack, "Key"), **MAC_GIVEN)
    snapshot_of(synth(stack))
