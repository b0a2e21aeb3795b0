"""Repositories of tiny models, each of which tells a label of its own."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handler.inference.classifier import open_classifier
from handler.inference.models import Model
from handler.inference.monitor import Monitor
from handler.repository.models import StoredModels
from handler.repository.opening import open_models
from handler.repository.publish import push_bundle, read_version
from handler.repository.settings import RepositorySettings
from handler.repository.store import Store
from handler.settings import Settings, read_settings

REFRESH_S = 30


def write_labelled(tiny_bundle: Path, folder: Path, label: str, name: str = "films") -> Path:
    """Write the tiny bundle as a model that answers a good text by `label`; return its folder."""
    shutil.copytree(tiny_bundle, folder)
    path = folder / "manifest.json"
    task = {"kind": "single-label", "labels": [label, f"not-{label}"]}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": name, "task": task}))
    return folder


class Shop:
    """A repository that tests fill: `push("films", "a")` adds a version that says "a"."""

    def __init__(self, store: Store, tiny_bundle: Path, work: Path) -> None:
        self.store = store
        self._tiny_bundle = tiny_bundle
        self._work = work

    def push(self, name: str, label: str, alias: str = "") -> int:
        """Return the number of a new version that answers by `label`."""
        return push_bundle(self.store, self.write(label), name, alias).version

    def write(self, label: str) -> Path:
        """Return the folder of a bundle that answers by `label`."""
        folder = self._work / label
        if not folder.exists():
            write_labelled(self._tiny_bundle, folder, label)
        return folder

    def files(self, label: str) -> dict[str, bytes]:
        """Return the files of a bundle that answers by `label`, the manifest last."""
        names = ("model.onnx", "tokenizer.json.gz", "manifest.json")
        return {name: (self.write(label) / name).read_bytes() for name in names}

    def push_broken(self, name: str) -> int:
        """Put a version there whose graph was changed, past all checks."""
        files = self.files("broken")
        return self.store.add_version(name, files | {"model.onnx": files["model.onnx"] + b"x"})


def make_settings(place: str, **variables: str) -> Settings:
    """Return the settings of a process that serves a repository."""
    return read_settings({"MINNOW_MODELS": place, **variables})


def open_stored(place: str, lines: list[Any] | None = None, **variables: str) -> Any:
    """Return the models of a repository; what they log is added to `lines`."""
    monitor = Monitor(lambda line: lines.append(json.loads(line)) if lines is not None else None)
    return open_models(make_settings(place, **variables), monitor)


def say(model: Model) -> str:
    """Return the label by which a model answers a good text."""
    (prediction,) = model.predict(["good film"])
    label: str = model.shape_prediction(prediction)["label"]
    return label


def promote_while_answering(
    patch: pytest.MonkeyPatch, models: StoredModels, shop: Shop, label: str
) -> None:
    """Let a third version of the films, which says `label`, be promoted before the first text of
    an event is answered; its texts are answered one after the other."""
    patch.setattr("handler.events.batch.PART_TEXTS", 1)
    kind = type(models.default.classifier)
    classify = kind.predict

    def promote_and_classify(self: Any, texts: list[str]) -> Any:
        if shop.store.list_versions("films") == [1, 2]:
            shop.push("films", label, "live")
            models.reload("films")
        return classify(self, texts)

    patch.setattr(kind, "predict", promote_and_classify)


class Clock:
    """A clock on the wall that tests set."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def wait_for(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    """Wait until a condition holds, which other threads bring about."""
    import time

    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


class Hooked:
    """A store whose reads can be counted, held up and made to fail."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reads: list[Any] = []
        self.failure: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*arguments: Any) -> Any:
            self.reads.append((name, *arguments[:1]))
            assert self.gate.wait(20)
            if self.failure is not None:
                raise self.failure
            return method(*arguments)

        return method if name in ("place", "locate") else call


class Process:
    """The models of a process, its clock, its store and its log."""

    def __init__(self, store: Store, **settings: Any) -> None:
        self.clock = Clock()
        self.store: Any = Hooked(store)
        self.lines: list[Any] = []
        self.loads: list[tuple[str, int]] = []
        loading = threading.Lock()

        def load(name: str, version: int) -> Model:
            self.loads.append((name, version))
            bundle = read_version(self.store, name, version)
            with loading:
                return Model(open_classifier(bundle, is_alone=False), monitor=self.monitor)

        self.monitor = Monitor(lambda line: self.lines.append(line))
        chosen = RepositorySettings("", **{"refresh_s": REFRESH_S, **settings})
        self.models = StoredModels(self.store, chosen, load, self.monitor, self.clock)

    def say(self, name: str | None = None, version: str | None = None) -> str:
        return say(self.models.pin(name, version))

    def pass_s(self, seconds: float) -> None:
        """Let time pass, and the look that this makes due, if any."""
        self.clock.now += seconds
        self.models.pin()
        self.settle()

    def settle(self) -> None:
        wait_for(lambda: not any(s._looking for s in self.models._shelves.values()))
