"""Lambda functions see what they would see in AWS: their own code, the SDK, and errors by their class name.

The emulator runs Python functions on this interpreter with all of its packages, which would hide a dependency that is
missing in a function's bundle, and it reports every exception as ``Runtime.HandlerError``. For functions on Node it
replaces the AWS SDK by objects that accept every name and list none, for services with the JSON protocol only;
AwsCustomResource finds a client by its exported names, and auto_delete_objects needs the one of S3. Where npm's
packages are at hand (``node_modules`` of the folder in which the server was started, or above), functions get those,
and of all packages there no other.

AWS: https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html
"""

import io
import json
import os
import platform
import re
import sys
import zipfile
from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from threading import local
from typing import Any

from kms_patterns.local.layout import NODE_MODULES_VARIABLE
from kms_patterns.local.server.emulator.acting import Acting, NotPermitted, requester
from kms_patterns.local.server.emulator.emulator import EmulatorMismatch
from kms_patterns.local.server.kms.kms_errors import Response
from kms_patterns.local.server.services.configured_keys import unusable_variables
from kms_patterns.local.server.services.event_targets import require_own_policy

# What Lambda's Python runtimes bring besides the standard library.
RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")
PACKAGES_VARIABLE = "KMS_PATTERNS_RUNTIME_PACKAGES"

_REPORTED = '"error": str(e), "trace": traceback.format_exc()'
_UNTYPED = "Runtime.HandlerError"
_ISOLATED = f"""
import os, sys, sysconfig
_standard = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
sys.path[:] = [p for p in sys.path if p and (p.endswith(".zip") or any(p == s or p == os.path.join(s, "lib-dynload") for s in _standard))]
sys.path.append(os.environ.pop({PACKAGES_VARIABLE!r}))
sys.meta_path[:] = [f for f in sys.meta_path if getattr(f, "__module__", "").startswith("_frozen_importlib")]
"""  # noqa: E501 - the source of another process
_last = local()
_HEADER, _LOOKED_AT = 20, 5
_MACHINES = {0x3E: "x86_64", 0xB7: "aarch64"}
_CPYTHON = re.compile(r"\.cpython-(\d)(\d+)-")
_FOREIGN = (
    "{name} of the function's bundle is built for {built} and this machine has {here}: functions of the embedded AWS "
    "run here, so deploy with --context kms-patterns:platform=host (`kms-patterns cdk deploy` does so by itself)"
)
_judged: dict[str, str | None] = {}


def provide_runtime_packages(folder: Path) -> None:
    """Put links to the packages of Lambda's runtime into ``folder`` and tell the functions' processes of it."""
    folder.mkdir()
    for name in RUNTIME_PACKAGES:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            continue
        source = Path(spec.origin)
        source = source.parent if spec.submodule_search_locations else source
        (folder / source.name).symlink_to(source)
    os.environ[PACKAGES_VARIABLE] = str(folder)


def worker_script(original: str) -> str:
    """Return the Python worker's source, isolated, and reporting an exception's class as well.

    Raises:
        EmulatorMismatch: The source does not report exceptions in the form that we extend.
    """
    if original.count(_REPORTED) != 1:
        raise EmulatorMismatch("the emulator's Python worker reports exceptions in another form than expected")
    return _ISOLATED + original.replace(_REPORTED, f'"type": type(e).__name__, {_REPORTED}')


