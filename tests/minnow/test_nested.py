"""Imports as the wheel has them, and back."""

import pytest

from minnow.nested import (
    FOLDERS,
    NestingError,
    copy_sources,
    find_names,
    list_modules,
    nest_imports,
)
from minnow.nested import restore_imports as restore
from tests.helpers.paths import ROOT

BEFORE = '''"""From handler.errors come errors: from handler import x."""
from handler import function
from handler.errors import (
    InvalidInput,
)
import handler as sources, os, training.train as train
import handlers, minnow.cli
from handlers import x
from . import handler
ü = 1; from export.graph import Graph  # from export import x


def load():
\tfrom   training.recipe import (load_recipe)
    # import handler
\treturn "from handler import x", load_recipe
'''.replace("    # import", "\t# import")
AFTER = '''"""From handler.errors come errors: from handler import x."""
from minnow.handler import function
from minnow.handler.errors import (
    InvalidInput,
)
import minnow.handler as sources, os, minnow.training.train as train
import handlers, minnow.cli
from handlers import x
from . import handler
ü = 1; from minnow.export.graph import Graph  # from export import x


def load():
\tfrom   minnow.training.recipe import (load_recipe)
    # import handler
\treturn "from handler import x", load_recipe
'''.replace("    # import", "\t# import")


def test_imports_get_the_wheels_names_and_nothing_else_does():
    assert nest_imports(BEFORE) == AFTER


def test_what_was_nested_comes_back_as_it_was():
    assert restore(AFTER) == BEFORE
    assert restore(BEFORE) == BEFORE


@pytest.mark.parametrize("source", ["import handler", "def f():\n    import os, training.train\n"])
def test_an_import_that_binds_the_folders_name_is_refused(source):
    with pytest.raises(NestingError, match=r"line \d: import \S+ binds the name (handler|train)"):
        nest_imports(source)


def test_an_import_over_two_lines_is_refused_rather_than_missed():
    with pytest.raises(NestingError, match="line 1: an import in a shape that is not known"):
        nest_imports("from \\\n    handler import errors\n")


@pytest.mark.parametrize(
    "text",
    [
        '"handler.errors"',
        'f"training.recipes.{name}"',
        'f"training.{name}"',
        '("-m", "handler.hosts.server")',
        '"handler.function.handler"',
    ],
)
def test_a_text_that_names_a_module_is_found(text):
    modules = [*list_modules(ROOT)]

    assert len(find_names(f"x = 1\ny = {text}\n", modules)) == 1


@pytest.mark.parametrize(
    "text",
    ['"""handler.errors are raised."""', 'x = "export"', 'x = "export.json"', 'x = "a handler."'],
)
def test_other_texts_name_no_module(text):
    assert find_names(text, list_modules(ROOT)) == []


@pytest.mark.parametrize("folder", [*FOLDERS, "minnow"])
def test_every_source_can_be_a_module_of_the_wheel(folder):
    modules = [*list_modules(ROOT)]
    sources = {path: path.read_bytes().decode() for path in (ROOT / folder).rglob("*.py")}

    assert sources
    assert {
        str(path): names for path, s in sources.items() if (names := find_names(s, modules))
    } == {}
    assert [str(path) for path, s in sources.items() if restore(nest_imports(s)) != s] == []


def test_a_copy_of_read_only_sources_can_be_written(tmp_path):
    inner = tmp_path / "sources" / "inner"
    inner.mkdir(parents=True)
    (inner / "a.py").write_text("from minnow.handler import x\n")
    (inner / "a.txt").write_text("a")
    for path in (inner / "a.py", inner / "a.txt", inner):
        path.chmod(0o555 if path.is_dir() else 0o444)

    copy_sources(tmp_path / "sources", tmp_path / "out", restore)

    copied = tmp_path / "out" / "inner"
    assert (copied / "a.py").read_text() == "from handler import x\n"
    modes = [oct(path.stat().st_mode & 0o777) for path in (copied, *sorted(copied.iterdir()))]
    assert modes == ["0o755", "0o644", "0o644"]
    inner.chmod(0o755)
