"""What AWS would refuse of every template, known without an account: ``make templates``.

Synthesizes the reference app, the examples and the apps of other tests for four Regions, and has cfn-lint validate
every resource by the schemas of that Region. The policies' limits, actions and condition keys are in the suite.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from kms_patterns.keys.errors import RegionUnsupported
from tests.synthesis import synthesize

ROOT = Path(__file__).parents[2]
REGIONS = ("us-east-1", "eu-west-1", "us-gov-west-1", "cn-north-1")


# In KMS, and not yet in AWS's schema of AWS::KMS::Key: CloudFormation makes no such key before it is.
_NEWER = ("'ML_KEM_", "'ENCAPSULATE_DECAPSULATE'")


# A stack without ``env=`` does not know its Region, so it cannot say at synth what that lacks.
_LACKS = "E3006"


def knows_its_region(template: Path) -> bool:
    """Return whether the stack of a template was made for a Region."""
    manifest = json.loads((template.parent / "manifest.json").read_text(encoding="utf-8"))
    environment = manifest["artifacts"][template.name.split(".")[0]]["environment"]
    return not str(environment).endswith("/unknown-region")


def apps() -> Iterator[Path]:
    """Yield the scripts of the reference app, the examples, and apps that use the constructs as a consumer does."""
    folders = ("examples", "tests/access/apps", "tests/end_to_end/apps")
    for path in (ROOT / "app.py", *(path for folder in folders for path in sorted((ROOT / folder).glob("*.py")))):
        if "cdk.App(" in path.read_text(encoding="utf-8"):
            yield path


def synthesized(app: Path, region: str, output: Path) -> bool:
    """Synthesize an app without bundling; return False if it says that the Region lacks something."""
    context = {**json.loads((ROOT / "cdk.json").read_text())["context"], "aws:cdk:bundling-stacks": [], "step": "1"}
    os.environ |= {"CDK_DEFAULT_REGION": region, "CDK_DEFAULT_ACCOUNT": "111122223333"}
    output.mkdir()
    try:
        synthesize(app, output, folder=output, context=context)
    except RegionUnsupported:
        return False
    return True


@click.command()
@click.argument("cfn_lint", default="cfn-lint")
def main(cfn_lint: str) -> None:
    """Validate every template with the command CFN_LINT."""
    wrong = 0
    sys.path.insert(0, str(ROOT))
    for region in REGIONS:
        with tempfile.TemporaryDirectory() as folder:
            left_out = [app.stem for app in apps() if not synthesized(app, region, Path(folder, app.stem))]
            files = [str(path) for path in Path(folder).glob("*/*.template.json")]
            command = [cfn_lint, "--format", "json", "--regions", region, "--", *files]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            errors = [it for it in json.loads(done.stdout or "[]") if it["Level"] == "Error"]
            found = [
                it
                for it in errors
                if not it["Message"].startswith(_NEWER)
                and (it["Rule"]["Id"] != _LACKS or knows_its_region(Path(it["Filename"])))
            ]
            wrong += len(found)
            lacks = f"; say at synth what the Region lacks: {', '.join(left_out)}" if left_out else ""
            click.echo(
                f"{region}: {len(files)} templates, {len(found)} errors, "
                f"{len(errors) - len(found)} newer than the schemas or of a stack without env{lacks}"
            )
            for (rule, message), count in Counter((it["Rule"]["Id"], it["Message"]) for it in found).items():
                click.echo(f"    {rule} {message} ({count})")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
