"""Metadata of cdk-kms-patterns that depend on its version: kms-runtime of the same one."""

from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class SameVersion(MetadataHookInterface):
    """Adds the dependency on kms-runtime to those of ``[tool.hatch.metadata.hooks.custom]``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the dependencies."""
        own = f"kms-runtime[aws,cli]=={metadata['version']}"
        metadata["dependencies"] = [own, *self.config["dependencies"]]
