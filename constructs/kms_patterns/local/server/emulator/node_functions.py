"""Functions on Node that the AWS CDK deploys: an SDK client for KMS whose names its AwsCustomResource can list.

The emulator stands in for the AWS SDK of Lambda's Node runtimes by objects that answer to every name and list none.
AwsCustomResource finds a client by its exported names.
"""

from kms_patterns.local.server.emulator.emulator import EmulatorMismatch

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


def worker_script(original: str) -> str:
    """Return the Node worker's source with a KMS client among the SDK packages that it provides.

    Raises:
        EmulatorMismatch: The source does not list the packages in the form that we extend.
    """
    if original.count(_ANCHOR) != 1:
        raise EmulatorMismatch("the emulator's Node worker lists its SDK packages in another form than expected")
    return original.replace(_ANCHOR, _ANCHOR + _KMS)