def worker_invoke(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Keep the exception's class of the last invocation on this thread."""

    def invoke(*args: object, **named: object) -> dict[str, Any]:
        _last.type = None
        result = original(*args, **named)
        _last.type = result.get("type")
        return result

    return invoke


def execute_warm(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Put the exception's class into the payload that the caller of the function gets."""

    def execute(func: Mapping[str, Any], event: object, request_id: str) -> dict[str, Any]:
        refused = _foreign(func.get("code_zip"), str((func.get("config") or func).get("CodeSha256")))
        if refused:
            return {"error": True, "body": {"errorType": "Runtime.InvalidPlatform", "errorMessage": refused}}
        unread = unusable_variables(func.get("config") or func)
        if unread:
            return {"error": True, "body": {"errorType": unread.code, "errorMessage": unread.message}}
        _last.type = None
        result = original(func, event, request_id)
        body = result.get("body")
        if result.get("error") and isinstance(body, dict) and body.get("errorType") == _UNTYPED and _last.type:
            body["errorType"] = _last.type
        return result

    return execute


def foreign_bundle(code: bytes) -> str | None:
    """Return why the extension modules of a bundle cannot be loaded on this machine; None if they can.

    Args:
        code: The function's code, a zip.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(code)) as bundle:
            modules = [name for name in bundle.namelist() if name.endswith(".so")]
            heads = {name: bundle.open(name).read(_HEADER) for name in modules[:_LOOKED_AT]}
    except zipfile.BadZipFile:
        return None
    for name, head in heads.items():
        machine = _MACHINES.get(int.from_bytes(head[18:20], "little")) if head.startswith(b"\x7fELF") else None
        python = _CPYTHON.search(name)
        if machine and (sys.platform != "linux" or machine != platform.machine()):
            return _FOREIGN.format(name=name, built=f"Linux {machine}", here=f"{sys.platform} {platform.machine()}")
        if python and (int(python[1]), int(python[2])) != sys.version_info[:2]:
            here = f"Python {sys.version_info[0]}.{sys.version_info[1]}"
            return _FOREIGN.format(name=name, built=f"Python {python[1]}.{python[2]}", here=here)
    return None


def _foreign(code: object, digest: str) -> str | None:
    if digest not in _judged and isinstance(code, bytes):
        _judged[digest] = foreign_bundle(code)
    return _judged.get(digest)


def serving_url(original: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """Invoke a function by its URL for who may, and for all others only if its own policy says so.

    AWS: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
    """

    async def serve(url_id: str, *request: Any, resolved: Any = None, **more: Any) -> Response:
        if resolved is not None:
            account, region, name, qualifier, config = resolved
            arn = ":".join(filter(None, [f"arn:aws:lambda:{region}:{account}:function:{name}", qualifier]))
            by_url = {"lambda:invokedviafunctionurl": "true"}
            try:
                if config.get("AuthType") == "NONE":
                    public = {"lambda:functionurlauthtype": "NONE"}
                    require_own_policy("lambda", arn, "*", "", "lambda:InvokeFunctionUrl", **public)
                    require_own_policy("lambda", arn, "*", "", **by_url)
                elif requester.get():
                    Acting(str(requester.get())).require("lambda:InvokeFunction", arn, **by_url)
            except NotPermitted as refused:
                told = json.dumps({"Message": f"Forbidden. {refused}"}).encode()
                return 403, {"Content-Type": "application/json", "x-amzn-ErrorType": "AccessDeniedException"}, told
        return await original(url_id, *request, resolved=resolved, **more)

    return serve


_SCOPES = ("@aws-sdk", "@smithy")
_MISSING = """; bundle the module with your function or use LAMBDA_EXECUTOR=docker."""
_INSTALL = """; `npm install --save-dev " + id + "` in the folder in which the embedded AWS is started provides it."""
_ANCHOR = '"@aws-sdk/client-opensearch": _makeOpenSearchClientModule(),'
_KMS = """
    "@aws-sdk/client-kms": (() => {
      const generic = _makeGenericJsonServiceModule(_JSON_RPC_TARGETS["@aws-sdk/client-kms"], "@aws-sdk/client-kms");
      class KMSClient {
        constructor(options) {
          const region = (options || {}).region || process.env.AWS_REGION;
          this.config = { apiVersion: (options || {}).apiVersion, region: async () => region };
        }
        send(command) { return command._run(); }
      }
      const known = { KMSClient, KMS: generic.KMS };
      for (const name of ["CreateGrant", "RetireGrant", "RevokeGrant"]) {
        known[name + "Command"] = generic[name + "Command"];
      }
      return new Proxy(known, { get: (names, name) => names[name] || generic[name] });
    })(),"""


def provide_sdk_clients(folder: Path) -> None:
    """Put links to the AWS SDK's packages into ``folder`` and tell the functions' processes of it."""
    found = os.environ.pop(NODE_MODULES_VARIABLE, "")
    folder.mkdir()
    for scope in _SCOPES:
        if found and (Path(found) / scope).is_dir():
            (folder / scope).symlink_to(Path(found) / scope)
    os.environ["NODE_PATH"] = str(folder)


def node_worker_script(original: str) -> str:
    """Return the Node worker's source with a KMS client among the SDK packages that it provides.

    Raises:
        EmulatorMismatch: The source does not list the packages in the form that we extend.
    """
    if original.count(_ANCHOR) != 1 or original.count(_MISSING) != 1:
        raise EmulatorMismatch("the emulator's Node worker lists its SDK packages in another form than expected")
    return original.replace(_ANCHOR, _ANCHOR + _KMS).replace(_MISSING, _INSTALL)
