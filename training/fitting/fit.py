"""Fitting a Keras model by gradient descent."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from training.fitting.batches import feed, shuffled_batches, sorted_batches
from training.fitting.encoded import Encoded
from training.progress import is_quiet
from training.resuming.checkpoint import Progress, load_checkpoint, save_checkpoint
from training.settings import Settings, count_epochs
from training.tasks import Objective

CHECKPOINT_INTERVAL_S = 60.0
CLIP_NORM = 1.0  # of the gradients
WARM_UP_STEPS = 20  # one in so many, with `cosine_decay`
TRIED_SHARE = 0.4  # of the epochs, before which nothing is given up
# Epochs without a greater gain, after which nothing more is hoped for. Few rows are soon known by
# heart: of 1,000 tweets the gain is greatest after half of the epochs.
GAIN_PATIENCE = 3
CONSTANTS = {
    "gain_patience": GAIN_PATIENCE,
    "gradient_clip_norm": CLIP_NORM,
    "warm_up_share": 1 / WARM_UP_STEPS,
    "tried_share": TRIED_SHARE,
}

Predictor = Callable[[Sequence[Sequence[int]]], NDArray[np.float32]]
# From what the model reads, targets (rows, num_outputs) and weights (rows,) to the loss.
TrainStep = Callable[[Any, Any, Any], Any]


def fit(
    model: keras.Model,
    train: Encoded,
    dev: Encoded | None,
    settings: Settings,
    objective: Objective,
    checkpoint: Path,
    trained: str = "the model",
    measure_gain: Callable[[], float] | None = None,
    most_epochs: int | None = None,
) -> list[dict[str, float]]:
    """Fit `model` in place, from where `checkpoint` stands; return one row per epoch.

    Ends with the weights of the epoch with the lowest development loss, `patience` epochs after it
    or after `epochs`; without patience with those of the last epoch. The checkpoint is written
    every minute and after each epoch.

    Args:
        dev: Development rows; None: all are trained on, and nothing is measured.
        trained: What people call what is fitted here, if it is a part of what the run keeps.
        measure_gain: Says after each epoch what the model as it then is is worth, which becomes
            `gain` of its row. Fitting ends where that is nothing after `TRIED_SHARE` of the epochs,
            or has not risen for `GAIN_PATIENCE`, with the weights of the epoch of the greatest.
        most_epochs: Fitting ends after so many, on the way to as many as the settings want.
    """
    lengths = [len(ids) for ids in train.token_ids]
    num_batches = -(-len(lengths) // settings.batch_size)
    epochs = count_epochs(settings, num_batches)
    model.compile(make_optimizer(settings, num_batches * epochs))
    model.optimizer.build(model.trainable_variables)
    progress = load_checkpoint(checkpoint, model)
    train_batch = make_train_step(model, objective)
    train_rows = train.rows
    dev_rows = [] if dev is None else dev.rows
    predict = make_predictor(model)
    is_barless = is_quiet() or not sys.stderr.isatty()
    with tqdm(total=epochs * num_batches, unit="batch", mininterval=1.0, disable=is_barless) as bar:
        bar.update(progress.epoch * num_batches + progress.batch)
        while progress.epoch < (most_epochs or epochs) and not _is_over(progress, settings, epochs):
            bar.set_description(f"epoch {progress.epoch + 1}/{epochs}")
            seed = settings.seed * 1000 + progress.epoch
            batches = shuffled_batches(lengths, settings.batch_size, seed)
            _train_epoch(model, train_batch, batches, train, train_rows, progress, checkpoint, bar)
            with averaged_weights(model):
                figures = {}
                if dev is not None:
                    figures = _measure(predict(dev_rows), dev, objective)
                if measure_gain is not None:
                    figures["gain"] = measure_gain()
                _end_epoch(model, figures, progress, settings)
            save_checkpoint(checkpoint, model, progress)
            if figures and not is_quiet():
                line = _describe(progress.history[-1], objective.score_name, trained)
                tqdm.write(line, file=sys.stderr)
    model.set_weights(progress.best_weights)
    return progress.history


def make_optimizer(settings: Settings, num_steps: int) -> keras.optimizers.Optimizer:
    """Return AdamW as `settings` want it; gradients are clipped."""
    learning_rate: Any = settings.learning_rate
    if settings.cosine_decay:
        learning_rate = keras.optimizers.schedules.CosineDecay(
            0.0,
            max(1, num_steps),
            alpha=0.0,
            warmup_target=settings.learning_rate,
            warmup_steps=num_steps // WARM_UP_STEPS,
        )
    return keras.optimizers.AdamW(
        learning_rate,
        weight_decay=settings.weight_decay,
        clipnorm=CLIP_NORM,
        use_ema=settings.ema_share > 0,
        ema_momentum=1 - 1 / max(2.0, settings.ema_share * num_steps),
    )


@contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Give `model` the moving average of its weights for a while, if its optimizer keeps one."""
    if not model.optimizer.use_ema:
        yield
        return
    weights = model.get_weights()
    model.optimizer.finalize_variable_values(model.trainable_variables)
    yield
    model.set_weights(weights)


