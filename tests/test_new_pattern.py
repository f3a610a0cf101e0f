"""A pattern is discovered: its own files and one registration are enough, and a file that is missing is named.

The pattern is a copy of RandomBytes under another name, added to a copy of the checkout.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.synthesis import stored

ROOT = Path(__file__).parent.parent
# Files of RandomBytes that a pattern does not have: what make snapshots writes, and the capability behind the handler.
NOT_ITS_OWN = ("__snapshots__", "/snapshots/", "lambda/kms_runtime/random_bytes.py")
REGISTRY = Path("constructs/kms_patterns/__init__.py")
CHECKS = {
    "tests/infrastructure/test_public_surface.py": "Toy or every_pattern or toy or exported",
    "tests/infrastructure/test_toy.py": "",
    "tests/infrastructure/reference_app/test_stacks.py": "Toy or one_stack or toy or not_ours",
    "tests/access/test_minimality.py": "Toy or every_stack",
    "tests/end_to_end/test_demo_scenarios.py": "Toy or unique",
    "tests/runtime/aws/test_toy_handler.py": "",
    "tests/test_pages.py": "toy",
}


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def renamed(text: str) -> str:
    """Rename the pattern, and leave the capability ``kms_runtime.random_bytes`` alone."""
    capability = r"(?<!kms_runtime\.)(?<!kms_runtime\.random_bytes import )\brandom_bytes(?![a-z(])"
    return re.sub(capability, "toy", text).replace("RandomBytes", "Toy").replace("random-bytes", "toy")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with the pattern's own files, and without its registration.

    Its app has no other stack: to synthesize them takes longer than all the rest.
    """
    folder = tmp_path_factory.mktemp("checkout")
    names = tracked()
    stacks = r"(stacks|tests/access/minimality/patterns)/(?!__init__)\w+\.py"
    for name in names:
        if re.fullmatch(stacks, name) and "random_bytes" not in name:
            continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    for name in ("node_modules", ".cache", ".venv"):
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    own = [name for name in names if re.search(r"random[_-]bytes", name) and not any(n in name for n in NOT_ITS_OWN)]
    assert len(own) == 10, own
    for name in own:
        target = folder / re.sub(r"random[_-]bytes", "toy", name)
        target.write_text(renamed((folder / name).read_text()))
        if re.fullmatch(stacks, name):
            (folder / name).unlink()
    for name in ("README.md", "CHANGELOG.md"):
        text = (folder / name).read_text()
        lines = [line for line in text.splitlines(keepends=True) if "`RandomBytes`" in line]
        (folder / name).write_text(text.replace(lines[-1], lines[-1] + renamed(lines[-1])))
    return folder


def checked(checkout: Path, checks: dict[str, str]) -> subprocess.CompletedProcess[str]:
    words = " or ".join(f"({word})" for word in {word or Path(name).stem for name, word in checks.items()})
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--snapshot-update",
        "-k",
        words,
        *checks,
    ]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def failed(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the names of the tests that failed; the run ended for no other reason."""
    assert done.returncode == 1, done.stdout
    return re.findall(r"^(?:FAILED|ERROR) (?:[^\s:]+)(?:::(\S+))?", done.stdout, re.MULTILINE)


def test_pattern_of_its_own_files_and_one_registration_passes_and_nothing_less(checkout: Path) -> None:
    done = checked(checkout, {"tests/infrastructure/test_public_surface.py": "every_pattern or exported"})
    assert failed(done) == ["test_every_pattern_is_exported"]

    registry = checkout / REGISTRY
    lines = registry.read_text().splitlines(keepends=True)
    (place,) = [number for number, line in enumerate(lines) if "import RandomBytes as" in line]
    registry.write_text("".join([*lines[: place + 1], renamed(lines[place]), *lines[place + 1 :]]))
    # Its row of README.md is lacking: that is found, and nothing else.
    (checkout / "README.md").write_text((checkout / "README.md").read_text().replace("`Toy`", "that"))
    done = checked(checkout, CHECKS)
    assert failed(done) == ["test_pattern_is_documented_shown_deployed_and_tested[Toy-README.md]"], done.stdout
    assert "README.md: Toy" in done.stdout
    infrastructure = checkout / "tests/infrastructure"
    assert [name for name in stored(infrastructure) if name.endswith("[test_toy]")]
    assert "test_stack_matches_its_snapshot[KmsPatterns-Toy][test_stacks]" in stored(infrastructure / "reference_app")
