"""Fitting a Keras model: one loop, read from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from training.batches import pad, shuffled_batches, sorted_batches
from training.checkpoint import Progress, load_checkpoint, save_checkpoint
from training.settings import Settings

CHECKPOINT_INTERVAL_S = 60.0

Predictor = Callable[[Sequence[Sequence[int]]], NDArray[np.float32]]


@dataclass(frozen=True)
class Encoded:
    """Token ids of each text (unpadded) and its label id.

    `targets`, shape (texts, num_classes), are probabilities to learn in place of the labels.
    """

    token_ids: Sequence[Sequence[int]]
    label_ids: NDArray[np.int32]
    targets: NDArray[np.float32] | None = None


def fit(
    model: keras.Model, train: Encoded, dev: Encoded, settings: Settings, checkpoint: Path
) -> list[dict[str, float]]:
    """Fit `model` in place, from where `checkpoint` stands; return one row per epoch.

    Ends with the weights of the epoch with the lowest development log loss, `patience` epochs
    after it or after `epochs`; without patience with those of the last epoch. The checkpoint is
    written every minute and after each epoch.
    """
    lengths = [len(ids) for ids in train.token_ids]
    num_batches = -(-len(lengths) // settings.batch_size)
    epochs = max(settings.epochs, -(-settings.min_steps // num_batches))
    model.compile(
        make_optimizer(settings, num_batches * epochs),
        loss="binary_crossentropy" if is_binary(model) else "categorical_crossentropy",
        jit_compile=False,  # XLA would compile every batch length anew
    )
    model.optimizer.build(model.trainable_variables)
    progress = load_checkpoint(checkpoint, model)
    predict = make_predictor(model)
    targets = _make_targets(model, train)
    with tqdm(total=epochs * num_batches, unit="batch", mininterval=1.0) as bar:
        bar.update(progress.epoch * num_batches + progress.batch)
        while progress.epoch < epochs and not _is_over(progress, settings):
            bar.set_description(f"epoch {progress.epoch + 1}/{epochs}")
            batches = shuffled_batches(
                lengths, settings.batch_size, seed=settings.seed * 1000 + progress.epoch
            )
            started = saved = time.monotonic()
            while progress.batch < num_batches:
                rows = batches[progress.batch]
                loss = model.train_on_batch(
                    pad([train.token_ids[row] for row in rows]), targets[rows]
                )
                progress.loss_sum += float(loss)
                progress.batch += 1
                bar.update()
                bar.set_postfix(loss=f"{progress.loss_sum / progress.batch:.4f}", refresh=False)
                if time.monotonic() - saved > CHECKPOINT_INTERVAL_S:
                    progress.seconds += time.monotonic() - started
                    started = saved = time.monotonic()
                    save_checkpoint(checkpoint, model, progress)
            progress.seconds += time.monotonic() - started
            with averaged_weights(model):
                _end_epoch(model, predict(dev.token_ids), dev.label_ids, progress, settings)
            save_checkpoint(checkpoint, model, progress)
            tqdm.write(_describe(progress.history[-1]), file=bar.fp)
    model.set_weights(progress.best_weights)
    return progress.history


def make_optimizer(settings: Settings, num_steps: int) -> keras.optimizers.Optimizer:
    """Return AdamW as `settings` want it; gradients are clipped to norm 1."""
    learning_rate: Any = settings.learning_rate
    if settings.cosine_decay:
        learning_rate = keras.optimizers.schedules.CosineDecay(
            0.0,
            max(1, num_steps),
            alpha=0.0,
            warmup_target=settings.learning_rate,
            warmup_steps=num_steps // 20,
        )
    return keras.optimizers.AdamW(
        learning_rate,
        weight_decay=settings.weight_decay,
        clipnorm=1.0,
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


def is_binary(model: keras.Model) -> bool:
    """Say whether the model has one sigmoid column, the probability of the second label."""
    return bool(model.output_shape[-1] == 1)


def make_predictor(model: keras.Model) -> Predictor:
    """Return a function from unpadded token ids to Keras' probabilities.

    Its result has shape (number of texts, num_classes), also for a model with one column.
    """
    read = make_reader(model)

    def predict(token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        outputs = read(token_ids)
        return np.hstack([1 - outputs, outputs]) if is_binary(model) else outputs

    return predict


def make_reader(model: keras.Model, batch_size: int = 128) -> Predictor:
    """Return a function from unpadded token ids to the model's own output columns."""
    signature = tf.TensorSpec((None, None), tf.int32)  # one trace for all lengths
    call = tf.function(lambda batch: model(batch, training=False), input_signature=[signature])
    columns = model.output_shape[-1]

    def read(token_ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        outputs = np.empty((len(token_ids), columns), np.float32)
        for rows in sorted_batches([len(ids) for ids in token_ids], batch_size):
            outputs[rows] = call(pad([token_ids[row] for row in rows])).numpy()
        return outputs

    return read


def log_loss(probabilities: NDArray[np.float32], label_ids: NDArray[np.int32]) -> float:
    """Return the mean negative log probability of the true labels."""
    true = probabilities[np.arange(len(label_ids)), label_ids]
    return float(-np.log(np.maximum(true, 1e-7)).mean())  # 1e-7: Keras' own epsilon


def _make_targets(model: keras.Model, train: Encoded) -> NDArray[np.float32]:
    """Return what the model's columns shall become: certain of the label, without targets."""
    num_classes = max(2, model.output_shape[-1])
    targets = train.targets
    if targets is None:
        targets = np.eye(num_classes, dtype=np.float32)[train.label_ids]
    return targets[:, 1:] if is_binary(model) else targets


def _end_epoch(
    model: keras.Model,
    probabilities: NDArray[np.float32],
    label_ids: NDArray[np.int32],
    progress: Progress,
    settings: Settings,
) -> None:
    dev_loss = log_loss(probabilities, label_ids)
    is_best = all(dev_loss < row["dev_loss"] for row in progress.history)
    if is_best or not settings.patience:
        progress.best_weights = model.get_weights()
    row = {
        "epoch": progress.epoch + 1,
        "loss": progress.loss_sum / progress.batch,
        "dev_loss": dev_loss,
        "dev_accuracy": float(np.mean(probabilities.argmax(axis=1) == label_ids)),
        "seconds": round(progress.seconds, 1),
    }
    progress.history.append(row)
    progress.epoch += 1
    progress.batch = 0
    progress.loss_sum = 0.0
    progress.seconds = 0.0


def _is_over(progress: Progress, settings: Settings) -> bool:
    losses = [row["dev_loss"] for row in progress.history]
    return (
        bool(losses and settings.patience)
        and len(losses) - 1 - int(np.argmin(losses)) >= settings.patience
    )


def _describe(row: dict[str, Any]) -> str:
    return (
        f"epoch {row['epoch']}: loss {row['loss']:.4f}, development loss {row['dev_loss']:.4f}, "
        f"accuracy {row['dev_accuracy']:.4f}, {row['seconds']:.0f} s"
    )
