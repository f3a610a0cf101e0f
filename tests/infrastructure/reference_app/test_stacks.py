"""The stacks of app.py: their snapshots, their functions, what is deleted with them and what stays."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from stacks import discovered

Templates = dict[str, dict[str, Any]]
EMPTIES = "Custom::S3AutoDeleteObjects"
ROOT = Path(__file__).parents[3]
STACKS = [stack.NAME for stack in discovered()]
KEEPS_DATA = {"AWS::KMS::Key", "AWS::S3::Bucket", "AWS::DynamoDB::GlobalTable", "AWS::Logs::LogGroup"}


@pytest.mark.parametrize("name", STACKS)
def test_stack_matches_its_snapshot(
    name: str, templates: Templates, snapshot_of: Callable[[dict[str, Any]], None]
) -> None:
    snapshot_of(templates[name])


def test_app_has_one_stack_per_module_and_each_tells_callers_what_it_made(templates: Templates) -> None:
    modules = {path.stem for path in (ROOT / "stacks").glob("*.py")} - {"__init__", "support"}
    assert {stack.__module__ for stack in discovered()} == {f"stacks.{module}" for module in modules}
    assert sorted(templates) == sorted(STACKS)
    assert [name for name, template in templates.items() if not template.get("Outputs")] == []


def test_no_stack_deploys_a_custom_resource_or_a_function_that_is_not_ours(templates: Templates) -> None:
    resources = [item for template in templates.values() for item in template["Resources"].values()]
    assert [item["Type"] for item in resources if "Custom" in item["Type"]] == []
    assert [name for name in sorted(handlers(templates)) if not callable(function_of(name))] == []


def test_every_handler_of_the_data_plane_is_deployed(templates: Templates) -> None:
    deployed = {name.rpartition(".")[0] for name in handlers(templates)}
    constructs = {path.stem for path in (ROOT / "constructs" / "kms_patterns" / "patterns").glob("[!_]*.py")}
    ours = {path.stem for path in (ROOT / "lambda" / "kms_runtime" / "handlers").glob("*.py")} & constructs
    # KeyGrant is in no stack of the reference app: tests/end_to_end/apps deploys it.
    assert deployed >= {f"kms_runtime.handlers.{name}" for name in ours - {"key_grant"}}


def handlers(templates: Templates) -> set[str]:
    return {function["Handler"] for function in functions(templates.values())}


def functions(found: Any) -> list[dict[str, Any]]:
    resources = [item for template in found for item in template["Resources"].values()]
    return [item["Properties"] for item in resources if item["Type"] == "AWS::Lambda::Function"]


def function_of(handler: str) -> object:
    module, _, name = handler.rpartition(".")
    assert module.startswith("kms_runtime.handlers.")
    return getattr(import_module(module), name)


def test_data_outlives_its_stack_by_default(templates: Templates) -> None:
    resources = [item for template in templates.values() for item in template["Resources"].values()]
    policies = {(item["Type"], item["DeletionPolicy"]) for item in resources if item["Type"] in KEEPS_DATA}
    ours = {"AWS::KMS::Key", "AWS::S3::Bucket"}
    assert policies == {(kind, "RetainExceptOnCreate" if kind in ours else "Retain") for kind in KEEPS_DATA}


def test_the_page_on_deployment_states_what_each_stack_costs(templates: Templates) -> None:
    kinds = ("AWS::KMS::Key", "AWS::KMS::Key", "AWS::Lambda::Function", "AWS::S3::Bucket")
    found = {
        name: [[item["Type"] for item in template["Resources"].values()].count(kind) for kind in kinds]
        for name, template in sorted(templates.items())
    }
    found["all"] = [sum(column) for column in zip(*found.values(), strict=True)]
    rows = "\n".join(f"| {name} | {' | '.join(map(str, counts))} |" for name, counts in found.items())
    assert rows in (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")


def test_nothing_that_stays_has_a_name_that_the_next_deployment_of_its_stack_would_need(templates: Templates) -> None:
    resources = [item for template in templates.values() for item in template["Resources"].values()]
    stays = [item for item in resources if item.get("DeletionPolicy", "Delete") != "Delete"]
    names = {name for item in stays for name in item.get("Properties", {}) if name.endswith("Name")}
    assert (len(stays) > len(STACKS), names) == (True, set())


def test_ephemeral_context_deletes_everything_with_its_stack(build: Callable[..., cdk.App]) -> None:
    app = build(**{"kms-patterns:lifecycle": "ephemeral"})
    resources = [item for stack in app.synth().stacks for item in stack.template["Resources"].values()]
    assert [item for item in resources if item.get("DeletionPolicy", "Delete") != "Delete"] == []
    buckets = [item for item in resources if item["Type"] == "AWS::S3::Bucket"]
    assert [item["Type"] for item in resources if "Custom" in item["Type"]] == [EMPTIES] * len(buckets)


def test_stacks_that_the_region_cannot_take_are_left_out_with_a_notice(build: Callable[..., cdk.App]) -> None:
    app = build(region="eu-central-2")
    assembly = app.synth()
    with_urls = {f"KmsPatterns-{name}" for name in ("CodeSigning", "PublicKey", "RsaEnvelope", "Signing", "Tokens")}
    assert {stack.stack_name for stack in assembly.stacks} == {*STACKS} - with_urls
    notices = [entry.data for entry in app.node.metadata if entry.type == "aws:cdk:info"]
    assert sorted(str(notice).partition(" is left out: ")[0] for notice in notices) == sorted(with_urls)


@pytest.mark.parametrize(("platform", "architecture"), [("arm64", "arm64"), ("x86_64", "x86_64")])
def test_platform_context_reaches_every_function(
    build: Callable[..., cdk.App], templates: Templates, platform: str, architecture: str
) -> None:
    app = build(**{"kms-patterns:platform": platform})
    found = functions(stack.template for stack in app.synth().stacks)
    assert len(found) == len(functions(templates.values())) > 0
    assert {tuple(function["Architectures"]) for function in found} == {(architecture,)}
    assert len({function["Code"]["S3Key"] for function in found}) == 1
