"""LocalStack's KMS tests, recorded on AWS, against the embedded AWS: ``python -m tests.conformance FOLDER``.

FOLDER is a checkout of LocalStack's repository; nothing is fetched. ``SUITE_PYTHON`` names an interpreter that has
``localstack-core[runtime]``, ``localstack-snapshot``, ``pytest``, ``pytest-timeout``, ``asn1crypto`` and ``cbor2``.
Prints every difference from what AWS answered, and fails if there is one that is not accounted for.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3.session
import pytest
from localstack.aws import connect
from localstack.testing.aws import util
from localstack_snapshot.snapshots import prototype

from kms_patterns.local import LocalAws

TESTS = Path("tests/aws/services/kms/test_kms.py")
HERE = Path(__file__).parent
# Failures that are not ours, by the part of the test's name that they have in common.
ACCOUNTED = {
    "offline_decrypt_online": "encrypts with OAEP and SHA-256, then asks for SHA-1: no RSA key can decrypt that",
    "test_key_rotations_limits": "recorded when AWS allowed 10 rotations on demand; it allows 25",
    "test_cross_accounts_access": "the embedded AWS has one account, and a symmetric key has no public key",
}


def main() -> None:
    """Run the suite in its own interpreter and print what differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("folder", type=Path, help="a checkout of LocalStack's repository")
    folder = parser.parse_args().folder.resolve()
    if not (folder / TESTS).is_file():
        sys.exit(f"{folder} has no {TESTS}: give a checkout of LocalStack's repository")
    with tempfile.TemporaryDirectory() as work, LocalAws.start() as aws:
        record = Path(work) / "record.jsonl"
        _run(folder, record, _environment(aws))
        lines = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    sys.exit(_report(lines))


