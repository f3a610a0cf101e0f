"""Deciphers what outsiders encrypt by HPKE for a published ML-KEM key, safe against a later quantum computer."""

from aws_cdk import aws_iam
from constructs import Construct

from kms_patterns.functions.function_options import FunctionOptions
from kms_patterns.keys.asymmetric_keys import KeyAgreementKey, KeyEncapsulationKey
from kms_patterns.patterns.parts.function_pattern import FunctionPattern
from kms_patterns.patterns.parts.key_uses import check_key_of_app
from kms_patterns.policy.key_specs import MlKemSpec


class HpkeReceiver(FunctionPattern):
    """A Lambda function that may only ``kms:Decapsulate`` on one ML-KEM key, and returns payloads.

    Outsiders take the public key from a :class:`~kms_patterns.patterns.public_key_export.PublicKeyExport` and encrypt
    by standard HPKE (RFC 9180, base mode) with any library that has ML-KEM: without AWS, without a call, and without a
    key pair of their own. Decapsulate is the one step that needs the private key; the function derives the AEAD's key
    and returns the payload, never the secret. A message does not say who made it.

    Args:
        scope: Parent construct.
        construct_id: Id within the parent.
        encapsulation_key: Key of ML_KEM_768 (HKDF-SHA256, AES-256-GCM) or ML_KEM_1024 (HKDF-SHA384, AES-256-GCM).
        agreement_key: A second key, of ECC_NIST_P384, if messages are for both (KEM MLKEM1024-P384): they stay secret
            as long as one of ML-KEM and ECDH is not broken. Senders need both public keys. Defaults to ML-KEM alone.
        purpose: HPKE's ``info``, bound to every key: a message for one receiver is not decrypted by another one.
        options: Memory, timeout, network, logs and the like of the function. Defaults to 512 MiB and 10 seconds.
            The logs contain no payloads, messages or secrets.

    Attributes:
        function: Decrypts, and can do nothing else with the key.
        role: Its role.

    Raises:
        ValueError: The purpose is empty, a key is imported or of ML_KEM_512, or an ``agreement_key`` is not of
            ECC_NIST_P384 beside one of ML_KEM_1024.

    See https://docs.aws.amazon.com/kms/latest/APIReference/API_Decapsulate.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        encapsulation_key: KeyEncapsulationKey,
        agreement_key: KeyAgreementKey | None = None,
        purpose: str,
        options: FunctionOptions | None = None,
    ) -> None:
        super().__init__(scope, construct_id, options, handlers="hpke_receiver", memory_size=512)
        check_key_of_app(self.node.path, "encapsulation_key", encapsulation_key, KeyEncapsulationKey)
        if not purpose.strip():
            raise ValueError(f"purpose {purpose!r} is empty: name what the messages are for, such as 'orders'")
        if encapsulation_key.key_spec is MlKemSpec.ML_KEM_512:
            raise ValueError(
                "encapsulation_key is of ML_KEM_512, which the function does not implement: use ML_KEM_768 or larger"
            )
        if agreement_key is not None:
            check_key_of_app(self.node.path, "agreement_key", agreement_key)
            specs = encapsulation_key.key_spec.value, agreement_key.key_spec.value
            if specs != ("ML_KEM_1024", "ECC_NIST_P384"):
                raise ValueError(
                    f"{self.node.path}: encapsulation_key is of {specs[0]} and agreement_key of {specs[1]}: HPKE's "
                    "hybrid KEM of keys of AWS KMS is MLKEM1024-P384; use ML_KEM_1024 and ECC_NIST_P384, or no "
                    "agreement_key"
                )
        environment = {
            "KEY_ARN": encapsulation_key.key_arn,
            "KEY_SPEC": encapsulation_key.key_spec.value,
            "PURPOSE": purpose,
            **({} if agreement_key is None else {"AGREEMENT_KEY_ARN": agreement_key.key_arn}),
        }
        made = self._function("Decrypt", "Decrypts HPKE messages for an ML-KEM key of KMS", environment)
        self.function, self.role = made.function, made.role
        encapsulation_key.grant_decapsulate(self.role, algorithms=["ML_KEM"]).assert_success()
        if agreement_key is not None:
            agreement_key.grant_derive_shared_secret(self.role, algorithms=["ECDH"]).assert_success()
            agreement_key.grant_public_key(self.role).assert_success()

    def grant_decrypt(self, grantee: aws_iam.IGrantable) -> aws_iam.Grant:
        """Allow ``grantee`` to invoke the function; it needs no permission on the key."""
        return self.function.grant_invoke(grantee)
