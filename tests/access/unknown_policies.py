"""What a substitution of unknown values allows must be listed as possible before it.

``python -m tests.access.unknown_policies 5000 [SEED]`` runs many; a miss prints its seed, which makes the case again.
The substituted policies are evaluated strictly, without the reader and without discovered conditions.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kms_patterns.access.evaluate.conditions import holds
from kms_patterns.access.evaluate.evaluation import evaluate
from kms_patterns.access.evaluate.expressions import Condition, Leaf
from kms_patterns.access.evaluate.simulator import Simulator, simulator
from kms_patterns.access.model import Model
from kms_patterns.access.read.reader import read_model
from kms_patterns.access.unknowns.symbols import UNKNOWN
from tests.access.random_templates import (
    ACCOUNTS,
    ACTIONS,
    EVERYTHING,
    OTHERS,
    REGION,
    ROLES,
    VIA,
    Case,
    document,
    key_arn,
)

Acting = tuple[tuple[str, str], dict[str, Any], dict[str, str]]
"""A principal with what its own policies are, the policy, and what is known of its requests."""


def random_model(case: Case, folder: Path) -> Model:
    """Return the model of a case's assembly, written to ``folder``."""
    for name, template in case.templates.items():
        (folder / f"{name}.template.json").write_text(json.dumps(template))
    stacks = {
        name: {
            "type": "aws:cloudformation:stack",
            "environment": (
                "aws://unknown-account/unknown-region"
                if case.agnostic and name == "One"
                else f"aws://{account}/{REGION}"
            ),
            "properties": {"templateFile": f"{name}.template.json"},
        }
        for name, account in ACCOUNTS.items()
    }
    (folder / "manifest.json").write_text(json.dumps({"version": "38.0.0", "artifacts": stacks}))
    return read_model(folder)


def misses(seed: int, running: Simulator, folder: Path, *, substitutions: int = 3) -> Iterator[str]:
    """Yield what is allowed after a substitution and is not possible before it, as text."""
    case = Case(seed)
    model = random_model(case, folder)
    possible: dict[tuple[str, str], list[tuple[str, Condition]]] = {}
    for finding in evaluate(model, running).findings:
        place = finding.request.resource.id, finding.action.name
        possible.setdefault(place, []).append((finding.request.principal.id, finding.condition))
    for _ in range(substitutions):
        given = case.substitution()
        yield from _misses_of(case, given, model, possible, running)


def _misses_of(
    case: Case,
    given: Mapping[str, str],
    model: Model,
    possible: Mapping[tuple[str, str], Sequence[tuple[str, Condition]]],
    running: Simulator,
) -> Iterator[str]:
    requests = list(_requests(case, given))
    table, messages = [], []
    for _, _, message in requests:
        numbers = []
        for kind, text in ((("identity", message["identity"])), (("resource", message["resourcePolicy"]))):
            numbers.append(len(table))
            table.append({"kind": kind, "document": text})
        messages.append({**message, "identity": [numbers[0]], "resourcePolicy": numbers[1]})
    invalid = running.ask({"policies": table})["invalid"]
    truth: dict[tuple[Leaf, str], bool] = {}
    for (place, who, _), message, answer in zip(requests, messages, running.ask_all(messages), strict=True):
        if {str(message["identity"][0]), str(message["resourcePolicy"])} & set(invalid):
            continue
        for action in answer["allowed"]:
            listed = possible.get((place, action), [])
            context = message["context"]
            names = _names(who, message["account"], given)
            if not any(name in names and _possible(condition, context, running, truth) for name, condition in listed):
                yield f"{who} {action} on {place} with {context.get('kms:ViaService')} and {dict(given)}"


