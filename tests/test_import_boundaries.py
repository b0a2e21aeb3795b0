"""The rooms' walls: who may import whom, imports inside functions included."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "handler": {"training", "export", "tensorflow", "keras", "tf2onnx", "onnx"},
    "training": {"export", "handler"},
    "export": {"training"},
}


def imported_packages(source: str) -> set[str]:
    """Return the first part of every absolute import: "from a.b import c" -> {"a"}."""
    packages = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            packages.add(str(node.module).split(".")[0])
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name | ast.Attribute)
            and getattr(node.func, "attr", getattr(node.func, "id", ""))
            in ("import_module", "__import__")
        ):
            packages.add(_first_text(node).split(".")[0])
    return packages


def _first_text(call: ast.Call) -> str:
    (argument, *_) = call.args
    if isinstance(argument, ast.JoinedStr):
        argument = argument.values[0]
    return str(argument.value) if isinstance(argument, ast.Constant) else "unreadable"


def test_imports_inside_functions_are_seen():
    source = "def f():\n    import keras.layers\n    from export.graph import Graph\n"
    dynamic = "importlib.import_module(f'training.recipes.{name}')\n__import__('onnx')\n"

    assert imported_packages(source) == {"keras", "export"}
    assert imported_packages(dynamic) == {"training", "onnx"}


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_room_imports_nothing_behind_its_walls(room):
    files = sorted((ROOT / room).rglob("*.py"))

    found = {
        str(path.relative_to(ROOT)): crossing
        for path in files
        if (crossing := imported_packages(path.read_text("utf-8")) & FORBIDDEN[room])
    }

    assert files
    assert found == {}


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_room_has_no_relative_or_unreadable_import(room):
    """A relative import could climb out of a room unseen by the test above."""
    sources = [path.read_text("utf-8") for path in (ROOT / room).rglob("*.py")]

    relative = [
        node.module
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.level
    ]

    assert relative == []
    assert all("unreadable" not in imported_packages(source) for source in sources)


def test_handler_package_is_empty():
    assert (ROOT / "handler" / "__init__.py").read_bytes() == b""
