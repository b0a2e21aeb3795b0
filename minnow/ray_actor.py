"""What runs on a node of a Ray cluster: a process that opens the model once, and is given whole
files or blocks of texts. Ray finds it by its name, so the package is installed on every node."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from handler.hosts.score_plan import Share
    from handler.inference.classifier import Classifier

# A process that was killed holds its work until the system has taken it down.
HELD_S = 10.0
LOOK_S = 0.2


class Outcome(NamedTuple):
    """What became of a call: its result, or the error that it has raised."""

    result: Any = None
    error: Exception | None = None


class Actor:
    """One process that scores."""

    def __init__(self) -> None:
        self._classifier: Classifier | None = None

    def open(self, place: str, files: Mapping[str, bytes], folder: str, version: str) -> Outcome:
        """Open the model.

        Args:
            place: Of the bundle, as errors call it.
            files: The bundle's own.
            folder: What relative names of files start from.
            version: Of the package, as the command has it.
        """
        return _catch(lambda: self._open(place, files, folder, version))

    def predict(self, texts: list[str]) -> Outcome:
        """Return the prediction of each text; None for one that the model fails on."""
        from handler.rows.score import predict_each

        return _catch(lambda: predict_each(self._given(), texts))

    def score(self, share: Share) -> Outcome:
        """Score whole files; return a summary of each."""
        return _catch(lambda: self._score(share))

    def _open(self, place: str, files: Mapping[str, bytes], folder: str, version: str) -> None:
        from handler.errors import ArtefactError
        from handler.inference.bundle import check_bundle
        from handler.inference.classifier import open_classifier
        from handler.settings import read_trust
        from minnow.bundle_files import carried

        if version != (found := read_version()):
            raise ArtefactError(
                f"a node of the cluster has minnow {found}, this is {version}: install the same "
                "version everywhere"
            )
        with suppress(OSError):  # of another machine, which gets no names of files
            os.chdir(folder)
        bundle = check_bundle(Path(place), carried(files), read_trust())
        self._classifier = open_classifier(bundle, is_alone=False)

    def _score(self, share: Share) -> Any:
        from handler.hosts.bulk import predict_in_threads

        until = time.monotonic() + HELD_S
        while True:
            try:
                return share.run(self._given(), predict_in_threads(self._given()), None)
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > until:
                    raise
            time.sleep(LOOK_S)

    def _given(self) -> Classifier:
        if self._classifier is None:
            raise RuntimeError("the actor has not opened its model")
        return self._classifier


def read_version() -> str:
    """Return the version of the package that is installed here."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("minnow-maas")
    except PackageNotFoundError:  # a checkout
        return "0"


def _catch(work: Callable[[], Any]) -> Outcome:
    """Return what `work` does; an error as it is where a user can be told it, else its name."""
    from handler.errors import HandlerError, InternalError, name_failure

    try:
        return Outcome(work())
    except (HandlerError, OSError) as error:
        return Outcome(error=error.with_traceback(None))
    except Exception as error:
        return Outcome(error=InternalError(f"an actor failed ({name_failure(error)})"))
