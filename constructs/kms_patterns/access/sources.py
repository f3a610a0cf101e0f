"""Where matrices come from: assemblies, templates, saved JSON, CDK projects, and git revisions of one."""

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from kms_patterns.access.evaluate.building import build_of, build_with
from kms_patterns.access.evaluate.simulator import simulator
from kms_patterns.access.live.account import Account
from kms_patterns.access.live.asking import AccountNotRead
from kms_patterns.access.matrix import Matrix
from kms_patterns.access.model import ALONE, WITHOUT_POLICY, Model, Principal, PrincipalKind, Unresolved
from kms_patterns.access.project import checked_out, is_project, synthesized
from kms_patterns.access.read.assembly import (
    UNKNOWN_ACCOUNT,
    UNKNOWN_REGION,
    NotAnAssembly,
    Stack,
    check_declared,
    load_assembly,
    nested_path,
)
from kms_patterns.access.read.reader import model_of
from kms_patterns.access.report.matrix_json import NotAMatrix, read
from kms_patterns.access.templates.reading import Given
from kms_patterns.access.templates.template_text import NotATemplate, document_of

LIVE = "live"
"""The word that stands for an account, where a path or a revision could stand."""


@dataclass(frozen=True)
class Sources:
    """How the words of a command line are read.

    Attributes:
        project: The folder that revisions are about, and where the search for the simulator starts; defaults to the
            current folder.
        live: The account that the word ``live`` stands for.
        given: Parameter values, account and Region that only a deployment decides.
        variables: Environment variables that an app may see while it is synthesized.
    """

    project: Path | None = None
    given: Given = field(default_factory=Given)
    live: Account | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse an account that is not the one whose credentials are used."""
        if self.live and self.given.account not in {None, self.live.account}:
            raise AccountNotRead(f"--account {self.given.account}: the credentials are of account {self.live.account}")

    def matrix(self, words: Sequence[str]) -> Matrix:
        """Return the matrix of one source, or of several templates and assemblies together.

        Args:
            words: A ``cdk.out`` folder, a template or a folder of them, a saved JSON report, a folder with a
                ``cdk.json`` (the working tree), or a git revision; or several paths.

        Raises:
            NotAnAssembly: A path is none of these.
            NotATemplate: A template cannot be read.
            NotAMatrix: The file is JSON, but neither a template nor a report of this version.
            SynthesisFailed: The path or revision does not exist, or its app fails.
        """
        return _saved(words) or replace(build_of(self._some(words), project=self.project), live=bool(self.live))

    def model(self, words: Sequence[str]) -> Model:
        """Return who and what is in one source, or in several templates and assemblies together.

        Raises:
            NotATemplate: A source is a saved report, or see ``matrix``.
        """
        if _saved(words):
            raise NotATemplate(f"{words[0]} is a saved report; this needs the templates themselves")
        return model_of(self._some(words))

    def _some(self, words: Sequence[str]) -> list[Stack]:
        found = self.stacks(words)
        if not found:
            raise NotAnAssembly(f"{', '.join(words)} has no stack")
        return found

    def pair(self, old: str, new: str) -> tuple[Matrix, Matrix]:
        """Return the matrices of two sources, for the same account and Region.

        An app of a revision or folder is synthesized for the environment of the other side's assembly, so that the same
        code shows no difference.
        """
        agreed = replace(self, given=replace(self._agreed([old, new]), partly=True))
        if old == new == LIVE:
            raise AccountNotRead("the account is read once: save a report of it as JSON to compare it with a later one")
        if LIVE in {old, new}:
            stacks = agreed.stacks([new if old == LIVE else old])
            check_declared(self.given, stacks)
            planned, live = self._drift(stacks)
            return (live, planned) if old == LIVE else (planned, live)
        saved = [_saved([word]) for word in (old, new)]
        for word, matrix in zip((old, new), saved, strict=True):
            if matrix and matrix.only:
                raise NotAMatrix(f"{word} holds only {matrix.only}: compare reports from which nothing is left out")
        sides = [[] if saved[side] else agreed.stacks([word]) for side, word in enumerate((old, new))]
        check_declared(self.given, [*sides[0], *sides[1]])
        names = _as_one(sides, saved)
        before, after = (saved[side] or build_of(sides[side], project=self.project) for side in (0, 1))
        return before, replace(after, paired=names)

    def _drift(self, stacks: list[Stack]) -> tuple[Matrix, Matrix]:
        """Return the matrix of stacks, and that of the account's stacks of the same names."""
        account = self._account()
        live = model_of(account.stacks(like=stacks))
        elsewhere = {stack.id: stack.account for stack in stacks if stack.account != account.account}
        others = [
            Unresolved(name, f"stack of account {number}", "only one account is read")
            for name, number in elsewhere.items()
        ]
        live = replace(live, unresolved=sorted([*live.unresolved, *others]))
        ids = {stack.id for stack in stacks} - {*elsewhere}
        with simulator(self.project) as running:
            planned = build_with(_identified(model_of(stacks), live.principals), running)
            found = replace(build_with(live, running), live=True)
        return _of_stacks(planned, ids), _told_once(_of_stacks(found, ids))

    def _account(self) -> Account:
        if self.live is None:
            raise AccountNotRead("no account to read: give --profile or --region")
        return self.live

    def _agreed(self, words: Sequence[str]) -> Given:
        if self.live and LIVE in words:
            return replace(self.given, account=self.live.account, region=self.live.region)
        assemblies = [Path(word) for word in words if (Path(word) / "manifest.json").is_file()]
        stacks = [stack for path in assemblies for stack in load_assembly(path, Given())]
        accounts = {stack.account for stack in stacks} - {UNKNOWN_ACCOUNT}
        regions = {stack.region for stack in stacks} - {UNKNOWN_REGION}
        return replace(
            self.given,
            account=self.given.account or (accounts.pop() if len(accounts) == 1 else None),
            region=self.given.region or (regions.pop() if len(regions) == 1 else None),
        )

    def stacks(self, words: Sequence[str]) -> list[Stack]:
        """Return the stacks of one source, or of several paths together; see ``matrix``."""
        if list(words) == [LIVE]:
            if void := [*self.given.parameters, *self.variables]:
                raise AccountNotRead(f"{', '.join(void)}: an account has neither parameters nor an app to synthesize")
            return self._account().stacks()
        paths = [_path(word) for word in words]
        if all(path.exists() and not is_project(path) for path in paths):
            return load_assembly(paths, self.given)
        if len(words) > 1:
            raise NotATemplate(f"{', '.join(words)}: only templates and assemblies are read together")
        if is_project(paths[0]):
            with synthesized(paths[0].resolve(), self.given, self.variables, what=words[0]) as output:
                return load_assembly(output, self.given)
        with checked_out(words[0], self.project or Path.cwd()) as place:
            what = f"revision {words[0]}"
            with synthesized(place, self.given, self.variables, what=what) as output:
                return load_assembly(output, self.given)


