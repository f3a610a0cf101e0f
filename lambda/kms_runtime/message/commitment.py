"""Whether a message must commit to its key.

See https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/concepts.html#commitment-policy
"""

from enum import Enum

from kms_runtime.errors import CommitmentRequired
from kms_runtime.message.suite import AlgorithmSuite


class CommitmentPolicy(Enum):
    """What is accepted on decryption. Encryption always commits, so AWS's third policy, which forbids it, is not here.

    Without commitment, a writer with two data keys can make one ciphertext that decrypts to a different plaintext
    under each. Allow such messages only for as long as old ones exist.
    """

    REQUIRE_ENCRYPT_REQUIRE_DECRYPT = "REQUIRE_ENCRYPT_REQUIRE_DECRYPT"
    REQUIRE_ENCRYPT_ALLOW_DECRYPT = "REQUIRE_ENCRYPT_ALLOW_DECRYPT"

    def check(self, suite: AlgorithmSuite) -> None:
        """Refuse a message under ``suite`` unless this policy accepts it.

        Raises:
            CommitmentRequired: The suite does not commit and this policy requires that.
        """
        if self is CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT and not suite.committing:
            raise CommitmentRequired(
                f"the message (format version 1, suite {suite}) does not commit to its key; only "
                "commitment_policy=REQUIRE_ENCRYPT_ALLOW_DECRYPT accepts that"
            )
