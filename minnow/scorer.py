"""A bundle as one object that engines send about: batches of columns in, the same and predictions
out. Ray, Spark, Beam and Dask copy it to their processes; `docs/outgrowing.md` shows how.

Importing this costs nothing; NumPy and ONNX Runtime are imported by the first batch.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from minnow.bundle_files import carried, open_place, recording

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from handler.inference.bundle import Bundle
    from handler.inference.classifier import Classifier
    from handler.settings import Limits

MAX_CHARACTERS = 20_000  # as of `minnow score`
REJECTED = "rejected"  # the column that says why a row has no prediction
MISSING_TYPES = ("NAType", "NaTType")  # pandas' own words for a missing value
KEPT_SESSIONS = 8  # of a process: Spark makes a new copy of a scorer for each task

# Sessions of this process, by the bundle's hash and the threads of a run.
_sessions: dict[tuple[str, int], Classifier] = {}
_opening = threading.Lock()


def _start_anew() -> None:
    """Let a process that was forked make sessions of its own: a session's threads stay behind, and
    so may whoever held the lock."""
    global _opening
    _opening = threading.Lock()
    _sessions.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


class Scorer:
    """A model that is pickled, and that each process opens once, at its first batch.

    Args:
        bundle: Its folder, or `s3://BUCKET/PREFIX/`. It is read now, and any process refuses
            another one that has taken its place since.
        text_column: The column that holds the text, "title,body" for two that are joined; None: as
            in the training.
        threads: Of one run of the model; 1 suits engines that start a process for each core.
        carry: A pickle holds the bundle's files, so that processes need neither the folder nor the
            bucket. False: a pickle is small, and each process reads the bundle from its place.
        rejects: What becomes of a row whose text cannot be scored: "raise" an error that names it,
            or let the "column" `rejected` say why; its predictions are then empty texts and NaN.
        max_characters: Of the longest text that is scored.

    Attributes:
        columns: Column that a batch gets -> its NumPy dtype, in their order.
        size_bytes: Of the bundle's graph and tokenizer.
        sha256: Of the bundle.

    Raises:
        ArtefactError: The bundle is missing, incomplete, changed, or must not serve.
        DeliveryError: The bucket does not answer.
    """

    def __init__(
        self,
        bundle: str | Path,
        *,
        text_column: str | None = None,
        threads: int = 1,
        carry: bool = True,
        rejects: Literal["raise", "column"] = "raise",
        max_characters: int = MAX_CHARACTERS,
    ) -> None:
        if rejects not in ("raise", "column"):
            raise ValueError(f'rejects is {rejects!r}, wanted "raise" or "column"')
        if threads < 1 or max_characters < 1:
            raise ValueError("threads and max_characters: wanted whole numbers of 1 or more")
        self.place = str(bundle) if "://" in str(bundle) else str(Path(bundle).absolute())
        self.threads = threads
        self.rejects = rejects
        self.max_characters = max_characters
        files: dict[str, bytes] = {}
        checked = self._read(recording(open_place(self.place), files))
        self.sha256 = checked.sha256
        self.size_bytes = checked.size_bytes
        self.name, self.version = checked.manifest.name, checked.manifest.version
        self.text_column = text_column or checked.manifest.columns.get("text", "text")
        self.columns = self._name_columns(checked.manifest.task.columns)
        self._files = files if carry else None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Return the batch's columns and, behind them, those of `minnow score`'s tables.

        Columns of the same names, and those of an earlier model, are replaced. A score depends on
        the batch in its last digits, as of any int8 model.

        Args:
            batch: Column -> its values, one for each row; a pandas DataFrame is one too.

        Returns:
            Texts are `object` arrays of `str`, scores and numbers float64; other columns are the
            batch's own.

        Raises:
            InvalidInput: There is no such column, columns are of different lengths, or, where
                rejects are raised, a text cannot be scored; a ValueError.
        """
        import numpy as np

        from handler.rows.rows import find_replaced

        given = {name: _to_array(values) for name, values in batch.items()}
        texts = self._take_texts(given)
        scored = self._score(texts)
        replaced = find_replaced(list(given), [*self.columns][:-1])
        kept = {name: values for name, values in given.items() if name not in replaced}
        added = {
            name: np.array(scored[name], dtype) if dtype != "object" else _to_objects(scored[name])
            for name, dtype in self.columns.items()
        }
        return {**kept, **added}

    def predict(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Return one prediction for each text, as a model of `minnow.load` does.

        Raises:
            TypeError: One text in place of a sequence of texts.
            InvalidInput: A text that cannot be scored, by its index; a ValueError.
        """
        from handler.inference.models import Model
        from minnow import LoadedModel

        return LoadedModel(Model(self._open(), self._limits())).predict(texts)

    def __repr__(self) -> str:
        return f"<Scorer {self.name!r}, version {self.version!r}, sha256 {self.sha256[:12]}>"

    def _name_columns(self, columns: Mapping[str, type]) -> dict[str, str]:
        from handler.rows.rows import MODEL_VERSION

        named = {name: "object" if kind is str else "float64" for name, kind in columns.items()}
        told = {REJECTED: "object"} if self.rejects == "column" else {}
        return {**named, **told, MODEL_VERSION: "object"}

    def _limits(self) -> Limits:
        from handler.settings import NO_LIMITS

        return NO_LIMITS._replace(max_characters=self.max_characters)

    def _take_texts(self, given: Mapping[str, NDArray[Any]]) -> list[object]:
        """Return what stands in the column of texts, not checked."""
        from handler.errors import InvalidInput
        from handler.rows.columns import ColumnError, find_columns, join_values

        lengths = {len(values) for values in given.values()}
        if len(lengths) > 1:
            raise InvalidInput(f"the batch's columns have {sorted(lengths)} rows, wanted as many")
        names = list(given)
        try:
            (places,) = find_columns(names, [self.text_column])
        except ColumnError:
            raise InvalidInput(
                f"the batch's columns are {', '.join(map(str, names[:40])) or 'none'}; wanted "
                f"{self.text_column} among them, once: Scorer(bundle, text_column=NAME) names "
                "another"
            ) from None
        values = [map(_unify_missing, given[names[index]].tolist()) for index in places]
        return [join_values(row) for row in zip(*values, strict=True)]

    def _score(self, texts: Sequence[object]) -> dict[str, list[Any]]:
        """Return the columns that are added, as lists."""
        from handler.rows.score import BLOCK_ROWS

        scored: dict[str, list[Any]] = {name: [] for name in self.columns}
        if not texts:
            return scored
        classifier = self._open()
        for start in range(0, len(texts), BLOCK_ROWS):
            for cells in self._score_block(classifier, texts[start : start + BLOCK_ROWS], start):
                for name, cell in zip(self.columns, cells, strict=True):
                    scored[name].append(cell)
        return scored

    def _score_block(
        self, classifier: Classifier, texts: Sequence[object], start: int
    ) -> Iterable[list[Any]]:
        """Return each row's cells, for all columns."""
        from handler.errors import InvalidInput
        from handler.inference.requests import check_text
        from handler.rows.score import MODEL_FAILED, predict_each

        good: dict[int, str] = {}
        reasons = [""] * len(texts)
        is_told, limits = self.rejects == "column", self._limits()
        for index, text in enumerate(texts):
            field = "text" if is_told else f"{self.text_column}[{start + index}]"
            try:
                good[index] = check_text(text, field, limits)
            except InvalidInput as error:
                if not is_told:
                    raise
                reasons[index] = error.detail
        kinds = classifier.task.columns.values()
        rows = [["" if kind is str else float("nan") for kind in kinds] for _ in texts]
        predictions = predict_each(classifier, list(good.values()))
        for index, prediction in zip(good, predictions, strict=True):
            if prediction is not None:
                cells = classifier.task.cells(prediction.outputs)
                rows[index] = [kind(cell) for kind, cell in zip(kinds, cells, strict=True)]
            elif is_told:
                reasons[index] = MODEL_FAILED
            else:
                raise InvalidInput(f"{self.text_column}[{start + index}]: {MODEL_FAILED}")
        told = [[reason] if is_told else [] for reason in reasons]
        return [[*row, *why, self.version] for row, why in zip(rows, told, strict=True)]

    def _open(self) -> Classifier:
        """Return this process's session, made by whoever needs it first."""
        from handler.inference.classifier import open_classifier

        key = (self.sha256, self.threads)
        with _opening:
            if key not in _sessions:
                files = self._files
                bundle = self._read(open_place(self.place) if files is None else carried(files))
                # Engines have threads of their own, which work beside this one.
                _sessions[key] = open_classifier(bundle, self.threads, is_alone=False)
                while len(_sessions) > KEPT_SESSIONS:
                    del _sessions[next(iter(_sessions))]
            return _sessions[key]

    def _read(self, read: Callable[[str, int], bytes]) -> Bundle:
        """Return the bundle, checked: the same that the scorer was made of."""
        from handler.errors import ArtefactError
        from handler.inference.bundle import check_bundle
        from handler.settings import read_trust

        bundle = check_bundle(Path(self.place), read, read_trust())
        pinned = getattr(self, "sha256", bundle.sha256)
        if bundle.sha256 != pinned:
            raise ArtefactError(
                f"{self.place}: sha256 is {bundle.sha256}, the scorer was made of {pinned}. The "
                "bundle was replaced meanwhile: make the scorer again, or put that bundle back"
            )
        return bundle


def _to_array(values: Any) -> NDArray[Any]:
    """Return a column as an array; a list of whatever it holds as its objects."""
    import numpy as np

    return _to_objects(values) if isinstance(values, list | tuple) else np.asarray(values)


def _to_objects(values: Sequence[Any]) -> NDArray[Any]:
    import numpy as np

    array = np.empty(len(values), object)
    array[:] = values
    return array


def _unify_missing(value: object) -> object:
    """Return None for what says, in one engine or another, that there is no value."""
    is_missing = value != value if isinstance(value, float) else False
    return None if is_missing or type(value).__name__ in MISSING_TYPES else value
