"""The pytest plugin under which LocalStack's tests run in their own interpreter: what they compare is recorded.

Loaded by name from this folder; ``__main__`` reads the record.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3.session
import pytest
from localstack.aws import connect
from localstack.testing.aws import util
from localstack_snapshot.snapshots import prototype

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


@pytest.fixture(autouse=True)
def _customer_keys(request: pytest.FixtureRequest, aws_client: Any) -> Iterator[None]:
    # Recorded before April 2026, since when S3 blocks SSE-C in new buckets unless it is told.
    def unblock(parsed: dict[str, Any], **event: Any) -> None:
        rule = {"BlockedEncryptionTypes": {"EncryptionType": ["NONE"]}}
        rule["ApplyServerSideEncryptionByDefault"] = {"SSEAlgorithm": "AES256"}  # type: ignore[dict-item]
        bucket = str(parsed.get("Location", "")).strip("/")
        aws_client.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})

    events, wanted = aws_client.s3.meta.events, "sse_c" in request.node.name
    if wanted:
        events.register("after-call.s3.CreateBucket", unblock)
    yield
    if wanted:
        events.unregister("after-call.s3.CreateBucket", unblock)


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
