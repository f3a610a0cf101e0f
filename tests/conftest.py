"""Environment of every test: the pinned Node, no AWS account, caches inside the repository, one temporary folder."""

import gc
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partialmethod
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
import pytest
from _pytest.runner import runtestprotocol
from botocore import regions
from botocore.client import ClientCreator
from botocore.credentials import SSOProvider
from botocore.endpoint import EndpointCreator
from botocore.endpoint_provider import EndpointProvider
from botocore.hooks import EventAliaser
from botocore.httpsession import URLLib3Session
from botocore.loaders import Loader, create_loader
from botocore.model import ServiceModel
from botocore.tokens import SSOTokenProvider
from jsii._kernel.providers import process as jsii_process

from kms_patterns.local import AwsSession, LocalAws
from kms_patterns.toolchain import toolchain_environment
from kms_runtime import kms_model

if TYPE_CHECKING:
    import aws_cdk as cdk

ROOT = Path(__file__).parent.parent
# Imports make millions of objects that stay: to look for garbage among them takes a second in each worker.
gc.disable()
# The CDK leaves its assemblies where Node makes temporary folders; this one goes when the tests end.
TEMPORARY = Path(tempfile.mkdtemp(prefix="kms-patterns-tests-"))

# Ctrl-C cleans up, also where the tests run in the background of a script, which ignores it; so does SIGTERM.
for interrupt in (signal.SIGINT, signal.SIGTERM):
    signal.signal(interrupt, signal.default_int_handler)
# Under nohup the programs that tests start would ignore it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# What ``make contract AWS_PROFILE=…`` gives back.
USERS_AWS = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith(("AWS_", "CDK_"))}
_SETTINGS = (
    "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE", "AWS_REGION", "AWS_DEFAULT_REGION",
    "AWS_LOGIN_CACHE_DIRECTORY", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_STS_REGIONAL_ENDPOINTS",
)  # fmt: skip
os.environ.update(toolchain_environment(cache=ROOT / ".cache"))
os.environ["TMPDIR"] = tempfile.tempdir = str(TEMPORARY)
# The CDK caches fingerprints in the home folder, a browser its settings.
os.environ |= {"USERS_HOME": str(Path.home()), "HOME": str(TEMPORARY / "home")}
(TEMPORARY / "home").mkdir()


@cache
def _loader(data_path: str | None) -> Loader:
    loader = create_loader(data_path)
    loader.search_paths.append(str(Path(boto3.__file__).parent / "data"))
    return loader


# Each session would look for the models of AWS's services anew, parse them, and look up the names of its
# events, which takes longer than most tests.
botocore.session.create_loader = kms_model.create_loader = _loader
_aliaser, _alias = EventAliaser(None), EventAliaser._alias_event_name
EventAliaser._alias_event_name = lambda _, event_name: _alias(_aliaser, event_name)
boto3.Session._setup_loader = lambda session: setattr(session, "_loader", session._session.get_component("data_loader"))

_create_endpoint, _connections = EndpointCreator.create_endpoint, dict[str, URLLib3Session]()


def _shared_connections(**settings: Any) -> URLLib3Session:
    known = repr(settings)
    if known not in _connections:
        _connections[known] = URLLib3Session(**settings)
    return _connections[known]


_make_client, _clients = AwsSession.client, dict[Any, Any]()


def _shared_client(session: AwsSession, service: str, **options: Any) -> Any:
    if "config" in options:
        return _make_client(session, service, **options)
    # A test that sets a profile or a proxy gets no client that was made before it did.
    leads = [(name, os.environ[name]) for name in sorted(os.environ) if re.search("^AWS_|PROXY", name, re.IGNORECASE)]
    known = (session, service, *sorted(options.items()), *leads)
    if known not in _clients:
        _clients[known] = _make_client(session, service, **options)
    return _clients[known]


# A client takes as long to make as several requests, and so does a TLS handshake, on both sides.
EndpointCreator.create_endpoint = partialmethod(_create_endpoint, http_session_cls=_shared_connections)
AwsSession.client = _shared_client

_load_model, _make_methods, _read = ClientCreator._load_service_model, ClientCreator._create_methods, dict[Any, Any]()


def _once(read: Callable[[], Any], *what: Any) -> Any:
    """Return what was made of these objects, of which the loader has one each, for as long as they live."""
    known = tuple(map(id, what))
    if known not in _read:
        _read[known] = read(), what
    return _read[known][0]


def _model_of(creator: ClientCreator, service: str, version: str | None = None) -> ServiceModel:
    description = creator._loader.load_service_model(service, "service-2", api_version=version)
    return _once(lambda: _load_model(creator, service, version), description)


def _methods_of(creator: ClientCreator, model: ServiceModel) -> dict[str, Any]:
    return {**_once(lambda: _make_methods(creator, model), model)}


def _rules_of(**read: Any) -> EndpointProvider:
    return _once(lambda: EndpointProvider(**read), *read.values())


# The model, the methods and the rules of a service's endpoints are the same for every client.
ClientCreator._load_service_model, ClientCreator._create_methods = _model_of, _methods_of
regions.EndpointProvider = _rules_of