def _requests(case: Case, given: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, str], dict[str, Any]]]:
    """Yield resource id, principal with ``all`` or ``none`` of IAM or ``own``, and a strict request."""
    for stack in ACCOUNTS:
        account = given[f"{stack}.AWS::AccountId"]
        for name in ("Key", *ROLES):
            properties = case.templates[stack]["Resources"][name]["Properties"]
            raw = properties["KeyPolicy" if name == "Key" else "AssumeRolePolicyDocument"]
            arn = key_arn(stack, given) if name == "Key" else f"arn:aws:iam::{account}:role/{name}"
            for who, identity, context in _principals(case, given):
                if who[0] != arn:
                    facts = {**context, "aws:ResourceAccount": account}
                    if name == "Key":
                        facts["kms:CallerAccount"] = context["aws:PrincipalAccount"]
                    via = case.random.choice(VIA)
                    yield (
                        f"{stack}/{name}",
                        who,
                        {
                            "principal": who[0],
                            "resource": arn,
                            "account": account,
                            "identity": identity,
                            "boundaries": None,
                            "resourcePolicy": document(raw, stack, given),
                            "blockPublicAccess": False,
                            "context": {**facts, **({"kms:ViaService": via} if via and name == "Key" else {})},
                            "known": [],
                            "mode": "Strict",
                            "actions": list(ACTIONS if name == "Key" else ("sts:AssumeRole",)),
                            "each": "alone",
                        },
                    )


def _principals(
    case: Case, given: Mapping[str, str]
) -> Iterator[tuple[tuple[str, str], dict[str, Any], dict[str, str]]]:
    for stack in ACCOUNTS:
        account = given[f"{stack}.AWS::AccountId"]
        for role in ROLES:
            properties = case.templates[stack]["Resources"][role]["Properties"]
            tags = {f"aws:PrincipalTag/{tag['Key']}": tag["Value"] for tag in properties.get("Tags", ())}
            own = document(properties["Policies"][0]["PolicyDocument"], stack, given)
            yield (f"arn:aws:iam::{account}:role/{role}", "own"), own, _facts(account, role) | tags
        for kind, policy in (("all", EVERYTHING), ("none", {"Version": "2012-10-17", "Statement": []})):
            yield (f"arn:aws:iam::{account}:role/ci", kind), policy, _facts(account, "ci")
    for account in set(OTHERS) - {given[f"{stack}.AWS::AccountId"] for stack in ACCOUNTS}:
        yield (f"arn:aws:iam::{account}:role/x", "all"), EVERYTHING, _facts(account, "x")


def _facts(account: str, role: str) -> dict[str, str]:
    return {
        "aws:PrincipalArn": f"arn:aws:iam::{account}:role/{role}",
        "aws:PrincipalAccount": account,
        "aws:PrincipalType": "AssumedRole",
        "aws:PrincipalIsAWSService": "false",
    }


def _names(who: tuple[str, str], owner: str, given: Mapping[str, str]) -> set[str]:
    """Return the ids under which a concrete principal may be listed at a resource of the account ``owner``."""
    arn, kind = who
    account, role = arn.split(":")[4], arn.rpartition("/")[2]
    here = {given[f"{stack}.AWS::AccountId"]: stack for stack in ACCOUNTS}.get(account)
    if kind == "own":
        return {f"{here}/{role}"}
    meant = {arn, account, role, f"arn:aws:iam::{account}:root", "*"}
    symbols = {f"<{name}>" for name, value in given.items() if value in meant}
    symbols |= {"<account>"} if account == given["One.AWS::AccountId"] else set()
    spelled = {arn, *(arn.replace(account, name, 1) for name in symbols)}
    spelled |= {text.replace(f"/{role}", f"/{name}") for text in spelled for name in symbols}
    found = {*spelled, *(f"account {name}" for name in {account, *symbols}), *(f"principal {name}" for name in symbols)}
    if account == owner and kind == "none":
        return found | {f"{name} by this policy alone" for name in spelled} | {"role without any policy"}
    return found | ({"account administrator"} if account == owner else {"anyone outside"})


def _possible(
    condition: Condition, context: Mapping[str, str], running: Simulator, truth: dict[tuple[Leaf, str], bool]
) -> bool:
    """Return whether a condition may hold in a context, whatever its propositions and unknown values come to."""

    def leaf(item: Leaf) -> bool:
        if item.key.startswith(UNKNOWN) or any("<" in value for value in item.values):
            return True
        place = item, json.dumps(context)
        if place not in truth:
            asked = {"op": item.op, "key": item.key, "values": list(item.values), "context": dict(context)}
            truth[place] = running.ask({"leaves": [asked]})["matches"][0]
        return truth[place]

    return holds(condition, leaf)


def main() -> None:
    """Run many cases from a seed on, and exit with 1 at a miss."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    found = 0
    with simulator() as running, tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            for text in misses(seed, running, Path(folder)):
                found += 1
                print(f"seed {seed}: {text}")
    print(f"{count} cases from seed {first}: {found} misses")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
