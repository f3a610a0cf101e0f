"""Apps synthesized in this process, as starting the CDK's Node takes long, and snapshots of their templates.

Snapshots are JSON, all of a folder's in one file, so that a pattern adds text and no file.
"""

import json
import runpy
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from syrupy.extensions.amber import AmberDataSerializer, AmberSnapshotExtension
from syrupy.location import PyTestLocation

from kms_patterns.access.project import app_command

ROOT = Path(__file__).parents[1]


def synthesize(script: Path, output: Path, *, folder: Path, context: Mapping[str, Any], validate: bool = True) -> Path:
    """Run an app in ``folder`` as its user would, with ``context``; return ``output`` with the assembly.

    To ``validate`` templates by AWS's schemas, each process compiles these, which takes as long as a synthesis.
    """
    how = {"outdir": str(output), "context": context, "builtin_cloud_formation_validation": validate}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cdk, "App", partial(cdk.App, **how))
        patch.chdir(folder)
        runpy.run_path(str(script), run_name="__main__")
    return output


def reference_app(**options: Any) -> cdk.App:
    """Build app.py under the context of cdk.json, without bundling; ``options`` are those of the app.

    The same as ``kms-patterns access`` synthesizes of this checkout.
    """
    _, context = app_command(ROOT)
    app = cdk.App(**{"builtin_cloud_formation_validation": False, **options,
                     "context": json.loads(context) | options.get("context", {})})  # fmt: skip
    runpy.run_path(str(ROOT / "app.py"))["add_stacks"](app)
    return app


class TemplateSnapshots(AmberSnapshotExtension):
    """Stores ``__snapshots__/templates.ambr`` in the folder of the test."""

    def serialize(self, data: Any, **_: Any) -> str:
        return json.dumps(data, indent=2, sort_keys=True) + "\n"

    @classmethod
    def get_file_basename(cls, **_: Any) -> str:
        return "templates"

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, **_: Any) -> str:
        return f"{test_location.snapshot_name}[{Path(test_location.filepath).stem}]"


def stored(folder: Path) -> dict[str, Any]:
    """Return the templates that are stored for the tests in ``folder``, by the name of test and module."""
    collection = AmberDataSerializer.read_file(str(folder / "__snapshots__" / "templates.ambr"))
    return {snapshot.name: json.loads(str(snapshot.data)) for snapshot in collection}
