"""Reads an assembly's templates into one model, all stacks together."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from kms_patterns.access.model import (
    ADMINISTRATOR,
    OUTSIDE,
    WITHOUT_POLICY,
    Model,
    Policy,
    Principal,
    PrincipalKind,
    Resource,
    ResourceKind,
    Unresolved,
)
from kms_patterns.access.read.assembly import UNKNOWN_ACCOUNT, Stack, load_assembly
from kms_patterns.access.read.identities import Identities
from kms_patterns.access.read.intrinsics import BOTH_WAYS
from kms_patterns.access.read.named_principals import ALL, everything, named_principals, not_evaluated
from kms_patterns.access.read.not_read import not_read
from kms_patterns.access.read.protected_resources import ProtectedResources
from kms_patterns.access.read.template import Template
from kms_patterns.access.templates.reading import Given
from kms_patterns.access.templates.template_text import items, mapping, text
from kms_patterns.access.unknowns.expansion import Expansion
from kms_patterns.access.unknowns.symbols import Environments, MadeUpAccounts, may_be, shown, symbol


def read_model(path: Path | Sequence[Path], given: Given | None = None) -> Model:
    """Return who and what is in an assembly, with every policy resolved.

    Args:
        path: What ``load_assembly`` takes: ``cdk.out``, templates, or several of these.
        given: Parameter values, account and Region that only a deployment decides.

    Raises:
        NotAnAssembly: ``path`` is none of these.
        NotATemplate: A template cannot be read.
    """
    return model_of(load_assembly(path, given))


def model_of(stacks: list[Stack]) -> Model:
    """Return who and what is in ``stacks``, with every policy resolved; what is unknown is a proposition in it."""
    template = Template(stacks)
    template.list_not_read()
    template.resolver.unresolved.update(item for stack in stacks for item in not_read(stack))
    resources = list(ProtectedResources(template).resources())
    principals = [_with_grants(who, resources) for who in Identities(template).principals()]
    principals = [*principals, *_if_deployed_together(principals, resources)]
    made_up = MadeUpAccounts(_accounts_in(stacks))
    named = list(named_principals(principals, resources, made_up))
    for where, who in not_evaluated(resources):
        template.unresolved(where, f"principal {who}", "whom an id stands for is not known")
    expansion = Expansion(_environments(stacks, [*principals, *named], resources, made_up))
    exact = _Exact(expansion)
    policies = json.dumps([resource.policy.document for resource in resources if resource.policy], ensure_ascii=False)
    return Model(
        stacks=[stack.id for stack in stacks],
        files={stack.id: stack.file for stack in stacks},
        principals=_unique([*map(exact.principal, principals), *named, *synthetic(made_up, policies)]),
        resources=[exact.resource(resource) for resource in resources],
        unresolved=_noted(template.resolver.unresolved),
        names={**template.names(), **made_up.names},
    )


_TELLING_USERS = re.compile(r'"aws:(?:username|principaltype)"', re.IGNORECASE)


def synthetic(made_up: MadeUpAccounts, policies: str = "") -> list[Principal]:
    """Return the principals that always exist: three of the account of the resource asked about, and one outside.

    Their names hold marks that no name of a template holds, the account of the last does not occur in the input.

    Args:
        made_up: Account ids for what has none.
        policies: The policies of resources as text. If one tells users from roles, there are a user and the root user.
    """
    here = "arn:{partition}:iam::{account}:role/"
    user = {"aws:PrincipalType": "User", "aws:username": symbol("any other user")}
    account = "arn:{partition}:iam::{account}:"
    more = [
        Principal(
            id="any other user",
            kind=PrincipalKind.ADMINISTRATOR,
            label="any other user of the account (*:*)",
            arn=f"{account}user/{symbol('any other user')}",
            identity=ALL,
            attributes=user,
        ),
        Principal(
            id="root user of this account",
            kind=PrincipalKind.ADMINISTRATOR,
            label="root user of the account",
            arn=f"{account}root",
            identity=ALL,
            attributes={"aws:PrincipalType": "Account"},
        ),
    ]
    return [
        *(more if _TELLING_USERS.search(policies) else []),
        Principal(
            id=WITHOUT_POLICY,
            kind=PrincipalKind.BARE,
            label="role without any policy (what the resource's own policy gives)",
            arn=here + symbol(WITHOUT_POLICY),
        ),
        Principal(
            id=ADMINISTRATOR,
            kind=PrincipalKind.ADMINISTRATOR,
            label="account administrator (*:*)",
            arn=here + symbol("an administrator"),
            identity=ALL,
        ),
        Principal(
            id="any other role",
            kind=PrincipalKind.ANY_ROLE,
            label="any other role (kms:*, lambda:*, s3:*, sts:*)",
            arn=here + symbol("any other role"),
            identity=everything("kms:*", "lambda:*", "s3:*", "sts:*"),
        ),
        Principal(
            id=OUTSIDE,
            kind=PrincipalKind.OUTSIDER,
            label="anyone outside the account",
            arn=f"arn:aws:iam::{made_up.of(OUTSIDE)}:role/{symbol('anyone')}",
            identity=ALL,
        ),
    ]


def _if_deployed_together(principals: Iterable[Principal], resources: Iterable[Resource]) -> Iterator[Principal]:
    """Yield principals as those of another stack's account, where one of the two accounts is not known."""
    found: dict[str, set[str]] = defaultdict(set)
    for resource in resources:
        found[resource.account].add(resource.id)
    for who in principals:
        own = who.arn.split(":")[4]
        for other in sorted(found.keys() - {own}) if UNKNOWN_ACCOUNT in {own, *found} else ():
            if UNKNOWN_ACCOUNT in {own, other}:
                same = f" if <account> is {own if other == UNKNOWN_ACCOUNT else other}"
                arn = who.arn.replace(f":{own}:", f":{other}:", 1)
                only = frozenset(found[other])
                yield replace(who, id=f"{who.id}{same}", label=f"{who.label}{same}", arn=arn, stack=None, only=only)


