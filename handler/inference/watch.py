"""Watching: what a process sees of each model's texts and answers, told from time to time.

A line of the log has the counts since the last one, so that lines of any number of processes add
up, and how far the latest texts of this process have drifted from the profile. `minnow drift`
reads them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from handler.inference.profile import Histograms, Profile, Said, find_script

if TYPE_CHECKING:
    from handler.inference.classifier import Classifier
    from handler.inference.manifest import Manifest
    from handler.inference.tasks import Task

Tell = Callable[[dict[str, Any]], None]
Key = tuple[str, ...]
Clock = Callable[[], float]

MESSAGE = "profile"  # of the lines
MAX_MODELS = 256  # with their versions; a histogram takes 2 KB
# Texts that are counted at a time: done for each request alone, the same work takes four times as
# long, as its code is then no longer in the processor's caches.
PENDING, PENDING_NUMBERS = 32, 10_000
PERIOD_S = 60.0  # between two lines of a model, where texts are few
SHOWN_DIGITS = 12  # of a bundle's sha256


class Model(Protocol):
    """What is watched; `handler/inference/models.py` has it."""

    name: str
    version: str
    task: Task
    manifest: Manifest
    classifier: Classifier
    watched: Any


class Counters(Protocol):
    """What numbers go to beside the log."""

    def expect(self, model: Key, counts: Mapping[Key, int]) -> None:
        """Take the profile of a model, (name, version), by (feature, bin)."""

    def add_profile(self, model: Key, counts: Mapping[Key, int]) -> None:
        """Count texts and answers of a model as they are seen, by (feature, bin)."""


class Watched:
    """What was seen of one model.

    Args:
        model: Has a profile.
        profile: That of the model.
        now: When it begins, in seconds since 1970.

    Attributes:
        is_open: Whether what is added will be told.
    """

    def __init__(self, model: Model, profile: Profile, now: float) -> None:
        self.name, self.version = model.name, model.version
        self.bundle = model.classifier.bundle_sha256[:SHOWN_DIGITS]
        self.profile = profile
        self.since = now
        self.is_open = True
        self.histograms = Histograms(model.task, profile.bins)
        self._pending: list[tuple[int, Said]] = []
        self._counting = threading.Lock()
        self._most_pending = max(1, min(PENDING, PENDING_NUMBERS // model.task.num_outputs))
        self._latest = {name: [0] * bins.size for name, bins in profile.bins.items()}
        # Which bins differ from model to model, for who has the log alone.
        labels = profile.bins.get("label")
        self._bins = {} if labels is None else {"label": labels.describe()}

    def add(self, texts: Sequence[str], predictions: Sequence[Said]) -> int:
        """Add texts, nothing of which is kept but their script; return how many were seen since
        the last line.

        Any number of threads may. The lock is taken once for all that is pending, as it would cost
        each request; a list takes others whole.
        """
        pending = self._pending
        pending += list(zip(map(find_script, texts), predictions, strict=True))
        if len(pending) >= self._most_pending:
            with self._counting:
                self._count()
        return self.texts

    @property
    def texts(self) -> int:
        """How many were seen since the last line."""
        return self.histograms.texts + len(self._pending)

    def take(self, now: float, window: int) -> dict[str, Any]:
        """Return the fields of a line about the texts since the last one, and begin anew.

        Args:
            window: Texts whose drift is measured, the latest ones of this process; with the next
                ones it begins anew.
        """
        from handler.inference.drift import MIN_TEXTS, find_drift

        with self._counting:  # a thread that counts meanwhile would add half a text to each line
            self._count()
            texts, counts = self.histograms.texts, self.histograms.take()
        for name, added in counts.items():
            self._latest[name] = [a + b for a, b in zip(self._latest[name], added, strict=True)]
        drift = find_drift(self.profile, self._latest)
        if drift.texts >= max(window, MIN_TEXTS):  # of fewer it would never be told
            self._latest = {name: [0] * len(one) for name, one in self._latest.items()}
        line = {
            "level": "warning" if drift.features else "info",
            "message": MESSAGE,
            "model": self.name,
            "version": self.version,
            "bundle": self.bundle,
            "since": round(min(self.since, now), 3),  # a clock may have been set back
            "until": round(now, 3),
            "texts": texts,
            **drift.describe(),
            "window": drift.texts,
            "bins": self._bins,
            "histograms": counts,
        }
        self.since = now
        return line

    def _count(self) -> None:
        pending = self._pending
        number = len(pending)  # behind these, other threads may add
        self.histograms.count(pending[:number])
        del pending[:number]


class Watch:
    """Tells what is seen of the texts and answers of a process's models.

    Args:
        every: Texts of one model after which a line is told.
        tell: Takes the fields of a line.
        counters: They get the same counts.
        clock: In seconds since 1970.
    """

    def __init__(
        self,
        every: int,
        tell: Tell,
        counters: Sequence[Counters] = (),
        clock: Clock = time.time,
    ) -> None:
        self.every = every
        self._tell = tell
        self._counters = counters
        self._clock = clock
        self._watched: dict[tuple[str, str], Watched] = {}
        self._lock = threading.Lock()  # a model that was waited for is answered in another thread
        self._due = 0.0

    def begin(self, model: Model) -> Watched:
        """Return what is seen of a model with a profile."""
        key, now = (model.name, model.version), self._clock()
        with self._lock:
            if key in self._watched:  # the model was dropped from memory meanwhile
                return self._watched[key]
            profile = model.manifest.profile
            if profile is None:
                raise ValueError(f"model {model.name} has no profile")
            if not self._watched:
                self._due = now + PERIOD_S
            if len(self._watched) >= MAX_MODELS:
                dropped = self._watched.pop(next(iter(self._watched)))
                self._tell_one(dropped, now)
                dropped.is_open = False
            watched = self._watched[key] = Watched(model, profile, now)
            for counters in self._counters:
                counters.expect(key, name_bins(profile, profile.counts))
            return watched

    def tell_if_due(self) -> None:
        """Tell what was seen, where the last time is long ago."""
        now = self._clock()
        if not self._due - PERIOD_S <= now < self._due:  # a clock that is set back makes it due
            self.tell()

    def tell(self, only: Watched | None = None) -> None:
        """Tell what was seen of each model, or of one, since the last time."""
        now = self._clock()
        with self._lock:
            if only is not None:
                self._tell_one(only, now)
                return
            self._due = now + PERIOD_S
            for watched in self._watched.values():
                self._tell_one(watched, now)

    def forget(self) -> None:
        """Begin anew, as after a restored snapshot, of which there are copies."""
        with self._lock:
            for watched in self._watched.values():
                watched.is_open = False
            self._watched.clear()

    def _tell_one(self, watched: Watched, now: float) -> None:
        if not watched.texts:
            return
        line = watched.take(now, self.every)
        for counters in self._counters:
            key = watched.name, watched.version
            counters.add_profile(key, name_bins(watched.profile, line["histograms"]))
        self._tell(line)


def name_bins(profile: Profile, counts: Mapping[str, Sequence[int]]) -> dict[Key, int]:
    """Return (feature, bin) -> how many, of the bins that hold any."""
    named: dict[Key, int] = {}
    for feature, found in counts.items():
        for name, number in zip(profile.bins[feature].describe(), found, strict=True):
            if number:  # a label may be called as a bin is: "(other)"
                named[feature, name] = named.get((feature, name), 0) + number
    return named
