"""The server's folder: one temporary folder holds everything that it writes."""

import os
from dataclasses import dataclass
from pathlib import Path

NODE_MODULES_VARIABLE = "KMS_PATTERNS_NODE_MODULES"
"""Tells the server where npm's packages are."""
DELAY_VARIABLE = "KMS_PATTERNS_DELAY_SECONDS"
"""Tells the server for how long what was just made does not work yet."""
MALLOC = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""Of glibc: what large objects took goes back when they are gone, and does not stay as holes between small ones."""


@dataclass(frozen=True)
class Layout:
    """Paths inside the folder of one server."""

    folder: Path

    @property
    def authority(self) -> Path:
        """The certificate authority that clients must trust, PEM."""
        return self.folder / "authority.pem"

    @property
    def trust_store(self) -> Path:
        """The system's authorities and ours, PEM, for programs whose trust store is replaced rather than extended."""
        return self.folder / "trust-store.pem"

    @property
    def certificate(self) -> Path:
        """The server's certificate, PEM."""
        return self.folder / "server.pem"

    @property
    def private_key(self) -> Path:
        """The server's private key, PEM."""
        return self.folder / "server.key"

    @property
    def calls(self) -> Path:
        """The log of KMS calls, JSON lines."""
        return self.folder / "kms-calls.jsonl"

    @property
    def lock(self) -> Path:
        """Locked by the server for as long as it lives: a process id alone may have been given to another process."""
        return self.folder / "server.lock"

    @property
    def output(self) -> Path:
        """What the server printed."""
        return self.folder / "server.log"

    @property
    def home(self) -> Path:
        """A home folder for the server and for command line tools that talk to it."""
        return self.folder / "home"

    @property
    def temporary(self) -> Path:
        """The server's TMPDIR: the code of Lambda functions, and what they write."""
        return self.folder / "tmp"

    @property
    def emulator_state(self) -> Path:
        """What the emulator keeps in files: keys of its Cognito, code of functions, objects if it stores them."""
        return self.folder / "state"

    @property
    def runtime_packages(self) -> Path:
        """The packages that Lambda's own runtime brings, and nothing else."""
        return self.folder / "lambda-runtime"

    @property
    def node_packages(self) -> Path:
        """The AWS SDK of Lambda's Node runtimes, and nothing else."""
        return self.folder / "lambda-node"

    @property
    def state(self) -> Path:
        """Port, process id and token, present once the server serves."""
        return self.folder / "server.json"

    @property
    def root_secret(self) -> Path:
        """The secret access key of the account root, for this user only."""
        return self.folder / "root-secret"

    def write_secret(self, secret: str) -> None:
        """Write the root's secret access key, for this user only."""
        self.root_secret.touch(mode=0o600)
        self.root_secret.write_text(secret, encoding="utf-8")

    def announce(self, state: str) -> None:
        """Write the state, whole and for this user only."""
        draft = self.state.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_text(state, encoding="utf-8")
        os.replace(draft, self.state)  # noqa: PTH105 - atomic on every platform
