"""How a CDK project is synthesized: the command and the context of its ``cdk.json``."""

import json
from pathlib import Path


def app_command(folder: Path) -> tuple[str, str]:
    """Return the app's command line and its context as JSON text, from ``cdk.json``; ``python app.py`` without one.

    Args:
        folder: The folder that holds ``cdk.json``.
    """
    configuration = folder / "cdk.json"
    if not configuration.is_file():
        return "python app.py", "{}"
    settings = json.loads(configuration.read_text(encoding="utf-8"))
    context = {**settings.get("context", {}), "aws:cdk:bundling-stacks": []}
    return str(settings.get("app", "python app.py")), json.dumps(context)
