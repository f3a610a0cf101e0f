"""What an asymmetric key cannot do, whichever principal asks; and random bytes, which need no key."""

from typing import Any

from demo.principals import other_role
from demo.scenario import Group, Stage
from kms_runtime import KmsKeyring, encrypt_bytes
from kms_runtime.aws_errors import AwsError
from kms_runtime.random_bytes import random_bytes

beyond = Group("Beyond a key: data keys of asymmetric keys, random bytes of none", order=160)


def _root(stage: Stage) -> Any:
    """The account's root, whom no policy keeps from anything: what it is refused, the key cannot do."""
    return stage.aws.session().client("kms")


@beyond.scenario(
    who="account root",
    what="asks a signing key for a data key pair",
    expected="refused: InvalidKeyUsageException",
)
def signing_key_makes_no_pair(stage: Stage) -> str:
    key = stage.output("Tokens", "KeyArn")
    _root(stage).generate_data_key_pair_without_plaintext(KeyId=key, KeyPairSpec="ECC_NIST_P256")
    return "a pair"


@beyond.scenario(
    who="program of account root",
    what="encrypts an envelope under a signing key",
    expected="refused: InvalidKeyUsageException, raised by kms_runtime",
)
def keyring_of_a_signing_key(stage: Stage) -> str:
    keyring = KmsKeyring(stage.output("Tokens", "KeyArn"), kms_client=_root(stage))
    try:
        encrypt_bytes(b"a file", keyring=keyring, encryption_context={"tenant": "a"})
    except AwsError as refusal:
        return f"refused: {refusal.code}, raised by kms_runtime"
    return "an envelope"


@beyond.scenario(
    who="account root",
    what="asks a symmetric key for its public half",
    expected="refused: UnsupportedOperationException",
)
def symmetric_key_has_no_public_half(stage: Stage) -> str:
    _root(stage).get_public_key(KeyId=stage.output("DataKeyPairs", "KeyArn"))
    return "a public key"


def _seeds(stage: Stage, name: str, resource: str) -> list[bytes]:
    kms = other_role(stage, "kms", f"kms-patterns-demo-{name}", [("kms:GenerateRandom", resource)])
    try:
        return [random_bytes(32, kms) for _ in range(2)]
    except AwsError as refusal:
        # The demo's report names a refusal by what AWS answered.
        raise refusal.__cause__ or refusal from None


@beyond.scenario(
    who="role with kms:GenerateRandom on *",
    what="asks twice for 32 random bytes",
    expected="32 and 32 bytes, not equal",
)
def random_bytes_need_no_key(stage: Stage) -> str:
    one, other = _seeds(stage, "seeder", "*")
    return f"{len(one)} and {len(other)} bytes, {'equal' if one == other else 'not equal'}"


@beyond.scenario(
    who="role with kms:GenerateRandom on a key",
    what="asks for 32 random bytes",
    expected="refused: AccessDeniedException (kms:GenerateRandom)",
)
def random_bytes_are_no_matter_of_a_key(stage: Stage) -> str:
    return f"{len(_seeds(stage, 'seeder-of-a-key', stage.output('ReEncrypt', 'IntakeKeyArn')))} seeds"
