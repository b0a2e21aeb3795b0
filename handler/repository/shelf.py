"""One model of a repository: its aliases as of the last look, and the versions that serve them.

Aliases are looked at in a thread of their own, while what is loaded answers. A version takes the
place of another once it is loaded and checked; a look that fails, and a version that must not
serve, change nothing. What is tried beside an alias is loaded by a look too (`trials.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from handler.errors import DeliveryError, HandlerError, InvalidInput, name_failure
from handler.inference.models import Model
from handler.repository.aliases import Alias, read_aliases
from handler.repository.memory import Memory
from handler.repository.store import Found, Store
from handler.repository.trials import Trials, Tried

SOONEST_S = 1.0  # between a look, or a listing, that failed and the next
LOOK_WAIT_S = 1.0  # for a look, where a version is at hand
# After so long a look is given up for another one: the sandbox was frozen in its midst, and
# its connection may be dead. Longer than any look takes (`bucket.py`).
STUCK_S = 10.0
LOAD_WAIT_S = 10.0  # for a look where none is, and for others that load versions of the same model


class Shelf:
    """What a process knows of one model.

    Args:
        name: Of the model.
        store: The repository.
        memory: What is loaded, of all models.
        refresh_s: Aliases may be so old.
        clock: In seconds, on the wall: it goes on while a function's sandbox is frozen.
        tell: Takes what went wrong, for the log.
        tried: What is tried beside the aliases of all models.

    Attributes:
        serving: Alias -> version that answers for it.
        trials: What is tried beside its aliases.
        fault: Why the last look failed; empty: it did not.
        complaints: What was told of its versions since its aliases changed.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        memory: Memory,
        refresh_s: float,
        clock: Callable[[], float],
        tell: Callable[[str], None],
        tried: Tried,
    ) -> None:
        self.name = name
        self.serving: dict[str, int] = {}
        self.trials = Trials(name, memory, self.serving, tried, self._complain)
        self.fault = ""
        self.complaints: set[str] = set()
        self._store = store
        self._memory = memory
        self._refresh_s = refresh_s
        self._clock = clock
        self._tell = tell
        self._targets: dict[str, Alias] | None = None  # None: nobody has looked yet
        self._etag = ""
        self._versions: set[int] = set()  # that were there at `_listed_at`
        self._listed_at = 0.0
        self._from = self._due = self._late = 0.0  # of the looks; a clock set back makes one due
        self._lock = threading.Lock()  # while something is read of it; never while one answers
        self._starting = threading.Lock()
        self._looking: threading.Event | None = None  # set once the look on its way has ended
        self._begun = 0.0

    def find(self, alias: str, request_id: str = "") -> Model | None:
        """Return the version that serves an alias, or its canary where the request is drawn for it,
        if it is loaded."""
        if canary := self.trials.choose(alias, request_id):
            return self._memory.find((self.name, canary))
        return self._memory.find((self.name, self.serving.get(alias, 0)))

    def is_late(self, now: float) -> bool:
        """Say whether an answer should wait for a look."""
        return not self._from <= now < self._late

    def expire(self) -> None:
        """Let whoever asks next wait for a look."""
        self._due = self._late = 0.0

    def fetch(self, alias: str, request_id: str = "") -> Model:
        """Return the version that an alias means, or its canary where the request is drawn for it;
        may wait for the repository.

        Raises:
            InvalidInput: The model has no such alias.
            ArtefactError: It must not serve, nor does the one before.
            DeliveryError: The repository cannot be reached: a version that may be right is not
                replaced by another one.
        """
        if self.is_late(self._clock()):
            wait_s = LOAD_WAIT_S if self.find(alias) is None else LOOK_WAIT_S
            if not self._start_look().wait(wait_s):
                self._postpone()
        found = self.find(alias, request_id)
        if found is not None:
            return found
        with self._held():
            canary = self.trials.choose(alias, request_id)
            if canary and (found := self.trials.fetch(alias, canary)) is not None:
                return found
            return self._turn(alias)

    def prepare(self, alias: str) -> None:
        """Load what is to be tried beside an alias that is served."""
        with suppress(DeliveryError), self._held():
            self.trials.prepare(alias, (self._targets or {}).get(alias))

    def prepare_soon(self, alias: str) -> None:
        """Load what is to be tried beside an alias in a thread of its own."""
        threading.Thread(target=self.prepare, args=(alias,), daemon=True).start()

    def fetch_version(self, number: int) -> Model:
        """Return a version by its number, if a listing has it that is not too old; raises what
        `fetch` raises."""
        with self._held():
            if self._memory.find((self.name, number)) is None and number not in self._versions:
                now = self._clock()
                if not 0 <= now - self._listed_at < self._refresh_s:
                    self._versions = set(self._store.list_versions(self.name))
                    self._listed_at = now
                if number not in self._versions:
                    raise not_here("the model has no such version")
            try:
                return self._memory.get((self.name, number))
            except HandlerError as error:
                self._complain(f"version {number} cannot be served: {error}")
                raise

    def look_if_due(self, now: float) -> None:
        """Begin a look beside what is answered, if the last one is old."""
        if not self._from <= now < self._due:
            self._start_look()

    def _start_look(self) -> threading.Event:
        with self._starting:
            looking, now = self._looking, self._clock()
            if looking is None or not self._begun <= now < self._begun + STUCK_S:
                looking = threading.Event()
                self._looking, self._begun = looking, now
                threading.Thread(target=self._look, args=(looking, now), daemon=True).start()
            return looking

    def _look(self, looking: threading.Event, begun: float) -> None:
        try:
            found = self._store.read_aliases(self.name, self._etag)
            with self._lock:
                if self._looking is looking:  # or it was given up: another one knows more
                    self._take(found)
                    self._renew(begun)
        except Exception as error:  # of a thread that nobody waits for
            if self._looking is looking:
                self._note_failure(error)
        finally:
            if self._looking is looking:
                self._looking = None
            looking.set()

    def _note_failure(self, error: Exception) -> None:
        fault = str(error) if isinstance(error, HandlerError) else name_failure(error)
        if fault != self.fault:
            self._tell(f"its aliases cannot be read, what is loaded answers: {fault}")
        self.fault = fault
        self._postpone()

    def _take(self, found: Found | None) -> None:
        """Turn to what the aliases mean now; None: they did not change."""
        if found is not None:
            self._targets = read_aliases(found.content)
            if found.etag != self._etag:  # a file that is gone has none, at every look
                self.complaints.clear()
            self._etag = found.etag
        for alias, number in list(self.serving.items()):
            wanted = (self._targets or {}).get(alias)
            if wanted is None:
                self._tell_gone(alias)
            elif wanted.version != number:  # others are not used by a look, nor loaded again
                with suppress(HandlerError):  # it was told
                    self._turn(alias)
            self.trials.prepare(alias, wanted)

    def _renew(self, begun: float) -> None:
        """Note a look that succeeded: nothing that was changed before it began is overlooked."""
        self.fault = ""
        self._from = begun
        self._due, self._late = begun + self._refresh_s / 2, begun + self._refresh_s

    def _postpone(self) -> None:
        """Note a look that failed, or was waited for in vain."""
        self._from = self._clock()
        self._due = self._from + max(SOONEST_S, self._refresh_s / 4)
        self._late = max(self._due, self._from + self._refresh_s)

    def _turn(self, alias: str) -> Model:
        """Let an alias be served by the version that it means, or else by the one before."""
        wanted = (self._targets or {}).get(alias)
        before = self.serving.get(alias, 0)
        if wanted is None and not before:
            if self._targets is None:
                raise DeliveryError(self.fault or "the repository does not answer")
            raise not_here("the model has no such alias")
        failure: HandlerError | None = None
        numbers = [before] if wanted is None else [wanted.version, before]
        if wanted is not None and wanted.previous < wanted.version:  # else it was rolled back
            numbers.append(wanted.previous)
        for number in filter(None, dict.fromkeys(numbers)):
            if isinstance(failure, DeliveryError) and number != before:
                break  # what cannot be read now may serve in a moment
            try:
                model = self._memory.get((self.name, number))
            except HandlerError as error:
                failure = failure or error
                continue
            self.serving[alias] = number
            if wanted is None:
                self._tell_gone(alias)
            elif failure is not None:
                self._complain(f"{alias} is served by version {number}: {failure}")
            return model
        failure = failure or DeliveryError("the repository does not answer")
        self._complain(f"{alias} cannot be served: {failure}")
        raise failure

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the shelf while a block reads; raises DeliveryError if others hold it too long."""
        if not self._lock.acquire(timeout=LOAD_WAIT_S):
            raise DeliveryError(f"model {self.name}: others have waited for it too long")
        try:
            yield
        finally:
            self._lock.release()

    def _tell_gone(self, alias: str) -> None:
        number = self.serving[alias]
        self._complain(f"{alias} is served by version {number}: aliases.json no longer has it")

    def _complain(self, message: str) -> None:
        """Tell what is wrong with a version, once until the aliases change."""
        if message not in self.complaints:
            self.complaints.add(message)
            self._tell(message)


def not_here(detail: str) -> InvalidInput:
    """Return the refusal of what names nothing that there is."""
    return InvalidInput(f"{detail}, as of the last look at the repository", status=404)