# jsii starts two Nodes: one that copies requests to the other and responses back, and wraps what that one prints. Here
# the other one does both itself.
_JSII = """
const { readSync, writeSync } = fs
fs.readSync = (file, ...rest) => readSync(file === 3 ? 0 : file, ...rest)
fs.writeSync = (file, ...rest) => writeSync(file === 3 ? 1 : file, ...rest)
for (const name of ["stdout", "stderr"]) {
  const write = (chunk, _, done) => {
    writeSync(2, JSON.stringify({ [name]: chunk.toString("base64") }) + "\\n")
    done()
  }
  Object.defineProperty(process, name, { value: new stream.Writable({ write }) })
}
require(process.argv[1])
"""


def _one_node(command: list[str], **how: Any) -> subprocess.Popen[bytes]:
    *node, launcher = command
    program = Path(launcher).parents[1] / "lib" / "program.js"
    return subprocess.Popen([*node, "--preserve-symlinks", "--eval", _JSII, str(program)], **how)


jsii_process.subprocess = ModuleType("subprocess")  # its own: every other module starts what it says
vars(jsii_process.subprocess).update(vars(subprocess), Popen=_one_node)


def users_settings(patch: pytest.MonkeyPatch) -> None:
    """Give back the home folder, which holds profiles and cached tokens (``~/.aws``), and what leads to AWS.

    Proxies and CA bundles whose variables do not begin with ``AWS_`` were never taken. Access keys of the environment
    stay out: the profile alone decides on the account.
    """
    home = os.environ["USERS_HOME"]
    patch.setenv("HOME", home)
    for provider in (SSOProvider, SSOTokenProvider):
        # botocore looks the home folder up when it is imported.
        patch.setattr(provider, "_SSO_TOKEN_CACHE_DIR", f"{home}/.aws/sso/cache")
    for name, value in USERS_AWS.items():
        if name in _SETTINGS:
            patch.setenv(name, value)


# Tests of a group share what takes long to make, so one worker runs all of them; the groups come first.
GROUPS = {
    "what is deployed beside the reference app, or not at all": (
        *(f"end_to_end/test_service_needs.py::test_{name}" for name in ("every_type", "key_at", "construct_of")),
        "end_to_end/test_successive_deployments.py::test_what_was_just_made",
    ),
    "the deployed reference app": ("end_to_end/",),
    "the synthesized reference app, and AWS's schemas": (
        "infrastructure/reference_app/",
        *(f"access/test_{name}" for name in ("assertions", "command", "evaluation", "minimality", "reports")),
        "infrastructure/test_public_surface",
        "infrastructure/test_encrypted_bucket_drop_in",
    ),
}
# Next come the files that take long.
LONG = (
    "test_new_pattern",
    "access/test_live",
    "test_distribution",
    "local/test_functions",
    "infrastructure/test_bundling",
    "cli/test_encrypt",
    "cli/test_import",
    "local/test_local_aws",
)
# Why a test may be skipped; any other skip fails the run.
SKIPS_ALLOWED = (
    "OpenSSL's command line is not installed",
    "no OpenSSL or curl",
    "no package index",
    "only root makes device nodes",
    "this machine does not let device nodes be made",
    "needs Linux's table of sockets",
)


@pytest.fixture(scope="session")
def aws() -> Iterator[LocalAws]:
    """Return the embedded AWS that the tests of a worker share."""
    with LocalAws.start() as running:
        yield running


@pytest.fixture(scope="session")
def reference_app(tmp_path_factory: pytest.TempPathFactory) -> "cdk.App":
    """The app of app.py, synthesized once, with AWS's schemas asked."""
    from tests.synthesis import reference_app  # noqa: PLC0415 -- loads the CDK

    app = reference_app(
        outdir=str(tmp_path_factory.mktemp("reference") / "app"), builtin_cloud_formation_validation=True
    )
    app.synth()
    return app


def group(nodeid: str) -> str:
    """Return what one worker runs: a group, or else a file."""
    place = nodeid.removeprefix("tests/")
    return next((name for name, places in GROUPS.items() if place.startswith(places)), nodeid.partition("::")[0])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what takes longest, so that no worker is left alone with it at the end."""
    order = [*(place for places in GROUPS.values() for place in places), *LONG]
    rank = {f"tests/{name}": number for number, name in enumerate(order)}
    items.sort(key=lambda item: next((rank[name] for name in rank if item.nodeid.startswith(name)), len(rank)))


def pytest_collection_finish() -> None:
    """Leave what was imported, millions of objects of the CDK, out of every later garbage collection."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Report of set-up and tear-down what fails only: a worker's reports cost both processes as much as short tests."""
    if not hasattr(item.config, "workerinput") or item.config.getoption("durations"):
        return None
    if item.config.get_verbosity() > 0:
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        if report.when == "call" or not report.passed:
            item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Distribute groups and files, in the order of the items."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 -- without xdist this hook is not called

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = group
    return scheduler


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that skipped a test for a reason that is not allowed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    reasons = {str(report.longrepr[2]) for report in skipped}
    wrong = sorted(reason for reason in reasons if not any(allowed in reason for allowed in SKIPS_ALLOWED))
    if wrong and exitstatus == pytest.ExitCode.OK:
        reporter.section("skipped without permission", red=True)
        reporter.write_line("\n".join([*wrong, "allow a reason in SKIPS_ALLOWED of tests/conftest.py, or mend it"]))
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure() -> None:
    """Remove whatever the tests left in the temporary folder."""
    shutil.rmtree(TEMPORARY, ignore_errors=True)
