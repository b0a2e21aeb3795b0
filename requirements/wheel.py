"""Builds the wheel, in which nothing but `minnow` is importable: a build hook of Hatch.

`minnow/nested.py` says why. An editable installation has the folders as they stand.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NestedPackages(BuildHookInterface):
    """Puts the folders below `minnow`, and beside them what `minnow init` writes."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the sources of a wheel that is built, unless it is an editable one."""
        self._folder = TemporaryDirectory()
        if version == "editable":
            return
        root, out = Path(self.root), Path(self._folder.name) / "minnow"
        nested = load(root / "minnow" / "nested.py")
        file_list = load(root / "minnow" / "project" / "file_list.py")
        nested.copy_nested(root, out)
        file_list.copy_shared(root, out / "project" / "files")
        build_data["force_include"][str(out)] = "minnow"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove them again."""
        self._folder.cleanup()


def load(path: Path) -> ModuleType:
    """Return the module in a file that imports only the standard library.

    Its package is not imported: what that needs is not installed where wheels are built.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module
