"""Minnow from Python: a bundle in, predictions out.

    import minnow

    model = minnow.load("bundles/reviews")
    model.predict(["A clever, moving film."])
    # [{'label': 'pos', 'score': 0.98, 'scores': {'neg': 0.02, 'pos': 0.98},
    #   'truncated': False, 'known_tokens': 6}]

`minnow.Scorer` is the same for engines that copy it to their processes: Ray, Spark, Beam, Dask.

Importing this costs nothing; NumPy and ONNX Runtime are imported by `load`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handler.errors import ArtefactError, InvalidInput
    from handler.inference.models import Model
    from minnow.scorer import Scorer

ERRORS = ("ArtefactError", "InvalidInput")
__all__ = ["ArtefactError", "InvalidInput", "LoadedModel", "Scorer", "load"]


def __getattr__(name: str) -> Any:
    """Return what a module of its own has, which is imported when it is named."""
    if name == "Scorer":
        from minnow.scorer import Scorer

        return Scorer
    if name not in ERRORS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from handler import errors

    return getattr(errors, name)


def load(bundle: str | Path) -> LoadedModel:
    """Return the model of a bundle, checked, for any number of predictions.

    Args:
        bundle: The bundle's folder, as `minnow export` wrote it.

    Raises:
        ArtefactError: It is missing, incomplete, changed, or of another format; a
            run's folder is no bundle. Or it is none that `MINNOW_BUNDLE_SHA256` and
            `MINNOW_TRUSTED_KEYS` let serve.
    """
    from handler.inference.classifier import load_classifier
    from handler.inference.models import Model
    from handler.settings import NO_LIMITS, read_trust

    classifier = load_classifier(Path(bundle), trust=read_trust())
    return LoadedModel(Model(classifier, NO_LIMITS))


class LoadedModel:
    """A model in memory; `load` makes it. Threads may share it.

    Attributes:
        name: The model's name, as every answer over HTTP has it.
        version: Its version.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.name = model.name
        self.version = model.version

    def predict(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Return one prediction for each text, in the order of the texts.

        A prediction is what `POST /predict` answers: of a model of labels `label`, its probability
        `score`, and the probability of every label in `scores`; of any model `truncated` (there
        were more tokens than the model reads) and `known_tokens` (0: the answer says nothing).

        Raises:
            TypeError: One text in place of a sequence of texts.
            InvalidInput: A text that is no string, or holds a lone surrogate; a
                ValueError.
        """
        if isinstance(texts, str):
            raise TypeError("texts is one string, wanted a sequence of strings: predict([text])")
        if not len(texts):
            return []
        predictions: list[dict[str, Any]]
        predictions = self._model.answer(texts, self._model.predict(texts))["predictions"]
        return predictions

    def __repr__(self) -> str:
        return f"<LoadedModel {self.name!r}, version {self.version!r}>"