def _identified(model: Model, known: Sequence[Principal]) -> Model:
    """Return a model whose principals that policies only name are those that the account has, with their policies."""
    by_arn = {who.arn: who for who in known if who.stack and who.stack not in model.stacks}
    made: list[Principal] = []
    for who in model.principals:
        found = by_arn.get(who.arn) if who.kind is PrincipalKind.NAMED else None
        if found is None:
            made.append(who)
        elif not who.id.endswith(ALONE):
            policies = [replace(policy, origin=None) for policy in found.identity]
            made.append(replace(found, identity=policies, only=who.only))
    return replace(model, principals=made)


def _of_stacks(matrix: Matrix, ids: Set[str]) -> Matrix:
    policies = [item for item in matrix.policies if item.policy.startswith(tuple(f"{name}/" for name in ids))]
    return replace(matrix.of_stacks(ids), policies=policies)


def _told_once(matrix: Matrix) -> Matrix:
    """Leave out what principals beside the stacks reach as a role without any policy does, by the same statements."""
    own = {who.id for who in matrix.principals if who.stack in {None, *matrix.stacks}}
    facts = {entry: replace(entry, principal="") for entry in matrix.entries}
    given = {facts[entry] for entry in matrix.entries if entry.principal == WITHOUT_POLICY}
    kept = [entry for entry in matrix.entries if entry.principal in own or facts[entry] not in given]
    return replace(matrix, entries=kept)


