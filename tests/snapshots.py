"""Snapshots of templates: JSON, all of a folder's in one file, so that a pattern adds text and no file."""

import json
from pathlib import Path
from typing import Any

from syrupy.extensions.amber import AmberDataSerializer, AmberSnapshotExtension
from syrupy.location import PyTestLocation


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
