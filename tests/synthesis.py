"""Apps synthesized in this process: starting the CDK's Node for each of them would take most of the time."""

import runpy
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest


def synthesize(script: Path, output: Path, *, folder: Path, context: Mapping[str, Any]) -> Path:
    """Run an app in ``folder`` as its user would, with ``context``; return ``output`` with the assembly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cdk, "App", partial(cdk.App, outdir=str(output), context=context))
        patch.chdir(folder)
        runpy.run_path(str(script), run_name="__main__")
    return output
