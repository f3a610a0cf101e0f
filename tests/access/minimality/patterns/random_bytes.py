"""Random bytes: one role invokes the function, whose role may generate them and do nothing else in KMS."""

from collections.abc import Iterator

from tests.access.minimality.world import Access, Scenario, assumed, function

STACK = "KmsPatterns-RandomBytes"
FEWEST_REMOVALS = 10
USES_DEPLOYED = 0  # GenerateRandom uses no key.
ACCESS: Access = {}


def scenarios() -> Iterator[Scenario]:
    role, seeder = f"{STACK}/Seeds/Generate/Role", f"{STACK}/SeederRole"
    yield Scenario(role, "kms:GenerateRandom", "*", allowed=True)
    yield Scenario(seeder, "kms:GenerateRandom", "*", allowed=False)
    yield Scenario(role, "kms:CreateKey", "*", allowed=False)
    yield from function(f"{STACK}/Seeds/Generate")
    yield Scenario(seeder, "lambda:InvokeFunction", f"{STACK}/Seeds/Generate/Function", allowed=True)
    yield from assumed(seeder, "ec2.amazonaws.com")