def make_predictor(model: keras.Model, batch_size: int = 128) -> Predictor:
    """Return a function from rows, as `Encoded.rows` has them, to what Keras computes of them.

    Its result is float32, shape (number of texts, the model's output columns).
    """
    # Traced here: TensorFlow counts the traces of all predictors as those of one function, and
    # warns of retracing where each of them reads one batch.
    call = tf.function(
        lambda batch: model(batch, training=False), input_signature=[signature(model)]
    ).get_concrete_function()
    columns = model.output_shape[-1]

    def predict(token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        outputs = np.empty((len(token_ids), columns), np.float32)
        for rows in sorted_batches([len(ids) for ids in token_ids], batch_size):
            outputs[rows] = call(feed(model, [token_ids[row] for row in rows])).numpy()
        return outputs

    return predict


def signature(model: keras.Model) -> Any:
    """Return the signature of what `feed` gives: one trace for all lengths."""
    specs = {
        tensor.name: tf.TensorSpec((None, None), tf.int32, name=tensor.name)
        for tensor in model.inputs
    }
    return specs if len(specs) > 1 else next(iter(specs.values()))


def make_train_step(model: keras.Model, objective: Objective) -> TrainStep:
    """Return a function that fits one batch, and returns its loss.

    It is traced once for all shapes. Keras' own is traced up to three times, as the shapes of the
    first batches differ: 2.7 s each, more than a hundred batches of short texts take.
    """
    variables = model.trainable_variables

    def train_batch(batch: Any, targets: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            losses = objective.loss(targets, model(batch, training=True))
            loss = tf.reduce_mean(losses * weights)
        model.optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    columns, each = tf.TensorSpec((None, None), tf.float32), tf.TensorSpec((None,), tf.float32)
    # Without XLA, which would compile every batch length anew.
    step: TrainStep = tf.function(train_batch, input_signature=[signature(model), columns, each])
    return step


def _train_epoch(
    model: keras.Model,
    train_batch: TrainStep,
    batches: Sequence[list[int]],
    train: Encoded,
    train_rows: Sequence[Sequence[int]],
    progress: Progress,
    checkpoint: Path,
    bar: Any,
) -> None:
    """Fit the batches that the epoch under way has left.

    Args:
        train_rows: Of `train`.
    """
    started = saved = time.monotonic()
    counts = train.fitted_weights
    while progress.batch < len(batches):
        rows = batches[progress.batch]
        batch = feed(model, [train_rows[row] for row in rows])
        loss = train_batch(batch, train.targets[rows], counts[rows])
        progress.loss_sum += float(loss)
        progress.batch += 1
        _update(bar)
        bar.set_postfix(loss=f"{progress.loss_sum / progress.batch:.4f}", refresh=False)
        if time.monotonic() - saved > CHECKPOINT_INTERVAL_S:
            progress.seconds += time.monotonic() - started
            started = saved = time.monotonic()
            save_checkpoint(checkpoint, model, progress)
    progress.seconds += time.monotonic() - started


def _update(bar: Any) -> None:
    """Count a batch; the first one here has cost the compilation, from which no time is told."""
    if not getattr(bar, "is_compiled", False) and not bar.disable:
        bar.is_compiled = True
        bar.start_t = bar.last_print_t = time.time()
        bar.initial = bar.last_print_n = bar.n + 1
        bar.n += 1
        return
    bar.update()


def _measure(outputs: NDArray[np.float32], dev: Encoded, objective: Objective) -> dict[str, float]:
    """Return the loss by the rows' weights, as it is in training, and the score of all rows."""
    return {
        "dev_loss": objective.log_loss(outputs, dev.targets, dev.fitted_weights),
        f"dev_{objective.score_name}": float(objective.row_scores(outputs, dev.targets).mean()),
    }


def _end_epoch(
    model: keras.Model, figures: dict[str, float], progress: Progress, settings: Settings
) -> None:
    """Add the epoch to the history, keep the weights if they are the best by what is looked at,
    begin the next."""
    if "gain" in figures:
        is_kept = all(figures["gain"] > row["gain"] for row in progress.history)
    elif figures and settings.patience:
        is_kept = all(figures["dev_loss"] < row["dev_loss"] for row in progress.history)
    else:
        is_kept = True
    if is_kept:
        progress.best_weights = model.get_weights()
    row = {
        "epoch": progress.epoch + 1,
        "loss": progress.loss_sum / progress.batch,
        **figures,
        "seconds": round(progress.seconds, 1),
    }
    progress.history.append(row)
    progress.epoch += 1
    progress.batch = 0
    progress.loss_sum = 0.0
    progress.seconds = 0.0


def _is_over(progress: Progress, settings: Settings, epochs: int) -> bool:
    """Say whether more epochs, of so many, are in vain."""
    gains = [row["gain"] for row in progress.history if "gain" in row]
    if gains and len(gains) >= TRIED_SHARE * epochs and not progress.batch:
        return gains[-1] <= 0 or len(gains) - 1 - int(np.argmax(gains)) >= GAIN_PATIENCE
    losses = [row["dev_loss"] for row in progress.history if "dev_loss" in row]
    return (
        bool(losses and settings.patience)
        and len(losses) - 1 - int(np.argmin(losses)) >= settings.patience
    )


def _describe(row: dict[str, Any], score_name: str, trained: str) -> str:
    return (
        f"epoch {row['epoch']}: loss {row['loss']:.4f}, development loss {row['dev_loss']:.4f}, "
        f"{score_name} of {trained} {row[f'dev_{score_name}']:.4f}, {row['seconds']:.0f} s"
    )
