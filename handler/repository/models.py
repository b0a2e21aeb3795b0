"""The models of a repository, found by name and version or alias, loaded when they are first asked.

What a request needs is at hand, or is fetched in a thread that may wait (`Pending`). An alias is
looked at beside the requests once its last look is half of `refresh_s` old; only where nobody asked
for longer than `refresh_s` a request waits for the look, for a second at most.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

from handler.errors import ArtefactError, HandlerError, InvalidInput, SettingsError
from handler.inference.models import LIVE, Model, Models, Pending
from handler.inference.monitor import Monitor
from handler.repository.aliases import is_version
from handler.repository.memory import Load, Memory
from handler.repository.settings import RepositorySettings
from handler.repository.shelf import SOONEST_S, Shelf, not_here
from handler.repository.store import Store
from handler.repository.trials import Tried


class StoredModels(Models):
    """Models of a repository, by name and version or alias.

    Args:
        store: The repository.
        settings: How many stay in memory, how old aliases may be.
        load: Reads, checks and loads one version; raises ArtefactError and DeliveryError.
        monitor: Hears what could not be loaded.
        clock: In seconds, on the wall.

    Raises:
        ArtefactError: The default model must not serve, or there is none.
        DeliveryError: The repository cannot be reached.
        SettingsError: `MINNOW_MODEL` names none of its models.
    """

    is_stored = True

    def __init__(
        self,
        store: Store,
        settings: RepositorySettings,
        load: Load,
        monitor: Monitor,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.monitor = monitor
        self.allows_control = settings.allows_control
        self._store = store
        self._settings = settings
        self._load = load
        self._clock = clock
        self._tried = Tried({}, {})
        self.canaries, self.shadows = self._tried
        self._shelves: dict[str, Shelf] = {}
        self._listing = threading.Lock()
        self._listed_at = 0.0
        self._unlisted: HandlerError | None = None  # why the last listing failed, if it did
        self._unlisted_at = 0.0
        self._memory = Memory(settings.most_mb * 1_000_000, self._load_own, self._is_kept, clock)
        self._default_name = ""
        self._list_names()
        self._latest = self._choose_default()

    def _choose_default(self) -> Model:
        """Return the model that answers who names none, or that stands in where several could."""
        wanted, place = self._settings.default, self._store.place
        if wanted and wanted not in self._shelves:
            raise SettingsError(
                f"MINNOW_MODEL is {wanted[:40]!r}, wanted one of the models in {place}: "
                f"{', '.join(self._shelves) or 'there are none'}"
            )
        if len(self._shelves) == 1 or wanted:
            self._default_name = wanted or next(iter(self._shelves))
        failure = ArtefactError(f"{place}: holds no model. Add one: minnow push BUNDLE {place}")
        for name in [self._default_name] if self._default_name else list(self._shelves):
            try:
                model = self._fetch_whole(self._shelves[name])
                return model if self._default_name else model.make_stand_in()
            except InvalidInput:
                failure = ArtefactError(
                    f"{place}: model {name} has no alias {LIVE}. Say which version answers: minnow "
                    f"promote {name} 1 --alias {LIVE} --models {place}"
                )
            except ArtefactError as error:
                failure = error
        raise failure

    @property
    def default(self) -> Model:
        shelf = self._shelves.get(self._default_name)
        model = shelf.find(LIVE) if shelf is not None else None
        if model is not None:
            self._latest = model
        return self._latest

    def __iter__(self) -> Iterator[Model]:
        """Yield the one that must be ready; the others are loaded when they are asked."""
        yield self.default

    def find(
        self, name: str | None = None, version: str | None = None, request_id: str = ""
    ) -> Model | Pending | None:
        """Return the model if it is at hand, `Pending` if it must be fetched, None if there is none
        as of the last look."""
        name = name or self._default_name
        if not name:
            return self._latest if version is None else None
        shelf = self._shelves.get(name)
        if shelf is None:
            return None if self._is_listed() else Pending(self, name, version, request_id)
        if version is not None and is_version(version):
            model = self._memory.find((name, int(version)))
        else:
            now = self._clock()
            if shelf.is_late(now):
                return Pending(self, name, version, request_id)
            shelf.look_if_due(now)
            model = shelf.find(version or LIVE, request_id)
        return Pending(self, name, version, request_id) if model is None else model

    def fetch(self, name: str, version: str | None = None, request_id: str = "") -> Model:
        """Return a model, loaded now where it was not; may wait for the repository.

        Raises:
            InvalidInput: There is no such model, version or alias.
            ArtefactError: It must not serve, and there is nothing to fall back on.
            DeliveryError: The repository cannot be reached.
        """
        shelf = self._find_shelf(name)
        if version is not None and is_version(version):
            return shelf.fetch_version(int(version))
        alias = version or LIVE
        is_first = alias not in shelf.serving
        model = shelf.fetch(alias, request_id)
        if is_first:
            shelf.prepare_soon(alias)
        return model

    def list_shelves(self) -> list[Shelf]:
        """Return what is known of each model, the names as of now."""
        self._list_names()
        return [self._shelves[name] for name in sorted(self._shelves)]

    def list_loaded(self, name: str) -> list[int]:
        """Return the versions of a model that are in memory, ascending."""
        return self._memory.list_versions(name)

    def reload(self, name: str) -> Model:
        """Return a model as its alias `live` has it now; raises what `fetch` raises."""
        shelf = self._find_shelf(name)
        self._memory.forgive(name)
        shelf.expire()
        return self._fetch_whole(shelf)

    def drop(self, name: str) -> None:
        """Free the memory of a model; who asks for it has it loaded again."""
        self._memory.drop(self._find_shelf(name).name)

    def renew(self) -> None:
        """Load all anew but the default, and look again: a snapshot may be old, and its machine
        another one."""
        self._store.forget_connections()
        self._memory.drop()
        for shelf in self._shelves.values():
            shelf.expire()
        if self._default_name:
            self._fetch_whole(self._shelves[self._default_name])

    def forget_connections(self) -> None:
        self._store.forget_connections()

    def _fetch_whole(self, shelf: Shelf) -> Model:
        """Return a model as its alias `live` has it now, and what is tried beside it loaded too."""
        model = shelf.fetch(LIVE)
        shelf.prepare(LIVE)
        return model

    def _find_shelf(self, name: str) -> Shelf:
        if name not in self._shelves and not self._is_listed():
            self._list_names(is_asked=False)
        if name not in self._shelves:
            raise not_here("there is no such model")
        return self._shelves[name]

    def _is_listed(self) -> bool:
        return 0 <= self._clock() - self._listed_at < self._settings.refresh_s

    def _list_names(self, is_asked: bool = True) -> None:
        """List the models; where nobody asked for that, not if others just did, or failed to."""
        with self._listing:
            begun = self._clock()
            if not is_asked and self._is_listed():
                return
            if not is_asked and 0 <= begun - self._unlisted_at < SOONEST_S and self._unlisted:
                raise self._unlisted.with_traceback(None)
            try:
                names = self._store.list_models()
            except HandlerError as error:
                self._unlisted_at, self._unlisted = self._clock(), error
                raise
            for name in names:
                if name not in self._shelves:
                    self._shelves[name] = self._make_shelf(name)
            self._listed_at = begun

    def _make_shelf(self, name: str) -> Shelf:
        refresh_s, tell = self._settings.refresh_s, partial(self._tell, name)
        return Shelf(name, self._store, self._memory, refresh_s, self._clock, tell, self._tried)

    def _load_own(self, name: str, number: int) -> Model:
        model = self._load(name, number)
        model.models = self
        return model

    def _is_kept(self, model: Model) -> bool:
        """Say whether a model stays in memory: it answers who names none, or is tried for that."""
        shelf = self._shelves.get(self._default_name)
        if shelf is None or model.name != self._default_name:
            return False
        return int(model.version) in {shelf.serving.get(LIVE, 0), *shelf.trials.list_versions()}

    def _tell(self, name: str, message: str) -> None:
        line = {"level": "error", "message": f"model {name}: {message}", "model": name}
        self.monitor.log(line)
