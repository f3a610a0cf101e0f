"""A tree of small files encrypted by the command line, as a ratio to AWS's own command line in the same run.

Run ``python benchmarks/bench_small_files.py --peer VENV/bin/aws-encryption-cli [--files 2000] [--rounds 3]``, with the
command of the distribution aws-encryption-sdk-cli in an environment of its own: it needs an older cryptography. A
server on loopback stands for AWS KMS and answers after 8 ms. Both commands mirror the tree, the official one with a
data key for each file as well, which is its default. CPU time is that of the command alone. ``--interrupt`` ends our
run in the middle with SIGTERM, runs it again, and counts calls and results: none may be lost, and none made twice.
"""

import argparse
import base64
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

DELAY = 0.008
AIM = 6
KEY = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


class Kms(BaseHTTPRequestHandler):
    """GenerateDataKey of AWS KMS; the data key is its own ciphertext."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet: a second one would wait 40 ms for the first one's acknowledgement
    calls = 0

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer how many calls there were."""
        self._answer({"calls": Kms.calls})

    def do_POST(self) -> None:
        """Answer GenerateDataKey."""
        self.rfile.read(int(self.headers["Content-Length"]))
        Kms.calls += 1
        time.sleep(DELAY)
        key = base64.b64encode(os.urandom(32)).decode()
        self._answer({"KeyId": KEY, "Plaintext": key, "CiphertextBlob": key})

    def _answer(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve() -> None:
    """Serve until standard input ends; print the port first."""
    ThreadingHTTPServer.request_queue_size = 128
    server = ThreadingHTTPServer(("127.0.0.1", 0), Kms)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


@contextmanager
def served() -> Iterator[str]:
    """Yield the address of the server."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()


def environment(address: str) -> dict[str, str]:
    """Return an environment whose AWS KMS is the server."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return clean | {
        "AWS_ENDPOINT_URL_KMS": address, "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "KMS_RUNTIME_CONFIG": "",
    }  # fmt: skip


def ours(tree: Path, out: Path) -> list[str]:
    """Return our command."""
    command = [sys.executable, "-m", "kms_runtime", "encrypt", "--recursive", str(tree), "-o", str(out), "-k", KEY]
    return [*command, "-c", "tenant=benchmark"]


def official(command: str, tree: Path, out: Path) -> list[str]:
    """Return AWS's command; it signs unless told not to, as ours does only if told to."""
    return [
        command, "--encrypt", "--recursive", "--input", str(tree), "--output", str(out), "--suppress-metadata",
        "--wrapping-keys", f"key={KEY}", "--encryption-context", "tenant=benchmark",
        "--commitment-policy", "require-encrypt-require-decrypt", "--algorithm", "AES_256_GCM_HKDF_SHA512_COMMIT_KEY",
    ]  # fmt: skip


def timed(command: list[str], variables: dict[str, str]) -> tuple[float, float]:
    """Return the seconds of a command, and its seconds of CPU time."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=variables, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def calls(address: str) -> int:
    """Return how many calls the server answered."""
    with urlopen(address) as response:
        return int(json.load(response)["calls"])


def make_tree(folder: Path, files: int) -> Path:
    """Write a tree of files of 1 KiB, a hundred in a folder."""
    for number in range(files):
        path = folder / "tree" / f"{number // 100:04}" / f"{number:06}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(number.to_bytes(4) * 256)
    return folder / "tree"


def results(out: Path) -> int:
    """Return how many results there are."""
    return sum(path.is_file() for path in out.rglob("*"))


def compare(files: int, rounds: int, peer: str) -> None:
    """Print the medians over ``rounds``."""
    with tempfile.TemporaryDirectory() as name, served() as address:
        folder, variables, found = Path(name), environment(address), []
        tree = make_tree(folder, files)
        for number in range(rounds):
            seconds, spent = [], []
            for who in ("ours", "official"):
                out = folder / f"{who}-{number}"
                out.mkdir()
                took, cpu = timed(ours(tree, out) if who == "ours" else official(peer, tree, out), variables)
                seconds.append(took)
                spent.append(1000 * cpu / files)
                assert results(out) == files, (who, results(out))
            found.append(seconds)
            print(
                f"round {number + 1}: {seconds[0]:.1f} s, {spent[0]:.2f} ms CPU a file; "
                f"official {seconds[1]:.1f} s, {spent[1]:.2f} ms",
                flush=True,
            )
        ratio = statistics.median(other / own for own, other in found)
        verdict = "met" if ratio >= AIM else "NOT met"
        print(
            f"{files} files, AWS KMS at {DELAY * 1000:.0f} ms: {ratio:.1f} x the official one (aim: {AIM}, {verdict})"
        )


def interrupt(files: int) -> None:
    """End our run in the middle, go on, and print what was called and written."""
    with tempfile.TemporaryDirectory() as name, served() as address:
        folder, variables = Path(name), environment(address)
        tree, out = make_tree(folder, files), folder / "out"
        with subprocess.Popen(ours(tree, out), env=variables, stderr=subprocess.PIPE, text=True) as first:
            while results(out) < files // 2:
                time.sleep(0.02)
            began = time.monotonic()
            first.send_signal(signal.SIGTERM)
            first.communicate()
            ended = time.monotonic() - began
        there, called = results(out), calls(address)
        second = subprocess.run(ours(tree, out), env=variables, capture_output=True, text=True, check=True)
        partial = sum(path.name.endswith(".partial") for path in out.rglob("*"))
        print(
            f"SIGTERM: exit code {first.returncode} after {ended:.2f} s with {there} of {files} results; "
            f"{called} calls of KMS; again: {second.stderr.strip()}; {calls(address) - called} calls, "
            f"{results(out)} results, {partial} half-written"
        )
        # What was under way had its call, and is done again.
        assert there <= called <= there + 4 * 16
        assert calls(address) - called == files - there
        assert (results(out), partial) == (files, 0)
        assert f"{files - there} files done, 0 failed, {there} there already" in second.stderr


def main() -> None:
    """Compare, or interrupt."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", default="aws-encryption-cli")
    parser.add_argument("--interrupt", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
    elif options.interrupt:
        interrupt(options.files)
    else:
        compare(options.files, options.rounds, options.peer)


if __name__ == "__main__":
    main()
