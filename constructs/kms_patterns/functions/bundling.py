"""The one code asset that all functions share: the ``kms_runtime`` package and its wheels, bundled without Docker."""

import compileall
import shutil
from pathlib import Path
from py_compile import PycInvalidationMode

import jsii
from aws_cdk import AssetHashType, BundlingOptions, DockerImage, ILocalBundling, aws_lambda
from constructs import IConstruct

from kms_patterns.functions.lambda_platform import LambdaPlatform, lambda_platform
from kms_patterns.functions.runtime_source import RuntimeSource, runtime_source
from kms_patterns.functions.wheels import install_wheels

# Part of the asset's hash: raise it whenever the bundle of the same sources changes.
_RECIPE = "3"
_TASK_ROOT = "/var/task"


def runtime_code(scope: IConstruct) -> aws_lambda.Code:
    """Return the code of the data plane for the platform that the context of ``scope`` asks for.

    The asset's hash is computed from sources, lock and platform, so it is the same on every machine, in every folder,
    and a change of anything else deploys nothing. Byte code is included if the running interpreter has the function's
    version; otherwise the functions compile at their first start, which costs some tens of milliseconds.

    Raises:
        FileNotFoundError: The data plane's sources are not installed.
        ValueError: The context asks for an unknown platform.
    """
    platform, source = lambda_platform(scope), runtime_source()
    return aws_lambda.Code.from_asset(
        str(source.package),
        asset_hash=source.fingerprint(_RECIPE, platform.tag),
        asset_hash_type=AssetHashType.CUSTOM,
        bundling=BundlingOptions(
            # Never pulled: local bundling either succeeds or raises.
            image=DockerImage.from_registry("local-bundling-only"),
            local=WheelBundling(source, platform),
        ),
    )


@jsii.implements(ILocalBundling)
class WheelBundling:
    """Bundles with pip on this machine, for any platform, from wheels only.

    Args:
        source: The data plane's sources.
        platform: The platform of the function.
    """

    def __init__(self, source: RuntimeSource, platform: LambdaPlatform) -> None:
        self._source = source
        self._platform = platform

    # jsii hands the options over as one positional struct, Python callers as keywords.
    def try_bundle(self, output_dir: str, *_options: object, **_more_options: object) -> bool:
        """Fill ``output_dir``; the CDK calls this instead of Docker.

        Raises:
            BundlingError: A dependency cannot be installed; Docker would not help, so it is not tried.
        """
        bundle = Path(output_dir)
        install_wheels(self._source.lock, bundle, self._platform)
        self._copy_sources(bundle)
        if self._platform.compiles_here:
            _compile(bundle)
        _make_readable(bundle)
        return True

    def _copy_sources(self, bundle: Path) -> None:
        for path in self._source.files():
            target = bundle / "kms_runtime" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._source.package / path, target)


def _compile(bundle: Path) -> None:
    # Packaging resets modification times, which would invalidate byte code that is checked against them.
    compileall.compile_dir(
        bundle,
        quiet=1,
        stripdir=str(bundle),
        prependdir=_TASK_ROOT,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )


def _make_readable(bundle: Path) -> None:
    # Lambda runs as a user of its own: files that this machine's umask keeps from others fail there at import.
    for path in (bundle, *bundle.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
