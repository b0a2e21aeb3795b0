"""Recipes: how a model is built and fitted.

A recipe is a module in `training/recipes`, and the folder is the list. It composes encoders and
other blocks (`training/blocks/`) of stock Keras layers, and fits them in stages that each leave a
file and are skipped where it stands, so that training that was interrupted goes on.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from handler.inference.tokenizer import Tokenizer
from training.errors import SettingsError
from training.fitting.encoded import Encoded
from training.recipe_settings import DEFAULT_RECIPE, FOLDER
from training.resuming.stages import Stages
from training.settings import Settings
from training.tasks import Objective

if TYPE_CHECKING:
    import keras

History = list[dict[str, float]]
T = TypeVar("T")


class Fitted(NamedTuple):
    """What a recipe tells of a fit.

    Args:
        history: One row an epoch.
        rows: int64, shape (rows,): numbers of the rows, of those to train on and behind them the
            development rows, that were told by models that were not fitted to them; None: the
            development rows were not learned from.
        outputs: float32, shape (rows, num_outputs): what those models said, as this one weighs it.
        offsets: As in `Encoded`, of those rows.
    """

    history: History
    rows: NDArray[np.int64] | None = None
    outputs: NDArray[np.float32] | None = None
    offsets: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class SmallerVocabulary:
    """A recipe's own way to a model of fewer words.

    Needed where the model computes with token ids: pruning can take rows out of a table that reads
    them as they come, and no more.

    Args:
        count_rows: Gets the model and a number of words; returns name of an Embedding layer ->
            rows that it then has.
        shrink: Gets the model; the token ids that stay, int64, shape (words,), sorted, which are
            numbered anew in that order; the training and the development rows in the new ids; the
            settings, objective and stages. Returns the model of those words, and the development
            rows, with offsets for that model where they have any.
    """

    count_rows: Callable[[keras.Model, int], dict[str, int]]
    shrink: Callable[
        [keras.Model, NDArray[np.int64], Encoded, Encoded, Settings, Objective, Stages],
        tuple[keras.Model, Encoded],
    ]


class Recipe(Protocol):
    """What a module in `training/recipes` holds.

    Attributes:
        SETTINGS: What the recipe trains with, unless told otherwise.
        QUICK: The same for a first look in a few epochs.
        CONSTANTS: What shaped the model beside its settings, by name, for `metadata.json`.
        WEIGHT_TABLES: Names of the Embedding layers that hold weights and not vectors: they keep
            8 bits, and a scale for each column.
        SMALLER_VOCABULARY: How to take words out of a model; None where pruning the tables is all.
    """

    SETTINGS: Settings
    QUICK: Settings
    CONSTANTS: Mapping[str, Any]
    WEIGHT_TABLES: Sequence[str]
    SMALLER_VOCABULARY: SmallerVocabulary | None

    def plan_model(
        self,
        train: Encoded,
        dev: Encoded,
        settings: Settings,
        objective: Objective,
        stages: Stages,
    ) -> Settings:
        """Return the settings of the model that suits the rows; what it does not need is left
        out."""

    def build_model(self, settings: Settings, vocab_size: int, objective: Objective) -> keras.Model:
        """Return the untrained model: `token_ids` int32 (batch, length), padded on the right with
        0 -> `outputs` float32 (batch, num_outputs).

        A model that reads unknown words has a second input `letters`: int32 (batch, letters),
        codes of their letters with a border before and behind each, padded likewise."""

    def fit_model(
        self,
        model: keras.Model,
        train: Encoded,
        dev: Encoded,
        settings: Settings,
        objective: Objective,
        stages: Stages,
    ) -> Fitted:
        """Fit the model in place, from where the stages stand.

        The development rows may be learned from too, unless they are apart."""

    def fine_tune_model(
        self,
        model: keras.Model,
        train: Encoded,
        dev: Encoded,
        settings: Settings,
        objective: Objective,
        stages: Stages,
    ) -> History:
        """Fit a model that is fitted already and was made smaller, to the training rows alone;
        return one row an epoch.

        Development rows that have offsets are among the training rows."""

    def settle_model(
        self, model: keras.Model, rows: Encoded, objective: Objective
    ) -> tuple[Objective, NDArray[np.float32]]:
        """Return the objective, settled by rows that the model was not fitted to, and what the
        model says of them; where a part of the model follows what its answers are, such as an early
        exit, that is set in place.

        Args:
            rows: As `tell_rows` has them.
        """

    def tell_rows(
        self, model: keras.Model, rows: Encoded, objective: Objective
    ) -> NDArray[np.float32]:
        """Return what a fitted model says of rows, float32, (rows, num_outputs): of those with
        offsets what it would say if it had not learned from them."""

    def make_teacher(self, model: keras.Model, objective: Objective) -> keras.Model:
        """Return the model whose outputs a smaller model learns from, (batch, num_outputs)."""


class Beyond(Protocol):
    """How a model is fitted on to more rows than memory holds."""

    def describe(self) -> dict[str, Any]:
        """Return what tells those rows and how they are read from others."""

    def fit(
        self,
        model: keras.Model,
        tokenizer: Tokenizer,
        dev: Encoded,
        settings: Settings,
        objective: Objective,
        stages: Stages,
    ) -> dict[str, Any]:
        """Fit the model in place, from where the stages stand; return what metadata keep of it."""

    def write(self, folder: Path) -> None:
        """Put the rows of `Data` into the folder of the run."""


def settle(
    recipe: Recipe,
    model: keras.Model,
    rows: Encoded,
    told: NDArray[np.float32],
    objective: Objective,
) -> tuple[Objective, NDArray[np.float32]]:
    """Return the objective, settled by rows that the model was not fitted to, and what the model
    says of them; it is changed in place where it follows what was settled.

    Args:
        rows: As `Recipe.tell_rows` has them.
        told: What the model says of them, float32, shape (rows, num_outputs).
    """
    if not objective.settles:
        return objective, told
    return recipe.settle_model(model, rows, objective)


def list_recipes() -> list[str]:
    """Return the names of all recipes, the default first; none is imported for it."""
    names = sorted(module.name for module in iter_modules([str(FOLDER)]))
    return sorted(names, key=lambda name: name != DEFAULT_RECIPE)


def load_recipe(name: str) -> Recipe:
    """Return the recipe of that name.

    Raises:
        SettingsError: There is none.
    """
    if name not in list_recipes():
        raise SettingsError(f"there is no recipe {name!r}, wanted {', '.join(list_recipes())}.")
    return cast(Recipe, importlib.import_module(f"{__package__}.recipes.{name}"))
