"""Environment of every test: the pinned Node, a jsii cache inside the repository, and no AWS account."""

import os
from pathlib import Path

from kms_patterns.toolchain import toolchain_environment

ROOT = Path(__file__).parent.parent

os.environ.update(toolchain_environment(cache=ROOT / ".cache"))
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
