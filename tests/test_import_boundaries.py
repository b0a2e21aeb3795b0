"""The rooms stand in one line, each imports only to its left, and no import runs in a circle.

Imports inside functions and under TYPE_CHECKING count too.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

ROOMS = ("handler", "training", "export", "minnow")
HEAVY = {"tensorflow", "keras", "tf2onnx", "onnx"}
FORBIDDEN = {
    room: set(ROOMS[index + 1 :]) | (HEAVY if room == "handler" else set())
    for index, room in enumerate(ROOMS)
}


def imported_modules(source: str) -> Iterator[str]:
    """Yield every module or name that is imported: "from a.b import c" -> a.b, a.b.c."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name | ast.Attribute)
            and getattr(node.func, "attr", getattr(node.func, "id", ""))
            in ("import_module", "__import__")
        ):
            yield _first_text(node)


def _first_text(call: ast.Call) -> str:
    (argument, *_) = call.args
    if isinstance(argument, ast.JoinedStr):
        argument = argument.values[0]
    if isinstance(argument, ast.FormattedValue) and ast.unparse(argument.value) == "__package__":
        return "__package__"  # the importing module's own
    return str(argument.value) if isinstance(argument, ast.Constant) else "unreadable"


def read_sources(*folders: str) -> dict[str, str]:
    """Return module -> source of every file below the folders."""
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {name_module(path): path.read_text("utf-8") for path in paths}


def name_module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def packages_of(module: str) -> set[str]:
    """Return the packages that are imported with a module: "a.b.c" -> a, a.b."""
    parts = module.split(".")
    return {".".join(parts[:index]) for index in range(1, len(parts))}


def find_circle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of one circle, in order; empty where there is none."""
    done: set[str] = set()

    def visit(module: str, road: list[str]) -> list[str]:
        if module in road:
            return [*road[road.index(module) :], module]
        if module in done:
            return []
        for target in sorted(graph[module]):
            if circle := visit(target, [*road, module]):
                return circle
        done.add(module)
        return []

    return next((circle for module in sorted(graph) if (circle := visit(module, []))), [])


def test_imports_inside_functions_are_seen():
    source = "def f():\n    import keras.layers\n    from export.graph import Graph\n"
    dynamic = "importlib.import_module(f'training.recipes.{name}')\n__import__('onnx')\n"
    own = "importlib.import_module(f'{__package__}.recipes.{name}')\nimport_module(f'{name}')\n"

    assert set(imported_modules(source)) == {"keras.layers", "export.graph", "export.graph.Graph"}
    assert list(imported_modules(dynamic)) == ["training.recipes.", "onnx"]
    assert list(imported_modules(own)) == ["__package__", "unreadable"]


def test_a_circle_is_found():
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_to_its_left(room):
    sources = read_sources(room)

    found = {
        module: crossing
        for module, source in sources.items()
        if (crossing := {name.split(".")[0] for name in imported_modules(source)} & FORBIDDEN[room])
    }

    assert sources
    assert found == {}


@pytest.mark.parametrize("folder", [*ROOMS, "benchmarks", "tests"])
def test_no_import_is_relative_or_unreadable(folder):
    """A relative import could climb out of a room unseen by the test above."""
    names = [name for source in read_sources(folder).values() for name in imported_modules(source)]

    assert [name for name in names if name.startswith(".") or name == "unreadable"] == []


def test_no_import_runs_in_a_circle():
    """With a module come the packages that it stands in, but for those of the importing module."""
    sources = read_sources(*ROOMS, "benchmarks")
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        names = {name for name in imported_modules(source) if name in sources}
        packages = {package for name in names for package in packages_of(name)}
        graph[module] = (names | packages & sources.keys()) - packages_of(module) - {module}

    assert find_circle(graph) == []


def test_no_test_imports_another_test():
    found = {
        module: names
        for module, source in read_sources("tests").items()
        if (
            names := [
                name
                for name in imported_modules(source)
                if name.startswith("tests.") and not name.startswith("tests.helpers")
            ]
        )
    }

    assert found == {}


def test_handler_package_is_empty():
    assert (ROOT / "handler" / "__init__.py").read_bytes() == b""
