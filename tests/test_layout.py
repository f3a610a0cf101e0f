"""The house keeps its shape and its language: what must not exist, be imported, be committed or be said."""

import ast
import re
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest

from tests.synthesis import stored

Modules = dict[str, set[str]]


def imports(source: str) -> Iterator[str]:
    """Yield the modules that a source text names; of ``from x import y`` both ``x.y`` and ``x``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def resolved(source: str, known: AbstractSet[str]) -> set[str]:
    """Return which of the modules ``known`` a source text imports."""
    return {known_part for name in imports(source) if (known_part := innermost(name, known))}


def innermost(name: str, known: AbstractSet[str]) -> str:
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def is_in(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def circles(modules: Modules) -> list[set[str]]:
    """Return the groups of modules that reach each other."""
    reached = {name: reachable(name, modules) for name in modules}
    groups = {frozenset(other for other in reached[name] if name in reached.get(other, ())) for name in modules}
    return [set(group) for group in groups if len(group) > 1]


def reachable(start: str, modules: Modules) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        new = modules.get(ahead.pop(), set()) - found
        found |= new
        ahead.extend(new)
    return found


ROOT = Path(__file__).parent.parent
LONGEST_FILE = {"product": 260, "tests": 600}  # lines; one subject per test file needs more than one module
WIDEST_FOLDER = 17
# One file for each pattern: these grow with the patterns, and in nothing else.
PER_PATTERN = {"constructs/kms_patterns/patterns", "demo/groups", "lambda/kms_runtime/handlers"}
MOST_FILES = 700
SOURCE_ROOTS = {"constructs": "constructs/kms_patterns/*.py", "lambda": "lambda/kms_runtime/*.py", ".": "demo/*.py"}

# Room -> what it may import besides itself. The command line of the data plane is part of the other one.
ARROWS = {
    "kms_runtime": set(),
    "kms_patterns.policy": set(),
    "kms_patterns.functions": {"kms_patterns.policy"},
    "kms_patterns.keys": {"kms_patterns.policy"},
    "kms_patterns.patterns": {"kms_patterns.functions", "kms_patterns.keys", "kms_patterns.policy"},
    "kms_patterns.access": {"kms_patterns.policy.prices", "kms_patterns.toolchain"},
    "kms_patterns.local": {"kms_runtime.kms_model"},
    # ``doctor --assets`` makes the functions' code anew.
    "kms_patterns.cli": {
        "kms_patterns.access",
        "kms_patterns.functions",
        "kms_patterns.local",
        "kms_patterns.policy.prices",
        "kms_patterns.toolchain",
        "kms_runtime.cli",
    },
    "demo": {"kms_patterns.local", "kms_patterns.toolchain", "kms_runtime"},
}
# A validation plugin of the CDK: it takes the app that is synthesized.
SYNTHESIZE = {("kms_patterns.access.least_privilege", "aws_cdk")}


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def sources() -> dict[str, Path]:
    """Return the product's modules by name."""
    found = {}
    for root, pattern in SOURCE_ROOTS.items():
        for path in tracked(pattern):
            parts = path.relative_to(ROOT / root).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


@pytest.fixture(scope="module")
def modules() -> Modules:
    """Module name to the names of the product's modules that it imports."""
    known = sources()
    return {name: resolved(path.read_text(), set(known)) - {name} for name, path in known.items()}


