"""The versions of models that are in memory: the least recently used are dropped above a limit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from handler.errors import ArtefactError
from handler.inference.bundle import MissingArtefactError
from handler.inference.manifest import MODEL
from handler.inference.models import Model

# What a model takes: its weights twice, 200 bytes a word (the shipped one: 5.6 MB by this, 4.9 as
# measured).
LOAD_TIMES, WORD_BYTES = 2, 200
REFUSED_S = 60.0  # a version that must not serve is not read again for so long
MAX_REFUSED = 1000

Key = tuple[str, int]  # name and version
Load = Callable[[str, int], Model]


class Memory:
    """Loads versions, and keeps as many as there is room for.

    Args:
        most_bytes: Of all together, but for the newest and what `is_kept` says.
        load: Reads, checks and loads one version; raises ArtefactError and DeliveryError.
        is_kept: Says whether a model stays whatever it takes.
        clock: In seconds.
    """

    def __init__(
        self,
        most_bytes: int,
        load: Load,
        is_kept: Callable[[Model], bool],
        clock: Callable[[], float],
    ) -> None:
        self._most_bytes = most_bytes
        self._load = load
        self._is_kept = is_kept
        self._clock = clock
        self._models: OrderedDict[Key, Model] = OrderedDict()
        self._lock = threading.Lock()  # while models come and go
        self._refused: dict[Key, tuple[float, str]] = {}

    def find(self, key: Key) -> Model | None:
        """Return a model that is loaded, now the most recently used."""
        model = self._models.get(key)
        if model is not None:
            try:
                self._models.move_to_end(key)
            except KeyError:  # dropped at this moment: it answers all the same
                pass
        return model

    def get(self, key: Key) -> Model:
        """Return a model, loaded now where it was not.

        Raises:
            MissingArtefactError: It is not there, or not whole yet.
            ArtefactError: It must not serve, as is known for a minute.
            DeliveryError: It cannot be read now.
        """
        found = self.find(key)
        if found is not None:
            return found
        until, why = self._refused.get(key, (0.0, ""))
        if self._clock() < until:
            raise ArtefactError(why)
        try:
            model = self._load(*key)
        except MissingArtefactError:  # its push may go on, and end at any moment
            raise
        except ArtefactError as error:
            if len(self._refused) >= MAX_REFUSED:
                self._refused.clear()
            self._refused[key] = (self._clock() + REFUSED_S, str(error))
            raise
        with self._lock:
            self._models[key] = model
            self._make_room(key)
        return model

    def list_versions(self, name: str) -> list[int]:
        """Return the versions of a model that are loaded, ascending."""
        return sorted(number for model, number in list(self._models) if model == name)

    def drop(self, name: str = "") -> None:
        """Drop the versions of a model, or of all, but for what is kept."""
        with self._lock:
            for key, model in list(self._models.items()):
                if name in ("", key[0]) and not self._is_kept(model):
                    self._forget(key)

    def forgive(self, name: str) -> None:
        """Let the versions of a model be tried again that were refused."""
        for key in [key for key in list(self._refused) if key[0] == name]:
            self._refused.pop(key, None)

    def _make_room(self, newest: Key) -> None:
        total = sum(map(count_bytes, list(self._models.values())))
        for key, model in list(self._models.items()):
            if total <= self._most_bytes:
                return
            if key != newest and not self._is_kept(model):
                total -= count_bytes(model)
                self._forget(key)

    def _forget(self, key: Key) -> None:
        model = self._models.pop(key)
        prometheus = model.monitor.prometheus
        if prometheus is not None and model.description in prometheus.models:
            prometheus.models.remove(model.description)


def count_bytes(model: Model) -> int:
    """Return about how much memory a model takes."""
    size = model.manifest.files[MODEL].size_bytes
    return LOAD_TIMES * size + WORD_BYTES * len(model.classifier.tokenizer.word_ids)
