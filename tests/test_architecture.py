"""What the layout promises: who imports whom, who reads the environment, where engines are named, how long things are."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOT = ROOT / "bot"
ENGINES = BOT / "engines"
SOURCES = sorted(BOT.rglob("*.py"))
WRITTEN = sorted(path for path in BOT.rglob("*") if path.suffix in {".py", ".js", ".css", ".html"})
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
KINDS: dict[str, str] = PROJECT["project"]["entry-points"]["bot.engines"]
FAMILIES = {kind.split("_")[0] for kind in KINDS}

FUNCTION_LINES = 40
FILE_LINES = 400
# file → the border it guards; what is caught elsewhere is caught by its name
BORDERS = {
    "bot/slack/app.py": "the last-resort answer to a person",
    "bot/jobs.py": "the supervised worker loop",
    "bot/web.py": "the web callable",
    "bot/slack/socket.py": "the same for what comes over a socket",
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), name_of(path))


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports; of `from a import b` both a and a.b."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def kind_of(path: Path) -> str | None:
    """The engine kind whose file this is: the kind itself, or the kind and a noun."""
    owners = [kind for kind in KINDS if path.stem == kind or path.stem.startswith(f"{kind}_")]
    return max(owners, key=len, default=None)


def test_every_import_keeps_to_the_contracts() -> None:
    program = Path(sys.executable).with_name("lint-imports")

    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_only_the_configuration_reads_the_environment() -> None:
    names = {"environ", "environb", "getenv", "getenvb"}

    readers = {
        name_of(path)
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and names & {alias.name for alias in node.names})
    }

    assert readers <= {"bot/config.py"}


def test_only_the_configuration_reads_toml() -> None:
    assert {name_of(path) for path in SOURCES if "tomllib" in imported(path)} <= {"bot/config.py"}


def test_engines_are_named_in_their_own_files_only() -> None:
    engine = re.compile("|".join(FAMILIES), re.IGNORECASE)
    free = [ENGINES, BOT / "simulators", BOT / "play", BOT / "play.py"]

    named = {
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in SOURCES
        if not any(path.is_relative_to(place) for place in free)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if engine.search(line)
    }

    assert not named


def test_code_that_engines_share_names_none_of_them() -> None:
    shared = [path for path in ENGINES.glob("*.py") if not any(family in path.stem for family in FAMILIES)]

    named = {
        f"{name_of(path)}: {word}"
        for path in shared
        for word in re.findall(r"\w+", ast.unparse(tree_of(path)).lower())  # without comments: those give reasons
        if any(family in word for family in FAMILIES)
    }

    assert not named


def test_engines_do_not_know_each_other() -> None:
    files = {f"bot.engines.{path.stem}": kind_of(path) for path in ENGINES.glob("*.py")}

    known = {
        f"{name_of(path)} imports {module}"
        for path in ENGINES.glob("*.py")
        if kind_of(path)
        for module in imported(path)
        if files.get(module) not in {None, kind_of(path)}
    }

    assert not known


def test_each_engine_is_a_file_and_an_entry_point_of_one_name() -> None:
    modules = {kind: target.split(":")[0] for kind, target in KINDS.items()}
    assert modules == {kind: f"bot.engines.{kind}" for kind in KINDS}

    public = {path for path in ENGINES.glob("*.py") if not path.stem.startswith("_")}
    assert {path.stem for path in public} >= set(KINDS), "an entry point without its file"
    assert not {name_of(path) for path in public if not kind_of(path)}, "a file in engines/ without its entry point"


def test_the_installed_entry_points_are_those_of_the_project() -> None:
    installed = {point.name: point.value for point in metadata.entry_points(group="bot.engines")}

    assert installed == KINDS, "install the project again: its metadata is older than pyproject.toml"


def test_broad_excepts_stand_at_the_outer_borders_only() -> None:
    broad = {
        name_of(path)
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler) and catches_all(node) and not passes_on(node)
    }

    assert broad <= BORDERS.keys()


def catches_all(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"}) for kind in kinds)


def passes_on(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_no_function_is_longer_than_40_lines() -> None:
    sizes = {
        f"{name_of(path)}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert not {name: size for name, size in sizes.items() if size > FUNCTION_LINES}


def test_no_file_is_longer_than_400_lines() -> None:
    sizes = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in WRITTEN}

    assert not {name: size for name, size in sizes.items() if size > FILE_LINES}


def test_every_module_says_in_its_first_line_what_it_is() -> None:
    silent = {name_of(path) for path in SOURCES if tree_of(path).body and not ast.get_docstring(tree_of(path))}

    assert not silent