@pytest.mark.parametrize("folder", ["constructs", "lambda"])
def test_source_root_is_not_a_package(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists(), f"{folder}/__init__.py would shadow the {folder} package"


@pytest.mark.parametrize("room", ARROWS)
def test_arrows_point_one_way(room: str, modules: Modules) -> None:
    inside = {name for name in modules if is_in(name, room)}
    assert inside, f"no module in {room}"
    allowed = {room, *ARROWS[room]}
    wrong = {
        f"{name} imports {target}"
        for name in inside
        for target in modules[name]
        if not any(is_in(target, other) for other in allowed)
    }
    assert wrong == set()
    used = {target for name in inside for target in modules[name]}
    assert {other for other in ARROWS[room] if not any(is_in(target, other) for target in used)} == set()


def test_picture_of_the_architecture_has_the_arrows_of_the_table() -> None:
    def node(module: str) -> str:
        inner = {"kms_runtime.cli": "rcli"}.get(module, module).removeprefix("kms_patterns.")
        return inner.partition(".")[0]

    picture = (ROOT / "docs" / "architecture.md").read_text().partition("```mermaid")[2].partition("```")[0]
    drawn = set(re.findall(r"^ *(\w+)(?:\[[^]]*\])? --> (\w+)", picture, re.MULTILINE))
    table = {(node(room), node(target)) for room, targets in ARROWS.items() for target in targets}
    inside_the_data_plane = {("handlers", "capabilities"), ("rcli", "capabilities")}
    assert drawn - inside_the_data_plane == table


def test_what_the_architecture_page_names_stands_in_the_file_that_it_links() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page.partition("## Where it is decided")[2].partition("\n## ")[0]
    places = [
        (name.rpartition(".")[2], ROOT / "docs" / path)
        for names, path in re.findall(r"((?:`[\w.]+`[^|;[]*)+) in \[[^]]*\]\(([^)]*)\)", table)
        for name in re.findall(r"`([\w.]+)`", names)
    ]
    assert len(places) == 10
    found = re.compile(r"^(?: *(?:def|class) )?(\w+)(?: =|[(:])", re.MULTILINE)
    assert [(name, path.name) for name, path in places if name not in found.findall(path.read_text())] == []


@pytest.mark.parametrize(
    ("room", "libraries"),
    [
        ("kms_runtime", {"aws_cdk", "constructs", "ministack"}),
        ("kms_patterns.policy", {"constructs"}),
        ("kms_patterns.access", {"aws_cdk", "constructs", "ministack"}),
        ("kms_patterns.local", {"aws_cdk", "constructs"}),
        ("demo", {"aws_cdk", "constructs", "ministack"}),
    ],
)
def test_rooms_keep_libraries_out(room: str, libraries: set[str]) -> None:
    found = {
        f"{name} imports {target}"
        for name, path in sources().items()
        if is_in(name, room)
        for target in imports(path.read_text())
        if target.partition(".")[0] in libraries and (name, target.partition(".")[0]) not in SYNTHESIZE
    }
    assert found == set()


def test_no_module_is_part_of_an_import_circle(modules: Modules) -> None:
    assert circles(modules) == []


def test_circle_is_found_wherever_the_import_stands() -> None:
    under_type_checking = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from demo import b\n"
    in_a_function = "def f():\n    import demo.a\n"
    names = {"demo", "demo.a", "demo.b", "demo.c"}
    found = {
        "demo.a": resolved(under_type_checking, names),
        "demo.b": resolved(in_a_function, names),
        "demo.c": resolved("from demo.a import x", names),
    }
    assert circles(found) == [{"demo.a", "demo.b"}]


@pytest.mark.parametrize(("folder", "most"), [("constructs/kms_patterns", 4), ("lambda/kms_runtime", 16)])
def test_root_of_a_package_shows_few_modules(folder: str, most: int) -> None:
    assert len([path for path in tracked(f"{folder}/*.py") if path.parent == ROOT / folder]) <= most


def test_folders_show_few_files() -> None:
    shown = Counter(str(path.parent.relative_to(ROOT)) for path in sources().values())
    wide = {folder: many for folder, many in shown.items() if many > WIDEST_FOLDER and folder not in PER_PATTERN}
    assert wide == {}


def test_stem_names_one_module() -> None:
    stems = Counter(
        path.stem
        for name, path in sources().items()
        if not path.stem.startswith("__")
        and not is_in(name, "kms_runtime.handlers")
        and name.startswith("kms_")
        # A pattern has the name of what it builds, as its handlers and the capability behind it do.
        and not (is_in(name, "kms_patterns.patterns") and not is_in(name, "kms_patterns.patterns.parts"))
    )
    shared = {stem for stem, many in stems.items() if many > 1} - {"errors"}  # one hierarchy for each distribution
    assert shared == set()


@pytest.mark.parametrize("folder", ["tests/infrastructure", "tests/infrastructure/reference_app"])
def test_snapshot_has_its_test(folder: str) -> None:
    names = [re.fullmatch(r"(\w+)(\[.+\])?\[(\w+)\]", name) for name in stored(ROOT / folder)]
    tests = {(found[3], found[1]) for found in names if found}
    assert len(names) >= len(tests) > 0
    assert [it for it in tests if f"def {it[1]}(" not in (ROOT / folder / f"{it[0]}.py").read_text()] == []


def test_few_files_are_tracked() -> None:
    assert len(tracked()) <= MOST_FILES


def test_lock_files_name_no_addresses() -> None:
    locks = tracked("*.lock", "package-lock.json")
    assert {path.name for path in locks} == {"requirements.lock", "package-lock.json"}
    assert [path.name for path in locks if re.search(r"https?://", path.read_text())] == []


def test_lambda_lock_agrees_with_the_projects() -> None:
    def pins(path: Path) -> set[str]:
        return set(re.findall(r"^([a-z0-9_.-]+==[^\s;]+)", path.read_text(), re.MULTILINE))

    lambda_pins = pins(ROOT / "lambda" / "requirements.lock")
    assert lambda_pins
    assert lambda_pins <= pins(ROOT / "requirements.lock")


def test_installed_cdk_is_not_half_another_package() -> None:
    module = Path(sysconfig.get_path("purelib")) / "aws_cdk" / "cloud_assembly_schema" / "__init__.py"
    assert "aws-cdk-lib.cloud_assembly_schema" in module.read_text(), "aws-cdk-lib must be installed last: make clean"


def test_files_stay_short() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in tracked("*.py")}
    limits = {path: LONGEST_FILE["tests" if path.parts[0] == "tests" else "product"] for path in lengths}
    assert {path: length for path, length in lengths.items() if length > limits[path]} == {}


