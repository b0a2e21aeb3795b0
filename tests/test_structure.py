"""Files and functions stay small enough to be read at once."""

import ast

from tests.helpers.paths import ROOT

ROOMS = ("handler", "training", "export", "minnow", "benchmarks")
MAX_LINES = 400
# Longer than this only with a reason, which stands here.
REASON_LINES = 300
LONG_FILES: dict[str, str] = {
    "benchmarks/cold_start.py": "one measurement from the build to its table",
    "handler/hosts/connection.py": "callbacks of one state machine, called by three libraries",
    "handler/package.py": "runs by itself, outside the package, with the standard library alone",
    "minnow/commands/export.py": "an option for every setting",
    "minnow/commands/train.py": "an option for every setting",
    "training/objectives/single_label.py": "one protocol's answers, in its order",
    "training/recipes/wide_deep.py": "one recipe: planned, fitted, made smaller",
    "training/tasks.py": "one protocol, and how it is found",
}
LONG_FUNCTION = 40  # lines, with its signature and docstring
MAX_LONG_SHARE = 0.015


def read_files() -> dict[str, str]:
    paths = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in paths}


def test_no_file_is_too_long():
    lines = {name: source.count("\n") for name, source in read_files().items()}

    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}
    assert {name for name, count in lines.items() if count > REASON_LINES} == set(LONG_FILES)


def test_few_functions_are_long():
    lengths = {
        f"{name}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for name, source in read_files().items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    long = {name: length for name, length in lengths.items() if length > LONG_FUNCTION}

    assert len(long) <= MAX_LONG_SHARE * len(lengths), long
