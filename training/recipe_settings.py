"""The recipes' own settings, read from their sources for help: an import would take seconds."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

from training.settings import Settings

DEFAULT_RECIPE = "wide_deep"
FOLDER = Path(__file__).with_name("recipes")


@cache
def read_settings() -> tuple[Settings, ...]:
    """Return the SETTINGS of every module in `training/recipes`, the default recipe's first."""
    found = [_read_module(path) for path in FOLDER.glob("[a-z]*.py")]
    return tuple(sorted(found, key=lambda one: (one.recipe != DEFAULT_RECIPE, one.recipe)))


def describe_default(name: str) -> str:
    """Return a setting by recipe: "8 with wide_deep, 5 with stacked", or "0" where all agree."""
    values = [(_format(getattr(settings, name)), settings.recipe) for settings in read_settings()]
    if len({value for value, _ in values}) == 1:
        return values[0][0]
    return ", ".join(f"{value} with {recipe}" for value, recipe in values)


def _read_module(path: Path) -> Settings:
    """Return what stands behind `SETTINGS = Settings(...)`, all of it literals."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SETTINGS":
            call = node.value
            if isinstance(call, ast.Call):
                given = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
                return Settings(**given)  # type: ignore[arg-type]  # a name behind ** would fail
    raise ValueError(f"{path}: has no SETTINGS = Settings(...)")


def _format(value: Any) -> str:
    """Return the value as it is typed: (128, 128) -> "128,128"."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