def test_no_file_is_compiled_or_large() -> None:
    assert [path for path in tracked() if path.suffix == ".pyc" or path.stat().st_size > 1_000_000] == []


# Old form -> the words to use instead.
FORMS = {
    r"\b(is|are|was|were) no (?!longer\b|more\b|less\b|later\b|other\b)": "is not a",
    r"(?i)\bwho(m)?ever\b": "any principal that",
    r"(?i)\b(nobody|somebody|everybody)\b": "no one, someone, everyone; of principals: no principal",
    r"(?i)\blest\b": "so that ... not",
    r"\bto be had\b": "is available",
    r", too(?=[\s.,:;)]*(\n|$)|[.;:)])": "also",
    r"\b[Ll]eft out, ": "Defaults to",
    r"\bbecomes? of\b": "What happens to",
}
PLACES = ("app.py", "*.md", "constructs", "lambda", "demo", "stacks", "examples", "benchmarks")
RECORDS = ("docs/decisions/README.md", "lambda/requirements.lock")
# How many old forms each room still holds; lower the figure with every room that is cleaned.
LEFT: dict[str, int] = {}


def texts() -> dict[str, str]:
    listed = subprocess.run(["git", "ls-files", "-z", *PLACES], cwd=ROOT, capture_output=True, check=True, text=True)
    paths = [name for name in listed.stdout.split("\0") if name and not name.startswith(RECORDS)]
    return {name: (ROOT / name).read_text() for name in paths if (ROOT / name).is_file()}


def room(name: str) -> str:
    parts = name.split("/")
    return "/".join(parts[: 3 if parts[0] in {"constructs", "lambda"} and len(parts) > 3 else 1])


def old_forms(text: str) -> list[str]:
    return [found[0] for form in FORMS for found in re.finditer(form, text)]


def test_old_forms_stay_out() -> None:
    found = Counter[str]()
    for name, text in texts().items():
        found[room(name)] += len(old_forms(text))
    assert {place: many for place, many in found.items() if many > LEFT.get(place, 0)} == {}, FORMS


@pytest.mark.parametrize(
    "text",
    [
        "it is no ARN",
        "Whoever has it",
        "nobody could manage it",
        "lest it be read",
        "not to be had",
        "this one, too",
        "Left out, 365 days.",
        "What becomes of it",
    ],
)
def test_old_form_is_found(text: str) -> None:
    assert len(old_forms(text)) == 1


@pytest.mark.parametrize(
    "text", ["it is no longer there", "too large", "a list", "no one can read it", "left out when"]
)
def test_plain_words_pass(text: str) -> None:
    assert old_forms(text) == []
