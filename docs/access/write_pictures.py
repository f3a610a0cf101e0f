"""Writes the pictures of the access proof: ``python docs/access/write_pictures.py CDK_OUT``, from the reference app.

Those of this folder are 1400 pixels wide and light; ``build/pictures`` gets all, 1400 and 400 wide, light and dark.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from kms_patterns.access import AccessMatrix  # noqa: E402
from kms_patterns.access.evaluate.comparison import compare  # noqa: E402
from kms_patterns.access.report.html import difference_as_html, matrix_as_html  # noqa: E402
from tests.browser import started  # noqa: E402

STACK = "KmsPatterns-S3"
OPEN_A_CELL = "document.querySelector('td.conditional[title*=\"kms:Decrypt\"]').click()"
SIZES = ((1400, 900), (400, 800))


def pages(assembly: Path) -> dict[str, tuple[str, str]]:
    """Return page and script by the picture's name."""
    matrix = AccessMatrix.from_assembly(assembly, project=ROOT).of_stack(STACK)
    gained = {"DownloaderRole", "ReadWriteRole"}
    kept = [entry for entry in matrix.entries if entry.principal.rpartition("/")[2] not in gained]
    report, difference = matrix_as_html(matrix), difference_as_html(compare(replace(matrix, entries=kept), matrix))
    return {"overview": (report, "0"), "cell": (report, OPEN_A_CELL), "diff": (difference, "0")}


def main(assembly: Path) -> None:
    """Write every picture."""
    output = ROOT / "build" / "pictures"
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, started(Path(temporary, "profile")) as browser:
        for name, (page, script) in pages(assembly).items():
            file = Path(temporary, f"{name}.html")
            file.write_text(page, encoding="utf-8")
            for width, height in SIZES:
                for scheme in ("light", "dark"):
                    picture = browser.picture(file.as_uri(), script, width=width, height=height, scheme=scheme)
                    (output / f"{name}-{width}-{scheme}.png").write_bytes(picture)
            (Path(__file__).parent / f"{name}.png").write_bytes((output / f"{name}-1400-light.png").read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "cdk.out")