def _path(word: str) -> Path:
    if not word.strip():
        raise NotAnAssembly(f"{word!r} is neither a path nor a git revision: is a variable of the shell empty?")
    return Path("/dev/stdin" if word == "-" else word)


def _as_one(sides: list[list[Stack]], saved: Sequence[Matrix | None]) -> dict[str, str]:
    """Give both states of a stack one id in ``sides``, and return the old id and the new one if these differed."""
    ids = [
        matrix.stacks if matrix else [stack.id for stack in stacks] for matrix, stacks in zip(saved, sides, strict=True)
    ]
    old, new = ([name for name in every if not any(name.startswith(f"{top}/") for top in every)] for every in ids)
    alone = [name for name in old if name not in new], [name for name in new if name not in old]
    pairs = {alone[0][0]: alone[1][0]} if len(old) == len(new) == len(alone[0]) == 1 else _of_one_content(sides, alone)
    side = int(saved[0] is not None)
    called = {stack.id: stack.name for stack in sides[1 - side]}
    renamed = {new: old for old, new in pairs.items()} if side else pairs
    sides[side] = _called(sides[side], {name: (like, called.get(like, like)) for name, like in renamed.items()}, {})
    paths = {stack.id: stack.paths for stacks in sides for stack in stacks if stack.paths}
    sides[:] = [_called(stacks, {}, paths) for stacks in sides]
    return pairs


def _of_one_content(sides: Sequence[Sequence[Stack]], alone: Sequence[Sequence[str]]) -> dict[str, str]:
    """Return stacks of another name whose resources have the same logical ids and types, if only one is like it."""
    like: dict[frozenset[tuple[str, str]], tuple[list[Stack], list[Stack]]] = {}
    for side, (stacks, names) in enumerate(zip(sides, alone, strict=True)):
        for stack in stacks:
            if stack.id in names:
                content = frozenset((name, item["Type"]) for name, item in stack.resources.items())
                like.setdefault(content, ([], []))[side].append(stack)
    alike = [(old[0], new[0]) for old, new in like.values() if len(old) == len(new) == 1]
    return {old.id: new.id for old, new in alike if _may_be_at_one_place(old, new)}


def _may_be_at_one_place(old: Stack, new: Stack) -> bool:
    account, region = {old.account, new.account}, {old.region, new.region}
    return (len(account) == 1 or UNKNOWN_ACCOUNT in account) and (len(region) == 1 or UNKNOWN_REGION in region)


def _called(
    stacks: Sequence[Stack], names: Mapping[str, tuple[str, str]], paths: Mapping[str, Mapping[str, str]]
) -> list[Stack]:
    """Return stacks with other ids and names, those nested in them along, and construct paths where they have none."""
    made: dict[Stack, Stack] = {}
    for stack in stacks:  # sorted: one before those nested in it
        identifier, name = names.get(stack.id, (stack.id, stack.name))
        parent = (made[stack.parent[0]], stack.parent[1]) if stack.parent else None
        if parent:
            identifier, name = f"{parent[0].id}/{nested_path(*parent)}", f"{parent[0].name}-{parent[1]}"
        known = stack.paths or paths.get(identifier, {})
        made[stack] = replace(stack, id=identifier, name=name, paths=known, parent=parent)
    return sorted(made.values(), key=lambda stack: stack.id)


def _saved(words: Sequence[str]) -> Matrix | None:
    path = _path(words[0])
    if len(words) > 1 or not path.is_file() or path.suffix in {".yaml", ".yml"}:
        return None
    document = document_of(path)
    if isinstance(document, dict) and "Resources" in document:
        return None
    try:
        return read(json.dumps(document))
    except NotAMatrix as error:
        raise NotAMatrix(f"{words[0]}: {error}") from error
