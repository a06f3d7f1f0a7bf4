"""What must hold of the code as a whole: imports run downward, files are short, exports are in order."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(path for package in ("core", "pipeline") for path in (ROOT / package).rglob("*.py"))
LINES = 350
# The rooms of each package, from the bottom up: a room imports only those before it. Modules at the top are rooms too.
ORDER = {
    "core": "base gradcheck functional cells losses optim layers model online text seq2seq audio training_state serial",
    "pipeline": "launch flow observe sources sinks decoding lanes tasks export checkpoint plan executors stages "
    "training testing serving command",
}
FLOORS = {"core": 6, "pipeline": 10}
OTHERS = sorted(
    path for folder in ("tests", "benchmarks", "examples", "docs") for path in (ROOT / folder).rglob("*.py")
)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    """The modules of the project that the file at `path` imports, and the top-level names of the others."""
    name = module_name(path)
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            base = [part for part in base if part]
            for alias in node.names:
                as_module = ".".join([*base, alias.name])
                found.add(as_module if as_module in MODULES else ".".join(base))
    return found


MODULES = {module_name(path): path for path in FILES}


def test_the_core_knows_neither_trio_nor_the_pipeline() -> None:
    for path in (ROOT / "core").rglob("*.py"):
        wrong = {name for name in imports_of(path) if name == "trio" or name.startswith("pipeline")}
        assert not wrong, path


def test_there_are_no_cycles() -> None:
    graph = {name: imports_of(path) & MODULES.keys() for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail, name))
        if name not in done:
            for other in graph[name]:
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("package", ORDER)
def test_rooms_import_downward_and_are_few_floors_high(package: str) -> None:
    order = ORDER[package].split()
    below: dict[str, set[str]] = {room: set() for room in order}
    for name, path in MODULES.items():
        if name.startswith(f"{package}."):
            room = name.split(".")[1]
            inside = [other for other in imports_of(path) & MODULES.keys() if other.startswith(f"{package}.")]
            others = {other.split(".")[1] for other in inside}
            below[room] |= others - {room}
    floors: dict[str, int] = {}
    for room in order:
        assert below[room] <= floors.keys(), f"{room} imports {below[room] - floors.keys()}, which stand above it"
        floors[room] = 1 + max((floors[other] for other in below[room]), default=0)
    assert max(floors.values()) <= FLOORS[package], floors


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_a_file_is_one_sitting_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LINES
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.name)
def test_so_are_tests_benchmarks_examples_and_what_makes_the_site(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LINES
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", sorted((ROOT / "core" / "kernels").iterdir()), ids=lambda path: path.name)
def test_so_is_a_file_of_c(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LINES
    assert text.startswith("/* ")
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("name", MODULES)
def test_what_is_exported_exists_is_documented_and_sorted(name: str) -> None:
    module = importlib.import_module(f"recurrio.{name}")
    assert module.__all__
    for exported in module.__all__:
        value = getattr(module, exported)
        if callable(value) and getattr(value, "__module__", "").startswith("recurrio"):
            assert value.__doc__, exported
