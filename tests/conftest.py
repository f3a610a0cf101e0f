"""Environment of every test: the pinned Node, no AWS account, caches inside the repository, one temporary folder."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

from kms_patterns.toolchain import toolchain_environment

ROOT = Path(__file__).parent.parent
# The CDK leaves its assemblies where Node makes temporary folders; this one goes when the tests end.
TEMPORARY = Path(tempfile.mkdtemp(prefix="kms-patterns-tests-"))

# Ctrl-C cleans up, also where the tests run in the background of a script, which ignores it; so does SIGTERM.
for interrupt in (signal.SIGINT, signal.SIGTERM):
    signal.signal(interrupt, signal.default_int_handler)
for name in [name for name in os.environ if name.startswith(("AWS_", "CDK_"))]:
    del os.environ[name]
os.environ.update(toolchain_environment(cache=ROOT / ".cache"))
os.environ["TMPDIR"] = tempfile.tempdir = str(TEMPORARY)
# The CDK caches fingerprints in the home folder, a browser its settings.
os.environ |= {"USERS_HOME": str(Path.home()), "HOME": str(TEMPORARY / "home")}
(TEMPORARY / "home").mkdir()


def pytest_unconfigure() -> None:
    """Remove whatever the tests left in the temporary folder."""
    shutil.rmtree(TEMPORARY, ignore_errors=True)
