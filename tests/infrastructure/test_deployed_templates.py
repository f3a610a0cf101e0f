"""Immutable properties are compared with the templates that are deployed, wherever those are kept."""

import shutil

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms

from kms_patterns import EncryptionKey, ReplicaKey, SigningKey

HERE = cdk.Environment(account="111122223333", region="eu-west-1")
AWAY = cdk.Environment(account="111122223333", region="us-east-1")
DEPLOYED = "kms-patterns:deployed"
CHANGED = "KeySpec changes from ECC_NIST_P256 to ECC_NIST_P384 on the deployed key"


@pytest.fixture
def keep(tmp_path):
    """The folder of an assembly, kept from the next synthesis."""

    def kept(app):
        return shutil.copytree(app.synth().directory, tmp_path / "kept")

    return kept


def replicated(kind, **context):
    app = cdk.App(context=context)
    home = cdk.Stack(app, "Home", env=HERE, cross_region_references=True)
    away = cdk.Stack(app, "Away", env=AWAY, cross_region_references=True)
    ReplicaKey(away, "Replica", primary_key=kind(home, "Key", multi_region=True))
    return app


def staged(spec, **context):
    app = cdk.App(context=context)
    SigningKey(cdk.Stack(cdk.Stage(app, "Prod", env=HERE), "Stack"), "Key", key_spec=spec)
    return app


@pytest.mark.parametrize("kind", [EncryptionKey, SigningKey])
def test_unchanged_replica_passes(kind, keep):
    folder = keep(replicated(kind))

    replicated(kind, **{DEPLOYED: str(folder)}).synth()


@pytest.mark.parametrize(("spec", "changed"), [(kms.KeySpec.ECC_NIST_P256, False), (kms.KeySpec.ECC_NIST_P384, True)])
def test_key_of_a_stage_is_compared_too(spec, changed, keep):
    folder = keep(staged(kms.KeySpec.ECC_NIST_P256))
    app = staged(spec, **{DEPLOYED: str(folder)})

    if not changed:
        app.synth()
        return
    with pytest.raises(RuntimeError, match=CHANGED):
        app.synth()


def test_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RuntimeError, match=r"there is no folder .*nowhere; name one with deployed templates"):
        staged(kms.KeySpec.ECC_NIST_P256, **{DEPLOYED: str(tmp_path / "nowhere")}).synth()
