"""The use of data key pairs: the private key, decrypted by one call, signs and decrypts; the public key needs none.

Verify with :func:`kms_runtime.signatures.verify`, encrypt with :func:`kms_runtime.encrypt_with_public_key`.

See https://docs.aws.amazon.com/kms/latest/developerguide/data-key-pairs.html
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.serialization import load_der_private_key

from kms_runtime.aws_errors import InvalidCiphertextException
from kms_runtime.errors import InvalidRequest
from kms_runtime.key_arn import call_kms
from kms_runtime.key_pairs.data_key_pairs import ENCRYPT_DECRYPT, SIGN_VERIFY, PairKey, check_serves, usage_context
from kms_runtime.message.suite import wipe
from kms_runtime.public_keys.jwk import PADDINGS
from kms_runtime.secrets.symmetric import CIPHERTEXT_LIMIT
from kms_runtime.signatures.verifying_keys import HASHES
from kms_runtime.signing_algorithms import ALGORITHMS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from mypy_boto3_kms import KMSClient


def sign_with_pair(
    message: bytes,
    encrypted_private_key: bytes,
    *,
    algorithm: str,
    key_arn: str,
    encryption_context: Mapping[str, str],
    kms_client: "KMSClient",
) -> bytes:
    """Return the pair's signature of ``message``: one call of Decrypt, and no other call of AWS.

    Args:
        message: Any length; AWS KMS never sees it.
        encrypted_private_key: Of a pair with the usage SIGN_VERIFY.
        algorithm: One of the spec's, such as ``ECDSA_SHA_256`` or ``RSASSA_PSS_SHA_256``.
        key_arn: ARN of the symmetric key.
        encryption_context: Exactly the pairs that it was made under; the usage is added.
        kms_client: A ``boto3.client("kms")``.

    Raises:
        InvalidKeyUsageException: The pair does not serve the algorithm.
        InvalidCiphertextException: The private key was altered, or belongs to another context or usage.
        AwsError: AWS KMS refused for another reason; the class name is its error code.
    """
    context = usage_context(encryption_context, SIGN_VERIFY)
    given: dict[str, Any] = {"key_arn": key_arn, "encryption_context": context, "kms_client": kms_client}
    with decrypted_private_key(encrypted_private_key, **given) as key:
        return sign_locally(check_serves(key, algorithm, SIGN_VERIFY), message, algorithm)


def decrypt_with_pair(
    ciphertext: bytes,
    encrypted_private_key: bytes,
    *,
    algorithm: str = "RSAES_OAEP_SHA_256",
    key_arn: str,
    encryption_context: Mapping[str, str],
    kms_client: "KMSClient",
) -> bytes:
    """Return the plaintext of what was encrypted to the pair: one call of Decrypt, for the private key.

    Arguments are those of :func:`sign_with_pair`, for a pair with the usage ENCRYPT_DECRYPT.

    Raises:
        InvalidCiphertextException: The ciphertext or the private key was altered, or is not of this pair or context.
        InvalidKeyUsageException: The pair does not serve the algorithm.
        AwsError: AWS KMS refused for another reason; the class name is its error code.
    """
    context = usage_context(encryption_context, ENCRYPT_DECRYPT)
    given: dict[str, Any] = {"key_arn": key_arn, "encryption_context": context, "kms_client": kms_client}
    with decrypted_private_key(encrypted_private_key, **given) as key:
        private_key = cast("rsa.RSAPrivateKey", check_serves(key, algorithm, ENCRYPT_DECRYPT))
        try:
            return private_key.decrypt(ciphertext, PADDINGS[algorithm])
        except ValueError:
            raise InvalidCiphertextException("the ciphertext was altered, or belongs to another pair") from None


@contextmanager
def decrypted_private_key(
    encrypted_private_key: bytes, *, key_arn: str, encryption_context: Mapping[str, str], kms_client: "KMSClient"
) -> Iterator[PairKey]:
    """Decrypt a private key for the block: one call of Decrypt.

    The DER is overwritten as soon as OpenSSL has read it, and OpenSSL clears its own copy when the key is released.
    botocore's copy is immutable: it is released, and Python cannot wipe it.

    Raises:
        InvalidRequest: The ciphertext is empty or longer than any that AWS KMS makes; AWS KMS is not called.
        InvalidCiphertextException: It was altered, is not a private key, or belongs to another context.
        AwsError: AWS KMS refused for another reason; the class name is its error code.
    """
    if not 1 <= len(encrypted_private_key) <= CIPHERTEXT_LIMIT:
        size = len(encrypted_private_key)
        raise InvalidRequest(f"the encrypted private key has {size} bytes; AWS KMS Decrypt takes 1 to 6144")
    given = {"CiphertextBlob": encrypted_private_key, "EncryptionContext": encryption_context}
    response = call_kms(kms_client.decrypt, "Decrypt", key_arn, **given)
    der = bytearray(response["Plaintext"])
    del response
    try:
        key: Any = load_der_private_key(der, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidCiphertextException("the ciphertext does not hold the private key of a data key pair") from None
    finally:
        wipe(der)
    yield key


def sign_locally(key: PairKey, message: bytes, algorithm: str) -> bytes:
    """Return the signature of ``message`` in the form of AWS KMS: ECDSA in DER, a salt of the digest's length with PSS.

    Args:
        key: A private key that serves ``algorithm``; see ``kms_runtime.key_pairs.data_key_pairs.check_serves``.
        message: Any length.
        algorithm: AWS KMS's name of the signing algorithm.
    """
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    known = ALGORITHMS[algorithm]
    digest = HASHES[str(known.digest)]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(digest))
    if known.scheme == "RSASSA_PSS":
        return key.sign(message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    return key.sign(message, padding.PKCS1v15(), digest)
