"""A sample of the removals, deployed: in the embedded AWS the call is refused, as the evaluation says.

Keys and roles are made with the policies of the synthesized templates; each allowance of a use of the key is then taken
out of the role's policy or of the key's, and the call that it is for is made with the role's credentials.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kms_patterns.access.evaluate.actions import USE_OF_KEY
from kms_patterns.access.findings import as_list
from kms_patterns.access.model import Model, Principal, PrincipalKind, Resource, ResourceKind
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, UNKNOWN_REGION
from kms_patterns.access.read.reader import read_model
from kms_patterns.local import LocalAws

sys.path.insert(0, str(Path(__file__).parent))

from minimality.removals import Removal, reduced
from minimality.scenarios import STACKS, uses_deployed

sys.path.pop(0)

Document = dict[str, Any]
CONTEXT = {"tenant": "blue"}
PARAMETERS = {
    "kms:EncryptionAlgorithm": "EncryptionAlgorithm",
    "kms:MacAlgorithm": "MacAlgorithm",
    "kms:MessageType": "MessageType",
    "kms:SigningAlgorithm": "SigningAlgorithm",
}
"""Condition keys that hold a parameter of the request, with the parameter."""


class Deployed:
    """A role and a key of a template, made in the embedded AWS, and the call that the role makes with the key."""

    def __init__(self, aws: LocalAws, role: Principal, key: Resource, specification: Mapping[str, str]) -> None:
        self._aws, self._iam, self._kms = aws, aws.client("iam"), aws.client("kms")
        self.key = self._kms.create_key(**specification)["KeyMetadata"]["Arn"]
        self._names = {key.arn: self.key, UNKNOWN_ACCOUNT: aws.account, UNKNOWN_REGION: self.key.split(":")[3]}
        self._role = role.arn.rsplit("/", maxsplit=1)[-1]
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        made = self._iam.create_role(RoleName=self._role, AssumeRolePolicyDocument=document)
        self._session = aws.assume(made["Role"]["Arn"], service="ec2.amazonaws.com")

    def of_role(self, document: Document) -> None:
        self._iam.put_role_policy(RoleName=self._role, PolicyName="p", PolicyDocument=self._named(document))

    def of_key(self, document: Document) -> None:
        self._kms.put_key_policy(KeyId=self.key, PolicyName="default", Policy=self._named(document))

    def call(self, action: str, given: Mapping[str, str]) -> str:
        """Return the error's code, or ``ok``; ``given`` are the parameters that the statement demands."""
        kms = self._session.client("kms")
        encryption = {"KeyId": self.key, **(given or {"EncryptionContext": CONTEXT})}
        about = {"KeyId": self.key, "Message": b"m" * 32, **given}
        requests: dict[str, Callable[[], Any]] = {
            "kms:Encrypt": lambda: kms.encrypt(Plaintext=b"x", **encryption),
            "kms:Decrypt": lambda: kms.decrypt(
                CiphertextBlob=self._kms.encrypt(Plaintext=b"x", **encryption)["CiphertextBlob"], **encryption
            ),
            "kms:GenerateDataKey": lambda: kms.generate_data_key(KeySpec="AES_256", **encryption),
            "kms:Sign": lambda: kms.sign(**about),
            "kms:Verify": lambda: kms.verify(Signature=self._kms.sign(**about)["Signature"], **about),
            "kms:GenerateMac": lambda: kms.generate_mac(**about),
            "kms:VerifyMac": lambda: kms.verify_mac(Mac=self._kms.generate_mac(**about)["Mac"], **about),
        }
        try:
            requests[action]()
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "ok"

    def _named(self, document: Document) -> str:
        text = json.dumps(document)
        for made_up, name in self._names.items():
            text = text.replace(made_up, name)
        return text


def allowances(document: Mapping[str, Any], about: str) -> list[tuple[int, str]]:
    """Return place and action of statements that allow a use of a key directly, for one whom they name by ``about``."""
    return [
        (place, action)
        for place, statement in enumerate(document["Statement"])
        for action in as_list(statement["Action"])
        if statement["Effect"] == "Allow"
        and action in USE_OF_KEY
        and about in json.dumps(statement)
        and "kms:ViaService" not in json.dumps(statement)
    ]


def uses_of(model: Model) -> list[tuple[Principal, Resource, int, str]]:
    keys = [item for item in model.resources if item.kind is ResourceKind.KEY]
    roles = [who for who in model.principals if who.kind is PrincipalKind.ROLE]
    return [
        (who, key, place, action)
        for who in roles
        for key in keys
        for place, action in (allowances(who.identity[0].document, key.arn) if who.identity else [])
    ]


@pytest.mark.parametrize("stack", [stack for stack in STACKS if uses_deployed(stack)])
def test_taking_out_an_allowance_in_the_embedded_aws_refuses_the_call(
    stack: str, template_alone: Callable[[str], Document], aws: LocalAws, tmp_path: Path
) -> None:
    template = template_alone(stack)
    path = tmp_path / f"{stack}.template.json"
    path.write_text(json.dumps(template))
    uses = uses_of(read_model(path))
    assert len(uses) == uses_deployed(stack)
    for who, key, place, action in uses:
        assert key.policy
        properties = template["Resources"][key.policy.origin[1] if key.policy.origin else ""]["Properties"]
        names = {name: properties[name] for name in ("KeySpec", "KeyUsage") if name in properties}
        deployed = Deployed(aws, who, key, names)
        of_role, of_key = dict(who.identity[0].document), dict(key.policy.document)
        demanded = of_role["Statement"][place].get("Condition", {}).get("StringEquals", {})
        given = {PARAMETERS[name]: value for name, value in demanded.items() if name in PARAMETERS}
        in_key = [number for number, name in allowances(of_key, who.arn) if name == action]
        assert len(in_key) == 1
        answers = []
        for role_policy, key_policy in (
            (of_role, of_key),
            (without(of_role, place, action), of_key),
            (of_role, without(of_key, in_key[0], action)),
            (of_role, of_key),
        ):
            deployed.of_role(role_policy)
            deployed.of_key(key_policy)
            answers.append(deployed.call(action, given))
        assert answers == ["ok", "AccessDeniedException", "AccessDeniedException", "ok"], (who.id, action)


def without(document: Document, place: int, action: str) -> Document:
    several = isinstance(document["Statement"][place]["Action"], list)
    taken = Removal("", place, "action", (action,)) if several else Removal("", place, "statement")
    return reduced(document, [taken])