def _environment(aws: LocalAws) -> dict[str, str]:
    # An administrator, not the account root: its requests pass through the policies.
    iam = aws.client("iam")
    iam.create_user(UserName="tester")
    iam.attach_user_policy(UserName="tester", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    key = iam.create_access_key(UserName="tester")["AccessKey"]
    given = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    return {name: value for name, value in aws.environment().items() if name != "AWS_SESSION_TOKEN"} | given


def _run(folder: Path, record: Path, environment: dict[str, str]) -> None:
    python = os.environ.get("SUITE_PYTHON", sys.executable)
    path = os.pathsep.join(map(str, (HERE, folder / "localstack-core", folder)))
    command = [python, "-m", "pytest", "-q", "-p", "recording", "-p", "no:cacheprovider", "--timeout", "60",
               "--confcutdir", "tests/aws", str(TESTS)]  # fmt: skip
    settings = {"PYTHONPATH": path, "RECORD": str(record), "TEST_TARGET": "AWS_CLOUD", "SNAPSHOT_UPDATE": "0"}
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment, **settings}, capture_output=True, text=True, check=False
    )
    if not record.exists():
        sys.exit(f"the suite did not run: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def _report(lines: list[dict[str, Any]]) -> int:
    compared: dict[str, list[list[Any]]] = defaultdict(list)
    for line in lines:
        if "snapshot" in line:
            compared[line["test"]] += [[line["snapshot"], *difference] for difference in line["differences"]]
    kinds = {test: sorted({_kind(difference) for difference in found}) for test, found in compared.items()}
    print("| test | snapshot | difference | recorded on AWS | here |\n|---|---|---|---|---|")
    for test, found in compared.items():
        for difference in found:
            if _kind(difference) in {"message", "other"}:
                snapshot, _sign, path, recorded, seen = difference
                print(f"| {test} | {snapshot} | {path} | {_short(recorded)} | {_short(seen)} |")
    differing = [test for test, found in kinds.items() if "other" in found]
    failed = [
        line["test"]
        for line in lines
        if "failed" in line.get("outcome", "") and not compared.get(line["test"]) and not _accounted(line["test"])
    ]
    ended = [line for line in lines if "outcome" in line]
    print(f"\ntests {len(ended)}, with snapshots {len(compared)}, of which agree {len(compared) - len(differing)}")
    print(f"snapshots that differ: {differing}\ntests that fail otherwise: {failed}")
    for part, reason in ACCOUNTED.items():
        print(f"set aside: {part}: {reason}")
    return 1 if differing or failed or not compared else 0


def _accounted(test: str) -> bool:
    return any(part in test for part in ACCOUNTED)


def _kind(difference: list[Any]) -> str:
    _snapshot, sign, path, _recorded, _seen = difference
    if path.endswith("/AWSAccountId"):
        return "account"
    if path.lower().endswith("/message"):
        return "message"
    return "newer member" if sign == "+" and path.endswith("KeyMaterialId") else "other"


def _short(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "/")[:160]


if __name__ == "__main__":
    main()


pytest_plugins = [
    "localstack.testing.pytest.fixtures",
    "localstack_snapshot.pytest.snapshot",
    "localstack.testing.pytest.cloudformation.fixtures",
]
_MARKERS = (
    "aws_validated", "aws_only_localstack", "aws_needs_fixing", "aws_unknown", "aws_manual_setup_required",
    "only_localstack", "multiruntime", "requires_in_process", "requires_docker", "lambda_runtime_update",
    "only_on_amd64", "skip_offline", "resource_heavy", "requires_in_container", "snapshot_skip",
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Know the suite's markers, and use the endpoint's own certificate authority."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    prototype.SnapshotSession._assert_all = _recorded
    made, client = connect.ClientFactory.__init__, boto3.session.Session.client

    def trusting(factory: Any, *arguments: Any, **named: Any) -> None:
        made(factory, *arguments, **named)
        factory._verify = os.environ["AWS_CA_BUNDLE"]

    def without_verify(session: Any, *arguments: Any, **named: Any) -> Any:
        if named.get("verify") is True:
            del named["verify"]
        return client(session, *arguments, **named)

    connect.ClientFactory.__init__ = trusting
    boto3.session.Session.client = without_verify  # type: ignore[method-assign]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Record how each test ended."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call" or report.outcome != "passed":
        reason = "" if report.passed else str(report.longrepr)[-2000:]
        _record({"test": _name(item.nodeid), "outcome": f"{report.when}: {report.outcome}", "reason": reason})


@pytest.fixture(scope="session")
def aws_session() -> Any:
    return util.base_aws_session()


@pytest.fixture(scope="session")
def secondary_aws_session(aws_session: Any) -> Any:
    return aws_session


@pytest.fixture(scope="session")
def aws_client_factory(aws_session: Any) -> Any:
    return util.base_aws_client_factory(aws_session)


@pytest.fixture(scope="session")
def secondary_aws_client_factory(secondary_aws_session: Any) -> Any:
    return util.base_aws_client_factory(secondary_aws_session)


@pytest.fixture(scope="session")
def aws_client(aws_client_factory: Any) -> Any:
    return util.base_testing_aws_client(aws_client_factory)


@pytest.fixture(scope="session")
def secondary_aws_client(secondary_aws_client_factory: Any) -> Any:
    return util.base_testing_aws_client(secondary_aws_client_factory)


def _name(node: str) -> str:
    return node.split("::", 1)[1]


def _record(line: dict[str, Any]) -> None:
    with Path(os.environ["RECORD"]).open("a", encoding="utf-8") as record:
        record.write(json.dumps(line, default=str) + "\n")


def _recorded(session: Any, verify_test_case: bool = True, skip_verification_paths: Any = None) -> list[Any]:
    """Compare as LocalStack does, with nothing left out, and record what differs."""
    if not session.observed_state:
        return []
    session.verify, session.skip_verification_paths = True, []
    known = session.recorded_state or {}
    session._remove_skip_verification_paths(known)
    seen = session.observed_state = session._transform(session.observed_state)
    results = []
    for name in session.called_keys:
        if name in known:
            results.append(prototype.SnapshotMatchResult(known[name], seen[name], key=name))
        differences = list(_differences("", known.get(name), seen[name]))
        _record({"test": _name(session.scope_key), "snapshot": name, "differences": differences})
    if not all(results):
        raise prototype.SnapshotAssertionError("the snapshot differs", result=results)
    return results


def _differences(path: str, recorded: Any, seen: Any) -> Iterator[list[Any]]:
    if isinstance(recorded, dict) and isinstance(seen, dict):
        for name in sorted({*recorded, *seen}, key=str):
            if name not in recorded:
                yield ["+", f"{path}/{name}", None, seen[name]]
            elif name not in seen:
                yield ["-", f"{path}/{name}", recorded[name], None]
            else:
                yield from _differences(f"{path}/{name}", recorded[name], seen[name])
    elif isinstance(recorded, list) and isinstance(seen, list) and len(recorded) == len(seen):
        for position, (one, other) in enumerate(zip(recorded, seen, strict=True)):
            yield from _differences(f"{path}/{position}", one, other)
    elif recorded != seen:
        yield ["~", path, recorded, seen]
