"""What runs on a node of a Ray cluster: a process that opens the model once, and is given whole
files or blocks of texts. Ray finds it by its name, so the package is installed on every node."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from handler.hosts.score_plan import Share
    from handler.inference.classifier import Classifier

# What was killed holds its work until it is gone: actors end some seconds after their command.
HELD_S = 15.0
LOOK_S = 0.2
T = TypeVar("T")


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

        classifier = self._given()
        return when_free(lambda: share.run(classifier, predict_in_threads(classifier), None))

    def _given(self) -> Classifier:
        if self._classifier is None:
            raise RuntimeError("the actor has not opened its model")
        return self._classifier


def when_free(work: Callable[[], T]) -> T:
    """Return what `work` does, once no process that ends soon holds its outputs."""
    until = time.monotonic() + HELD_S
    while True:
        try:
            return work()
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > until:
                raise
        time.sleep(LOOK_S)


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
    except OSError as error:
        return Outcome(error=OSError(error.errno, error.strerror or str(error), error.filename))
    except HandlerError as error:  # some kinds of it cannot be made again of what is pickled
        kinds = [kind for kind in type(error).__mro__ if HandlerError in kind.__bases__]
        return Outcome(error=kinds[0](str(error)) if kinds else HandlerError(str(error)))
    except Exception as error:
        return Outcome(error=InternalError(f"an actor failed ({name_failure(error)})"))
