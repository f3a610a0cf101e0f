"""The platform that functions are built for."""

import platform
import sys

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda

from kms_patterns.functions.lambda_platform import LambdaPlatform, host_platform, lambda_platform


def platform_of(context: dict[str, str]) -> LambdaPlatform:
    return lambda_platform(cdk.App(context=context))


def test_default_platform_is_the_newest_managed_python_on_arm64() -> None:
    chosen = platform_of({})
    assert chosen == LambdaPlatform((3, 14), "aarch64")
    assert chosen.architecture.name == aws_lambda.Architecture.ARM_64.name
    assert chosen.runtime.name == aws_lambda.Runtime.PYTHON_3_14.name


def test_x86_64_platform_asks_pip_for_x86_64_wheels_only() -> None:
    chosen = platform_of({"kms-patterns:platform": "x86_64"})
    assert chosen.architecture.name == "x86_64"
    tags = [
        after
        for word, after in zip(chosen.pip_arguments, chosen.pip_arguments[1:], strict=False)
        if word == "--platform"
    ]
    assert tags == ["manylinux_2_34_x86_64", "manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"]


def test_host_platform_is_the_running_interpreter_and_lets_pip_choose() -> None:
    chosen = platform_of({"kms-patterns:platform": "host"})
    assert chosen.runtime.name == f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert chosen.pip_arguments == ()
    assert chosen.compiles_here


@pytest.mark.parametrize(("machine", "architecture"), [("arm64", "arm64"), ("aarch64", "arm64"), ("AMD64", "x86_64")])
def test_host_platform_knows_the_processor(monkeypatch: pytest.MonkeyPatch, machine: str, architecture: str) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert host_platform().architecture.name == architecture


def test_platforms_whose_wheels_may_differ_have_different_tags() -> None:
    platforms = [platform_of({"kms-patterns:platform": name}) for name in ("arm64", "x86_64", "host")]
    assert len({one.tag for one in platforms}) == 3


def test_unknown_platform_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(ValueError, match=r"'riscv' is not a platform: use arm64, x86_64 or host"):
        platform_of({"kms-patterns:platform": "riscv"})
