"""The files in which a training that was stopped goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from numpy.typing import NDArray

from training.fitting.arrays import load_arrays, save_arrays

T = TypeVar("T")


class Stages:
    """The files in which a recipe keeps what it has computed so far.

    No one but the recipe knows their names: the folder goes when training is done.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: dict[str, Any] = {}
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint(self) -> Path:
        """Where fitting by gradient descent keeps how far it is."""
        return self.folder / "checkpoint.npz"

    def make(
        self, name: str, compute: Callable[[], Mapping[str, NDArray[Any]]]
    ) -> dict[str, NDArray[Any]]:
        """Return the arrays of the stage `name`, of any shapes and types, as `compute` gave them.

        They are computed once and then read from their file; one that is not whole is made again.
        """
        path = self.folder / f"{name}.npz"
        if (stored := load_arrays(path)) is not None:
            return stored
        arrays = dict(compute())
        save_arrays(path, arrays)
        return arrays

    def hold(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` gave, which is kept in memory alone until `release`: for what is
        quicker made again by a process that goes on than written."""
        if name not in self._held:
            self._held[name] = make()
        return cast(T, self._held[name])

    def release(self, name: str) -> None:
        """Let go what is held by that name, if anything is."""
        self._held.pop(name, None)

    def remove(self) -> None:
        """Delete the folder and all that is in it."""
        shutil.rmtree(self.folder)
