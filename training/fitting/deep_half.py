"""The deep half of a model: where it starts from, how it is tried, and what it teaches."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from training.answers.calibration import Calibration, find_mixture
from training.blocks import segments
from training.blocks.encoders import NAMES
from training.fitting import pretraining
from training.fitting.encoded import Encoded
from training.fitting.fit import fit, make_predictor
from training.fitting.mixture import DEEP, has_deep
from training.fitting.pretraining import pretrain
from training.progress import interruptible, step
from training.recipe import History
from training.resuming.stages import Stages
from training.settings import Settings
from training.tasks import Objective
from training.vectors import word_vectors
from training.vectors.known_vectors import reduce_known
from training.vectors.word_vectors import learn_word_vectors

READ = "deep_read"  # layer of what the LSTM has read of a text
VECTOR_SCALE = 0.5  # standard deviation of the first word vectors
CONSTANTS: dict[str, Any] = (
    word_vectors.CONSTANTS | pretraining.CONSTANTS | {"word_vector_scale": VECTOR_SCALE}
)


def start_deep(model: keras.Model, rows: Encoded, settings: Settings, stages: Stages) -> None:
    """Give the deep half what texts tell without their labels; found once."""
    embedding = model.get_layer(segments.EMBEDDING)
    size, dim = embedding.input_dim, embedding.output_dim

    def learn() -> dict[str, NDArray[np.float32]]:
        if rows.start is not None and rows.start.shape[1] >= dim:
            return {"vectors": rows.start[:, :dim] / rows.start[:, :dim].std()}
        if rows.vectors is not None and rows.vectors.shape[1] >= dim:
            return {"vectors": reduce_known(rows.vectors, rows.token_ids, dim)}
        with step("word vectors"):
            learned = interruptible(
                lambda: learn_word_vectors(rows.token_ids, size, dim, settings.seed)
            )
        return {"vectors": learned}

    embedding.set_weights([stages.make("word_vectors", learn)["vectors"] * VECTOR_SCALE])
    encoder = keras.Model(model.input, model.get_layer(READ).input)
    pretrain(encoder, rows, settings, stages)


def make_teacher(model: keras.Model, objective: Objective) -> keras.Model:
    """Return what a smaller model learns from: the deep half, whose weights it shares; where there
    is none, the model.

    The wide half knows the training rows by heart, and would teach no more than the labels do.
    """
    if not has_deep(model):
        return model
    return keras.Model(model.input, objective.add_learner(model.get_layer(DEEP).output))


class Trial(NamedTuple):
    """What a deep half is worth beside the wide one, by rows outside.

    Args:
        gain: By how much the loss of a row falls, as a mean; 0: it was given up.
        error: Standard error of the gain.
        logits: Of the deep half, float32, shape (rows outside, num_logits).
        history: Of its fitting.
    """

    gain: float
    error: float
    logits: NDArray[np.float32]
    history: History

    def count_epochs(self) -> int:
        """Return after how many epochs the gain was greatest."""
        return 1 + int(np.argmax([row["gain"] for row in self.history]))


def try_deep(
    model: keras.Model,
    told: NDArray[np.float32],
    inside: Encoded,
    outside: Encoded,
    settings: Settings,
    objective: Objective,
    stages: Stages,
) -> Trial:
    """Return what the deep half is worth beside the wide one.

    The half is that of the epoch where `gain` of the history is greatest; no more are fitted where
    nothing is gained by then.

    Args:
        model: With its deep half as `start_deep` leaves it; fitted in place.
        told: The wide half's logits of the rows outside, as `cross_fit` tells them.
    """
    read_deep = make_predictor(keras.Model(model.input, model.get_layer(DEEP).output))
    alone = _mix(told, outside, objective)

    def measure_gain() -> float:
        both = _mix(np.hstack([told, read_deep(outside.rows)]), outside, objective)
        return (alone.loss - both.loss) / float(outside.weights.sum())

    history = fit(
        make_teacher(model, objective),
        inside,
        outside,
        settings,
        objective,
        stages.checkpoint.with_name("checkpoint_of_folds.npz"),
        f"{NAMES[settings.encoder]} alone",
        measure_gain=measure_gain,
    )
    return _settle_trial(told, alone, read_deep(outside.rows), outside, objective, history)


def _settle_trial(
    told: NDArray[np.float32],
    alone: Calibration,
    deep: NDArray[np.float32],
    outside: Encoded,
    objective: Objective,
    history: History,
) -> Trial:
    """Return what a half that has these logits is worth.

    Args:
        told, outside, objective: Those of `try_deep`.
        alone: The mixture of the wide half alone.
    """
    halves = np.hstack([told, deep])
    both = _mix(halves, outside, objective)
    before, after = (
        objective.excess_losses(mixture.apply(logits), outside.targets)
        for mixture, logits in ((alone, told), (both, halves))
    )
    counts, gains = outside.weights, before - after
    error = np.linalg.norm(counts * (gains - np.average(gains, weights=counts))) / counts.sum()
    gain = (alone.loss - both.loss) / float(counts.sum())
    if history[-1]["gain"] <= 0:  # given up: what an early epoch seemed to gain was chance
        gain = 0.0
    return Trial(gain, float(error), deep, history)


def _mix(halves: NDArray[np.float32], rows: Encoded, objective: Objective) -> Calibration:
    return find_mixture(halves, rows.targets, objective, rows.weights)
