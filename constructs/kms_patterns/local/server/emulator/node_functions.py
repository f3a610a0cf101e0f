"""Functions on Node find the AWS SDK that Lambda's runtime brings: clients of npm, and one for KMS without them.

The emulator stands in for the AWS SDK by objects that answer to every name and list none, for services with the JSON
protocol only; AwsCustomResource finds a client by its exported names, and auto_delete_objects needs the one of S3.
Where npm's packages are at hand (``node_modules`` of the folder in which the server was started, or above), functions
get those, and of all packages there no other.

AWS: https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html
"""

import os
from pathlib import Path

from kms_patterns.local.server.emulator.emulator import EmulatorMismatch
from kms_patterns.local.server_process import NODE_MODULES_VARIABLE

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


def worker_script(original: str) -> str:
    """Return the Node worker's source with a KMS client among the SDK packages that it provides.

    Raises:
        EmulatorMismatch: The source does not list the packages in the form that we extend.
    """
    if original.count(_ANCHOR) != 1 or original.count(_MISSING) != 1:
        raise EmulatorMismatch("the emulator's Node worker lists its SDK packages in another form than expected")
    return original.replace(_ANCHOR, _ANCHOR + _KMS).replace(_MISSING, _INSTALL)
