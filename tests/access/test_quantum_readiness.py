"""What of each key a quantum computer breaks, and in which order to replace it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.access.test_questions import ROOT_ARN, access, key, role, statement


def typed(spec: Any, usage: Any = None) -> dict[str, Any]:
    properties = {"KeySpec": spec} | ({} if usage is None else {"KeyUsage": usage})
    return {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": key()["Properties"]["KeyPolicy"], **properties}}


def test_a_quantum_computer_breaks_confidentiality_first_and_signatures_later(template: Callable[..., Path]) -> None:
    strict = {"Fn::If": ["Strict", "ML_KEM_768", "RSA_2048"]}
    usage = {"Fn::If": ["Strict", "ENCAPSULATE_DECAPSULATE", "ENCRYPT_DECRYPT"]}
    path = template(
        Old=typed("RSA_3072", "ENCRYPT_DECRYPT"),
        Agreed=typed("ECC_NIST_P384", "KEY_AGREEMENT"),
        Curve=typed("ECC_NIST_P256", {"Ref": "Usage"}),
        Signed=typed("ECC_NIST_EDWARDS25519", "SIGN_VERIFY"),
        Either=typed(strict, usage),
        Asked=typed({"Ref": "Spec"}),
        New=typed("RSA_PQC_2030", "SIGN_VERIFY"),
        Dsa=typed("ML_DSA_65", "SIGN_VERIFY"),
        Mac=typed("HMAC_256", "GENERATE_VERIFY_MAC"),
        Plain=key(statement(ROOT_ARN, "kms:GenerateDataKeyPair")),
        Maker=role({"Effect": "Allow", "Action": "kms:GenerateDataKeyPair", "Resource": "*"}),
        Whole={"Type": "AWS::KMS::Key", "Properties": {"Fn::Transform": {"Name": "Foreign"}}},
        Copy={"Type": "AWS::KMS::ReplicaKey", "Properties": {"PrimaryKeyArn": "arn:aws:kms:us-east-1:1:key/mrk-1"}},
        Here={"Type": "AWS::KMS::ReplicaKey", "Properties": {"PrimaryKeyArn": {"Fn::GetAtt": ["Old", "Arn"]}}},
    )
    whole = json.loads(path.read_text()) | {
        "Parameters": {name: {"Type": "String"} for name in ("Spec", "Usage", "Wish")},
        "Conditions": {"Strict": {"Fn::Equals": [{"Ref": "Wish"}, "strict"]}},
    }
    path.write_text(json.dumps(whole))
    done = access("report", str(path), "--crypto", "--format", "json")
    found = {item["key"].split("/")[-1]: item for item in json.loads(done.output)}
    assert {name: item["urgency"] for name, item in found.items()} == {
        **dict.fromkeys(("Old", "Agreed", "Curve", "Either", "Here"), 1),
        **dict.fromkeys(("Asked", "New", "Whole", "Copy"), 2),
        "Signed": 3,
        **dict.fromkeys(("Dsa", "Mac", "Plain"), 4),
    }
    assert found["Plain"]["makes_pairs"] == ["any other role", "one/Maker"]
    text = access(str(path), "--crypto").output.splitlines()
    assert text[0] == "post-quantum readiness: 10 of 13 keys rest, or may rest, on RSA or elliptic curves"
    assert [line[0] for line in text[1:-1] if line[0] != " "] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("word", ["--stack=one", "--fail-on=all", "--format=html", "--action=kms:*"])
def test_the_readiness_report_takes_no_filter(template: Callable[..., Path], word: str) -> None:
    done = access("report", str(template(Old=typed("RSA_3072"))), "--crypto", word)
    assert done.exit_code == 2
    assert "--crypto" in done.output