def _with_grants(who: Principal, resources: Iterable[Resource]) -> Principal:
    """Return a principal with its KMS grants as policies of its own: no boundary limits them, nor a lack of IAM's own.

    https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
    """
    found = [
        {**{name: item for name, item in statement.items() if name != "Principal"}, "Resource": resource.arn}
        for resource in resources
        if resource.kind is ResourceKind.KEY
        and (who.boundaries is not None or resource.account != who.arn.split(":")[4])
        for statement in (resource.policy.document["Statement"] if resource.policy else ())
        if text(statement.get("Sid", "")).startswith("grant ")
        and any(may_be(text(named), who.arn) for named in items(mapping(statement.get("Principal")).get("AWS")))
    ]
    granted = Policy(f"KMS grants to {who.id}", "identity", {"Version": "2012-10-17", "Statement": found})
    limits = who.boundaries if who.boundaries is None else [*who.boundaries, granted]
    return replace(who, identity=[*who.identity, granted], boundaries=limits) if found else who


class _Exact:
    """Writes every policy once in its exact form."""

    def __init__(self, expansion: Expansion) -> None:
        self._expansion = expansion
        self._known: dict[int, Policy] = {}

    def policies(self, policies: Iterable[Policy]) -> list[Policy]:
        return [self._known.setdefault(id(policy), self._expansion.policy(policy)) for policy in policies]

    def principal(self, who: Principal) -> Principal:
        boundaries = None if who.boundaries is None else self.policies(who.boundaries)
        return replace(who, identity=self.policies(who.identity), boundaries=boundaries)

    def resource(self, what: Resource) -> Resource:
        return replace(what, policy=self.policies([what.policy])[0]) if what.policy else what


def _noted(found: Iterable[Unresolved]) -> list[Unresolved]:
    """Return what is unresolved, sorted; a condition that is followed both ways is not listed as taken as true."""
    both = {(item.where, item.what) for item in found if item.why == BOTH_WAYS}
    return sorted(item for item in found if item.why == BOTH_WAYS or (item.where, item.what) not in both)


def _accounts_in(stacks: Iterable[Stack]) -> set[str]:
    texts = (json.dumps(stack.template) for stack in stacks)
    return {stack.account for stack in stacks} | {digits for item in texts for digits in re.findall(r"\d{12}", item)}


def _environments(
    stacks: Sequence[Stack], principals: Sequence[Principal], resources: Sequence[Resource], made_up: MadeUpAccounts
) -> Environments:
    arns = list(dict.fromkeys(who.arn for who in principals if who.arn.startswith("arn:")))
    owners = {stack.account for stack in stacks}
    numbers = {arn.split(":")[4] for arn in arns if arn.count(":") > 4} - set(made_up.names)  # noqa: PLR2004
    return Environments(
        places=sorted({(stack.account, stack.region) for stack in stacks}),
        accounts=sorted(owners | {number for number in numbers if re.fullmatch(r"\d{12}", number)}),
        principals=arns,
        resources=[resource.arn for resource in resources],
        services=sorted({who.arn for who in principals if who.kind is PrincipalKind.SERVICE}),
        providers=sorted({who.arn for who in principals if who.kind is PrincipalKind.PROVIDER}),
        made_up=made_up,
    )


def _unique(principals: Iterable[Principal]) -> list[Principal]:
    """Return one of each id and ARN, asked about wherever one of them is; an id of several ARNs says the account."""
    found: dict[tuple[str, str], Principal] = {}
    for principal in principals:
        place = principal.id, principal.arn
        other = found.get(place)
        if other is None or principal.only is None:
            found[place] = principal
        elif other.only is not None:
            found[place] = replace(other, only=other.only | principal.only)
    counted = Counter(name for name, _ in found)
    return [_with_account(who) if counted[who.id] > 1 else who for who in found.values()]


def _with_account(principal: Principal) -> Principal:
    where = principal.arn.split(":")[4]
    where = f"in account {'<account>' if where == UNKNOWN_ACCOUNT else shown(where)}"
    return replace(principal, id=f"{principal.id} {where}", label=f"{principal.label} {where}")
