"""The folders of a checkout as the wheel has them, packages inside `minnow`, and back.

In a checkout, and in the function, `handler` is a package of that name. In an environment that is
shared with others' code the name may be taken, so there it is `minnow.handler`: the wheel is built
of sources whose imports say so, by `requirements/wheel.py`, and what becomes a function again is
written with the imports of before. Standard library only: the build has nothing else.
"""

from __future__ import annotations

import ast
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

FOLDERS = ("handler", "training", "export")
OUTER = "minnow."
IGNORED = ("__pycache__", "*.py[cod]")
BEGINNING = re.compile(rb"(from\s+)?")  # of an import, before the module's name


class NestingError(Exception):
    """A source that cannot be a module of the wheel; the message says which line, and why."""


def nest_imports(source: str) -> str:
    """Return the source of a module of the wheel.

    "from handler.errors import InvalidInput" -> "from minnow.handler.errors import InvalidInput"

    Raises:
        NestingError: `import handler` without `as` binds a name that the wheel does not have.
    """

    def add(name: bytes) -> bytes:
        return OUTER.encode() + name

    return _rename(source, FOLDERS, add)


def restore_imports(source: str) -> str:
    """Return what `nest_imports` was given."""

    def remove(name: bytes) -> bytes:
        return name.removeprefix(OUTER.encode())

    return _rename(source, tuple(OUTER + folder for folder in FOLDERS), remove)


def find_names(source: str, modules: Iterable[str]) -> list[str]:
    """Return "line: name" of every text in a source that is, or begins with, a module's name.

    Such a text, as `importlib` takes it, names nothing in the wheel. `__package__` does, and the
    `__name__` of a module that is imported.

    Args:
        modules: Names of all modules and packages of `FOLDERS`.
    """
    known = {*modules} - {*FOLDERS}  # words of their own
    beginnings = [f"{folder}." for folder in FOLDERS]
    tree = ast.parse(source)
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    docstrings = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return [
        f"{node.lineno}: {node.value}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node not in docstrings
        if known & {*_list_packages(node.value.split(" ")[0])} or node.value in beginnings
    ]


def copy_nested(root: Path, out: Path) -> None:
    """Copy `FOLDERS` and `minnow` of the checkout `root` into `out`, as modules of the wheel.

    Raises:
        NestingError: A source names a module by a text, or would not come back as it is.
    """
    modules = {*list_modules(root)}

    def nest(source: str) -> str:
        if names := find_names(source, modules):
            raise NestingError(
                f"line {names[0]}: in the wheel this module has another name; make the text of "
                "__package__ or __name__"
            )
        nested = nest_imports(source)
        if restore_imports(nested) != source:
            raise NestingError(f"it imports from {OUTER}{FOLDERS[0]}, a name of the wheel")
        return nested

    copy_sources(root / OUTER.rstrip("."), out, nest)
    for folder in FOLDERS:
        copy_sources(root / folder, out / folder, nest)


def copy_sources(
    folder: Path, out: Path, change: Callable[[str], str], ignored: Sequence[str] = ()
) -> None:
    """Copy `folder` to `out`, which may be there, with its Python sources changed.

    Args:
        ignored: Patterns of names that are left out.
    """
    ignore = shutil.ignore_patterns(*IGNORED, *ignored)
    shutil.copytree(folder, out, ignore=ignore, dirs_exist_ok=True)
    for path in (out, *out.rglob("*")):  # of an environment that is read-only
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    for path in sorted(out.rglob("*.py")):
        source = folder / path.relative_to(out)
        try:
            path.write_bytes(change(source.read_bytes().decode()).encode())
        except NestingError as error:
            raise NestingError(f"{source}: {error}") from error


def list_modules(root: Path) -> Iterator[str]:
    """Yield the name of every module and package of `FOLDERS` in a checkout."""
    for folder in FOLDERS:
        for path in (root / folder).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _list_packages(name: str) -> Iterator[str]:
    """Yield a dotted name and what it stands in: "a.b" -> "a", "a.b"."""
    parts = name.split(".")
    return (".".join(parts[: end + 1]) for end in range(len(parts)))


def _rename(source: str, names: tuple[str, ...], change: Callable[[bytes], bytes]) -> str:
    """Return the source with every imported module below one of `names` renamed."""
    lines = source.encode().split(b"\n")  # the columns of a syntax tree are bytes
    for line, column, name in reversed([*_find_imports(ast.parse(source), names)]):
        text = lines[line - 1]
        begin = BEGINNING.match(text, column).end()  # type: ignore[union-attr]  # may be empty
        if not text.startswith(name.encode(), begin):
            raise NestingError(f"line {line}: an import in a shape that is not known")
        end = begin + len(name)
        lines[line - 1] = text[:begin] + change(text[begin:end]) + text[end:]
    return b"\n".join(lines).decode()


def _find_imports(tree: ast.AST, names: tuple[str, ...]) -> Iterator[tuple[int, int, str]]:
    """Yield line, column in bytes and name of the imports below `names`, in their order."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level:
            if _is_below(node.module or "", names):
                found.append((node.lineno, node.col_offset, node.module or ""))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if _is_below(alias.name, names):
                    if alias.asname is None:
                        raise NestingError(
                            f"line {node.lineno}: import {alias.name} binds the name "
                            f"{alias.name.split('.')[0]}; wanted from … import, or import … as"
                        )
                    found.append((alias.lineno, alias.col_offset, alias.name))
    return iter(sorted(found))


def _is_below(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)
