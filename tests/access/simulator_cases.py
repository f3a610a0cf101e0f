"""The cases of the simulator's own authors, read by us as templates: what they expect to be allowed must be listed.

``python -m tests.access.simulator_cases FOLDER`` takes a checkout of ``cloud-copilot/iam-simulate``; none is committed.
Each case becomes a stack with its principal and resource. A miss is a request that its authors expect to be allowed and
that the report does not list as possible. Policies of organizations, endpoints and sessions only take away, and are not
read: of a case that one of them decides, only the Allows are compared.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kms_patterns.access.evaluate.evaluation import Finding, evaluate
from kms_patterns.access.evaluate.simulator import Simulator, simulator
from kms_patterns.access.read.assembly import Stack
from kms_patterns.access.read.identifiers import may_be_equal
from kms_patterns.access.read.reader import model_of
from tests.access.unknown_policies import may_hold

_KINDS = {
    "kms": (r"arn:aws:kms:[^:]*:[^:]*:key/([^*]+)()", "AWS::KMS::Key", "KeyPolicy"),
    "s3": (r"arn:aws:s3:::([^/*]+)(?:/(.+))?", "AWS::S3::Bucket", "PolicyDocument"),
    "lambda": (r"arn:aws:lambda:[^:]*:[^:]*:function:([^:*]+)()", "AWS::Lambda::Function", ""),
    "sts": (r"arn:aws:iam::[^:]*:role/([^*]+)()", "AWS::IAM::Role", "AssumeRolePolicyDocument"),
}
_TAKING = ("serviceControlPolicies", "resourceControlPolicies", "endpointPolicies", "sessionPolicy", "resourcePolicies")
_OURS, _THEIRS = "One/Who", "Two/What"


class NotOurs(Exception):
    """The case is about something that the report does not list."""


def judged(case: Mapping[str, Any], running: Simulator) -> str:
    """Return what became of a case: ``as expected``, ``miss``, or ``wider`` where more is possible than they expect.

    Raises:
        NotOurs: It asks about a resource, an action or a principal that the report does not have.
    """
    request = case["request"]
    if "ResourceAccount" in json.dumps(case["expected"].get("ignoredConditions")):
        raise NotOurs("account, which a template knows")
    stacks, key = _stacks(case)
    model = model_of(stacks)
    evaluation = evaluate(model, running)
    kind = next(what.kind for what in model.resources if what.id == _THEIRS)
    known = {action.name.lower() for action in evaluation.catalogue[kind]}
    if request["action"].lower() not in known:
        raise NotOurs("action")
    asker = _asker(request["principal"])
    # What no policy touches is not asked about: it is denied.
    asked = [
        item
        for item in evaluation.requests
        if item.resource.id == _THEIRS and (item.principal.id in asker or item.principal.arn in asker)
    ]
    key = key or ""
    scopes = {it.scope for it in asked if it.scope and may_be_equal(re.sub(r"\$\{[^}]+\}", "*", it.scope), key)}
    wanted = scopes | ({None} if not scopes or "*" in key else set())
    found = [
        finding
        for finding in evaluation.findings
        if finding.request in asked
        and finding.action.name.lower() == request["action"].lower()
        and finding.request.scope in wanted
    ]
    possible = _possible(case, found, running)
    allowed = case["expected"]["response"] == "Allowed"
    if allowed and not possible:
        return "miss"
    return "wider" if possible and not allowed and not any(case.get(name) for name in _TAKING) else "as expected"


def _possible(case: Mapping[str, Any], found: list[Finding], running: Simulator) -> bool:
    if case.get("simulation"):
        return bool(found)  # their discovery leaves conditions out
    who, what = case["request"]["principal"], case["request"]["resource"]
    context = dict(case["request"].get("context", {}))
    if isinstance(who, str) and who.startswith("arn:"):
        account = who.split(":")[4]
        context |= {"aws:PrincipalAccount": account, "kms:CallerAccount": account}
    context |= {"aws:ResourceAccount": what["accountId"]}
    return any(may_hold(finding.condition, context, running, {}) for finding in found)


def _asker(principal: Any) -> set[str]:
    if not isinstance(principal, str):
        return {"anyone outside"}
    return {_OURS, principal} if principal.startswith("arn:") else {principal}


def _stacks(case: Mapping[str, Any]) -> tuple[list[Stack], str | None]:
    """Return the stacks of principal and resource, and the key of the object that is asked for."""
    request = case["request"]
    principal, arn = request["principal"], request["resource"]["resource"]
    expression, kind, member = _KINDS.get(request["action"].split(":")[0], ("$", "", ""))
    match = re.fullmatch(expression, arn)
    if not match or (case.get("resourcePolicy") and not member):
        raise NotOurs("resource")
    policy = case.get("resourcePolicy")
    mine = {"AWS::IAM::Role": "RoleName", "AWS::S3::Bucket": "BucketName", "AWS::Lambda::Function": "FunctionName"}
    what: dict[str, Any] = {"Type": kind, "Properties": {mine[kind]: match[1]} if kind in mine else {}}
    theirs = {"What": what}
    if kind == "AWS::S3::Bucket" and policy:
        theirs["P"] = {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": match[1], member: policy}}
    elif member:
        what["Properties"][member] = policy or {"Version": "2012-10-17", "Statement": []}
    own = _principal(case, principal) if isinstance(principal, str) and principal.startswith("arn:") else {}
    account = principal.split(":")[4] if own else "999999999999"
    home = request["resource"]["accountId"]
    physical = {"What": match[1]} if kind == "AWS::KMS::Key" else {}
    return [_stack("One", account, own), _stack("Two", home, theirs, physical)], match[2] or None


def _principal(case: Mapping[str, Any], arn: str) -> dict[str, Any]:
    named = re.fullmatch(r"arn:aws:(?:iam|sts)::[^:]*:(user|role|assumed-role)(/(?:[^/]+/)*?)([^/]+)(?:/[^/]+)?", arn)
    if not named:
        raise NotOurs("principal")
    kind = "User" if named[1] == "user" else "Role"
    path, _, name = arn.partition(f":{named[1]}")[2].rpartition("/")
    if named[1] == "assumed-role":
        path, name = "", path.strip("/")
    properties: dict[str, Any] = {
        f"{kind}Name": name,
        "Path": f"{path}/",
        "Policies": [{"PolicyName": f"p{number}", "PolicyDocument": it} for number, it in enumerate(_policies(case))],
        "Tags": [
            {"Key": tag.partition("/")[2], "Value": value}
            for tag, value in [*case["request"].get("context", {}).items(), *_left_out(case["expected"])]
            if tag.lower().startswith("aws:principaltag/")
        ],
    }
    found = {"Who": {"Type": f"AWS::IAM::{kind}", "Properties": properties}}
    if case.get("permissionBoundaries"):
        statements = [item for it in case["permissionBoundaries"] for item in _listed(it["Statement"])]
        limit = {"PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}
        found["Limit"] = {"Type": "AWS::IAM::ManagedPolicy", "Properties": limit}
        properties["PermissionsBoundary"] = {"Ref": "Limit"}
    return found


def _left_out(value: Any) -> Iterator[tuple[str, str]]:
    """Yield keys and values of the conditions that a case of discovery leaves out."""
    for item in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _left_out(item)
    if isinstance(value, Mapping) and "key" in value:
        yield value["key"], str(value["values"][0])


def _policies(case: Mapping[str, Any]) -> list[Any]:
    return [item.get("policy", item) for item in case["identityPolicies"]]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _stack(name: str, account: str, resources: dict[str, Any], physical: Mapping[str, str] | None = None) -> Stack:
    sections: dict[str, Any] = {"Parameters": {}, "Mappings": {}, "Conditions": {}, "Outputs": {}}
    template = {**sections, "Resources": resources}
    return Stack(name, name, account, "us-east-1", template, Path(name), {}, physical=physical or {})


def cases(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every case below a folder, with its place."""
    for path in sorted(folder.glob("**/coreEngineTests/**/*.json")):
        for case in json.loads(path.read_text()):
            yield f"{path.name}: {case['name']}", case


def main() -> None:
    """Judge every case, print those that differ and the counts, and exit with 1 at a miss."""
    counted = Counter[str]()
    with simulator() as running:
        for place, case in cases(Path(sys.argv[1])):
            try:
                outcome = judged(case, running)
            except NotOurs as error:
                outcome = f"not listed: another {error}"
            counted[outcome] += 1
            if outcome in {"miss", "wider"}:
                print(f"{outcome}: {place}")
    print(", ".join(f"{count} {outcome}" for outcome, count in counted.most_common()))
    sys.exit(1 if counted["miss"] else 0)


if __name__ == "__main__":
    main()
