"""Speed of the access proof on the reference app, against asking the simulator's front door for every single request.

Prints decisions per second of both in the same run, and the time of the whole command after synthesis. Fails above the
promised limits: 10,000 decisions in 5 seconds, the command in 15.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from kms_patterns.access.evaluate import evaluation
from kms_patterns.access.evaluate.evaluation import Evaluation, evaluate
from kms_patterns.access.evaluate.requests import batch
from kms_patterns.access.evaluate.simulator import Simulator, simulator
from kms_patterns.access.model import Model
from kms_patterns.access.project import app_command
from kms_patterns.access.read.reader import read_model
from kms_patterns.toolchain import toolchain_environment

ROOT = Path(__file__).parent.parent
SECONDS_FOR_10_000, SECONDS_OF_COMMAND = 5.0, 15.0
LARGE, SECONDS_OF_LARGE, MEBIBYTES_OF_LARGE = 200, 15.0, 400
ROUNDS = 2
STACKS_OF_PEERS = 2
COMMAND = """
import atexit, sys
from bench_envelope_memory import peak_mebibytes
atexit.register(lambda: print(peak_mebibytes(), file=sys.stderr))
from kms_patterns.cli.main import main
main()
"""
# The front door refuses these, or drops context that we give for them.
UNLISTED = ("kms:Decapsulate", "kms:Encapsulate", "kms:SynchronizeMultiRegionKey", "s3:AllowVendedLogDelivery")


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        assembly = Path(temporary) / "cdk.out"
        synthesize(assembly)
        command, _ = timed(lambda: run_command(assembly))
        model = read_model(assembly)
        ours, count = min(in_a_fresh_simulator(lambda running: evaluate(model, running).count) for _ in range(ROUNDS))
        part = part_of(model)
        same, found = in_a_fresh_simulator(lambda running: evaluate(part, running).count)
        alone, _ = in_a_fresh_simulator(lambda running: evaluate(part, running, each="alone"))
        peer, _ = in_a_fresh_simulator(lambda running: by_the_front_door(part, running))
    per_10_000 = ours / count * 10_000
    print(f"{count} decisions: {ours:.2f} s, that is {per_10_000:.2f} s for 10,000 (limit {SECONDS_FOR_10_000:.0f})")
    print(f"{found} of them: {same:.2f} s; every action alone: {alone:.2f} s; by the front door: {peer:.2f} s")
    print(f"ratio to the front door: {peer / same:.1f} times faster")
    print(f"kms-patterns access on the reference app, synthesized: {command:.1f} s (limit {SECONDS_OF_COMMAND:.0f})")
    sizes = {stacks: size_of_command(stacks) for stacks in (50, LARGE)}
    for stacks, (seconds, mebibytes) in sizes.items():
        print(f"{stacks} stacks of 3 roles: {seconds:.1f} s, {mebibytes:.0f} MiB")
    slow = sizes[LARGE][0] > SECONDS_OF_LARGE or sizes[LARGE][1] > MEBIBYTES_OF_LARGE
    return int(per_10_000 > SECONDS_FOR_10_000 or command > SECONDS_OF_COMMAND or slow)


def size_of_command(stacks: int) -> tuple[float, float]:
    """Return seconds of the command and MiB of its Python process, on stacks of a key, a bucket and 3 roles."""
    with tempfile.TemporaryDirectory() as temporary:
        write_stacks(Path(temporary), stacks)
        return timed(lambda: run_command(Path(temporary)))


def write_stacks(folder: Path, stacks: int) -> None:
    root = {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}
    owner = {"Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    use = {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:Encrypt"], "Resource": {"Fn::GetAtt": ["Key", "Arn"]}}
    read = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": {"Fn::Sub": "${Bucket.Arn}/data/*"}}
    policy = {"PolicyName": "p", "PolicyDocument": {"Statement": [use, read]}}
    role = {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": {"Statement": [trust]}, "Policies": [policy]},
    }
    resources = {
        "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": [owner]}}},
        "Bucket": {"Type": "AWS::S3::Bucket"},
        **{f"Role{number}": role for number in range(3)},
    }
    artifacts = {}
    for number in range(stacks):
        (folder / f"S{number}.json").write_text(json.dumps({"Resources": resources}))
        properties = {"templateFile": f"S{number}.json"}
        environment = "aws://111111111111/eu-west-1"
        artifacts[f"S{number}"] = {
            "type": "aws:cloudformation:stack",
            "environment": environment,
            "properties": properties,
        }
    (folder / "manifest.json").write_text(json.dumps({"version": "38.0.0", "artifacts": artifacts}))


def part_of(model: Model) -> Model:
    """Return the model of some stacks: the front door takes minutes for all."""
    stacks = set(model.stacks[:STACKS_OF_PEERS])
    return replace(
        model,
        principals=[who for who in model.principals if who.stack is None or who.stack in stacks],
        resources=[what for what in model.resources if what.stack in stacks],
    )


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def in_a_fresh_simulator(work: Callable[[Simulator], Any]) -> tuple[float, Any]:
    """Time ``work`` on a simulator that has no answer in its memory yet."""
    with simulator(ROOT) as running:
        return timed(lambda: work(running))


def synthesize(output: Path) -> None:
    _, context = app_command(ROOT)
    variables = {**os.environ, **toolchain_environment(cache=ROOT / ".cache")}
    environment = {**variables, "CDK_OUTDIR": str(output), "CDK_CONTEXT_JSON": context}
    subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, check=True, capture_output=True)


def run_command(assembly: Path) -> float:
    """Run the command and return the peak memory of its Python process, in MiB."""
    command = [sys.executable, "-c", COMMAND, "access", str(assembly)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return float(done.stderr.splitlines()[-1])


def by_the_front_door(model: Model, running: Simulator) -> Evaluation:
    def validated(request: Any, table: Any, _: str = "") -> dict[str, Any]:
        asked = batch(request, table, "validated")
        return {**asked, "actions": [name for name in asked["actions"] if not name.startswith(UNLISTED)]}

    with mock.patch.object(evaluation, "batch", validated):
        return evaluate(model, running)


if __name__ == "__main__":
    sys.exit(main())
