"""LocalStack's tests, recorded on AWS, against the embedded AWS: ``python -m tests.conformance FOLDER [SERVICE]``.

FOLDER is a checkout of LocalStack's repository; nothing is fetched. ``SUITE_PYTHON`` names a Python 3.13 that has
``localstack-core[runtime]``, ``localstack-snapshot``, ``pytest``, ``pytest-timeout``, ``pytest-httpserver``,
``asn1crypto``, ``aws-cdk-lib`` and ``cbor2<6``.
Prints every difference from what AWS answered, and fails if KMS has one that is not accounted for.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from kms_patterns.local import LocalAws

SERVICES = Path("tests/aws/services")
# By service: its test files, and which of their tests; of S3 those about encryption under KMS keys.
SUITES = {
    "kms": (("test_kms.py",), ""),
    "s3": (("test_s3.py", "test_s3_api.py"), "kms or sse or encrypt or bucket_key"),
    "secretsmanager": (("test_secretsmanager.py",), ""),
    "ssm": (("test_ssm.py",), ""),
}
HERE = Path(__file__).parent
# Differences of S3 and Secrets Manager that are not about keys, by the end of their path; counted.
SET_ASIDE = {
    r"/(ChecksumCRC32|ChecksumCRC64NVME|ChecksumType)": "checksums that S3 adds by itself",
    r"/ContentType": "binary/octet-stream, S3's content type of an object without one",
    r"/ETag": "an ETag under SSE-KMS or SSE-C, which is not an MD5 digest here either",
    r"/(LastAccessedDate|LastRotatedDate|NextRotationDate)": "dates of use and of rotation",
}
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
    parser.add_argument("service", nargs="?", choices=sorted(SUITES), default="kms")
    arguments = parser.parse_args()
    folder, service = arguments.folder.resolve(), arguments.service
    if not (folder / SERVICES / service).is_dir():
        sys.exit(f"{folder} has no {SERVICES / service}: give a checkout of LocalStack's repository")
    with tempfile.TemporaryDirectory() as work, LocalAws.start() as aws:
        record = Path(work) / "record.jsonl"
        _run(folder, service, record, _environment(aws))
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


def _run(folder: Path, service: str, record: Path, environment: dict[str, str]) -> None:
    (files, chosen), python = SUITES[service], os.environ.get("SUITE_PYTHON", sys.executable)
    path = os.pathsep.join(map(str, (HERE, folder / "localstack-core", folder)))
    command = [python, "-m", "pytest", "-q", "-p", "recording", "-p", "no:cacheprovider", "--timeout", "60",
               "--confcutdir", "tests/aws", *(str(SERVICES / service / name) for name in files)]  # fmt: skip
    command += ["-k", chosen] if chosen else []
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
    aside = Counter(_kind(difference) for found in compared.values() for difference in found)
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
    print(f"snapshots that differ: {differing}\ntests that fail otherwise:")
    reasons = {line["test"]: _short(line["reason"].strip().rpartition("E  ")[2]) for line in ended}
    print("\n".join(f"{test}: {reasons.get(test, '')}" for test in failed) or "none")
    for reason in SET_ASIDE.values():
        print(f"set aside {aside[reason]} times: {reason}")
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
    for ending, reason in SET_ASIDE.items():
        if re.search(f"{ending}$", path):
            return reason
    return "newer member" if sign == "+" and path.endswith("KeyMaterialId") else "other"


def _short(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "/")[:160]


if __name__ == "__main__":
    main()
