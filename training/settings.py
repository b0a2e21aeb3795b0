"""What one training run is made with; written to the run's `metadata.json`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from handler.inference.manifest import MAX_LENGTH, MAX_WORDS
from training.errors import SettingsError

MAX_SEED = 2**32 - 1  # of NumPy's and TensorFlow's generators
# How the deep half reads: layers of `training/blocks/encoders.py`; none: phrases alone.
ENCODERS = ("lstm", "gru", "rnn", "transformer", "cnn", "none")
# What only an encoder beside the phrases reads: without one these change nothing.
OF_ENCODER = (
    *("embedding_dim", "encoder", "units", "heads", "dropout_rate", "token_dropout_rate"),
    *("learning_rate", "weight_decay", "batch_size", "epochs", "min_steps", "patience"),
    "early_exit",
)
AT_LEAST_ONE = ("embedding_dim", "heads", "batch_size", "epochs")


@dataclass(frozen=True)
class Settings:
    """Sizes and schedule of a run; a recipe gives the defaults, flags replace them.

    Args:
        recipe: Name of the module in `training/recipes` that builds the model.
        seed: Of the split, the first weights, dropout and the order of batches.
        dev_fraction: Share of rows held out as development rows, without a development file.
        vocab_size: Words of the tokenizer at most, padding and unknown included.
        max_length: Tokens that the model reads.
        embedding_dim: Width of the word vectors.
        encoder: One of ENCODERS: what reads the steps of a text.
        units: Hidden units of each layer of the encoder, first to last; of both directions.
            Of a transformer the width of the attention, all heads together.
        heads: Of each layer of a transformer; divides its units.
        table_bytes: Of each table of features beside the recurrent layers, once it is int8.
        phrase_places: Places of the table of phrases; 0: as many as its bytes allow.
        run_places: Places of the table of runs of letters, which unknown words are read by; 0: they
            are not read.
        reads_tail: What stands at the end of a text weighs something of its own.
        dropout_rate: Share of activations zeroed between layers while training.
        token_dropout_rate: Share of whole tokens zeroed while training.
        learning_rate: Of AdamW, its highest.
        weight_decay: Of AdamW; 0 makes it Adam.
        cosine_decay: Warm up over a twentieth of the steps, then lower the learning rate to zero
            along a cosine, in place of a constant one.
        ema_share: Share of all steps that the moving average of the weights reaches back over; what
            is kept is that average. 0 keeps the weights themselves.
        batch_size: Texts in one step.
        epochs: Passes over the training rows at most, 1 or more.
        min_steps: More epochs, where they would be fewer steps than this; 0: never.
        max_epochs: But not more than so many.
        patience: Epochs without a better development log loss before training ends, with the
            weights of the best epoch; 0 trains all epochs and keeps the last.
        early_exit: Rows of which one half of the model is certain need not be read by the other.

    Raises:
        SettingsError: A value that nothing can be trained with.
    """

    recipe: str
    seed: int = 0
    dev_fraction: float = 0.1
    vocab_size: int = 20_000
    max_length: int = 256
    embedding_dim: int = 128
    encoder: str = "lstm"
    units: tuple[int, ...] = (128, 128)
    heads: int = 4
    table_bytes: int = 0
    phrase_places: int = 0
    run_places: int = 0
    reads_tail: bool = True
    dropout_rate: float = 0.0
    token_dropout_rate: float = 0.0
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    cosine_decay: bool = False
    ema_share: float = 0.0
    batch_size: int = 64
    epochs: int = 5
    min_steps: int = 0
    max_epochs: int = 30
    patience: int = 2
    early_exit: bool = False

    def __post_init__(self) -> None:
        _check_values(vars(self))


def check_given(given: Mapping[str, Any]) -> None:
    """Raise SettingsError for a value out of range, or one that the encoder does not have;
    TensorFlow is not needed for it.

    Args:
        given: Field of `Settings` -> value, of those that the user named.
    """
    _check_values(given)
    encoder = given.get("encoder", "lstm")
    if "heads" in given and encoder != "transformer":
        raise SettingsError(
            f"--heads is {given['heads']}, which only --encoder transformer has, not {encoder}."
        )
    if "units" in given and encoder == "none":
        units = ",".join(map(str, given["units"]))
        raise SettingsError(f"--units is {units}, which --encoder none does not have.")


def _check_values(given: Mapping[str, Any]) -> None:
    """Raise SettingsError for a value out of range.

    Args:
        given: Field of `Settings` -> value, of all fields or a few.
    """
    for name in AT_LEAST_ONE:
        _check(given, name, "1 or more", lambda value: value >= 1)
    # What a bundle may have.
    _check(given, "vocab_size", f"1 to {MAX_WORDS}", lambda value: 1 <= value <= MAX_WORDS)
    _check(given, "max_length", f"1 to {MAX_LENGTH}", lambda value: 1 <= value <= MAX_LENGTH)
    _check(given, "seed", f"0 to {MAX_SEED}", lambda value: 0 <= value <= MAX_SEED)
    _check(given, "learning_rate", "more than 0", lambda value: 0 < value < math.inf)
    _check(given, "weight_decay", "0 or more", lambda value: 0 <= value < math.inf)
    _check(given, "dev_fraction", "more than 0 and less than 1", lambda value: 0 < value < 1)
    _check(given, "encoder", " or ".join(ENCODERS), lambda value: value in ENCODERS)
    for name in ("dropout_rate", "token_dropout_rate"):
        _check(given, name, "0 or more and less than 1", lambda value: 0 <= value < 1)
    if given.get("encoder") == "transformer":
        heads = given.get("heads", Settings.heads)
        for width in given.get("units", ()):
            if width % heads:
                raise SettingsError(
                    f"--units is {width}, wanted a multiple of --heads, which is {heads}."
                )


def _check(
    given: Mapping[str, Any], name: str, wanted: str, is_good: Callable[[Any], bool]
) -> None:
    if name in given and not is_good(given[name]):
        flag = name.replace("_", "-")
        raise SettingsError(f"--{flag} is {given[name]}, wanted {wanted}.")


def override(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """Return `settings` with what the user gave in place of the recipe's own.

    So many epochs as are named are trained: `min_steps`, by which a recipe trains few rows for more
    epochs, is then 0, unless it is named too.

    Args:
        given: Field of `Settings` -> value, only those that were named.

    Raises:
        SettingsError: A value that nothing can be trained with.
    """
    own_steps = {"min_steps": 0} if "epochs" in given else {}
    return dataclasses.replace(settings, **(own_steps | dict(given)))


def count_epochs(settings: Settings, num_batches: int) -> int:
    """Return the passes over so many batches: more where they are few, `max_epochs` at most."""
    wanted = -(-settings.min_steps // num_batches)
    return max(settings.epochs, min(wanted, settings.max_epochs))
