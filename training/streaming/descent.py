"""Fitting a model's halves to a stream of rows, by all workers in step.

Each worker has the same weights, reads its own rows, and computes the gradients of its part of a
batch; their sum is what each applies. So the weights stay the same, and W workers make the steps
that one makes with batches W times as large: those of one batch size for all.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from training.blocks import wide
from training.blocks.ngrams import FIRST_WORD_ID
from training.fitting.arrays import load_arrays, save_arrays
from training.fitting.batches import feed
from training.fitting.deep_half import make_teacher
from training.fitting.fit import CHECKPOINT_INTERVAL_S, make_optimizer, signature
from training.fitting.mixture import BOTH, MIXTURE, has_deep
from training.progress import is_quiet
from training.settings import Settings
from training.streaming.cache import Cache, cut_batches
from training.streaming.team import Team, add_up
from training.tasks import Objective

POOL_BLOCKS = 32  # of 1,024 rows, from which batches are cut: half of it is in memory as lists
WIDE_RATE = 0.2  # of AdaGrad (Duchi et al. 2011), for weights that stand about right already
# What AdaGrad starts with: as if each feature had been in some rows before. With nothing, the
# first row that has it would move its weight by the whole rate.
SEEN_BEFORE = 0.01
MOST_BALANCE = 10.0  # times that a row of a rare label counts in the wide half, at most
BATCHES_AHEAD = 4
WARM_STEPS = 3  # not timed
RECENT = 100  # steps whose mean loss is told


class Stream(NamedTuple):
    """What is streamed, and how long.

    Args:
        steps: Batches of all workers together.
        batch_size: Rows of one, of all workers together.
        targets: float32, shape (labels, num_outputs): of each label by its number in the cache.
        counts_as: float32, shape (labels,): what a row of each label counts in the wide half.
    """

    steps: int
    batch_size: int
    targets: NDArray[np.float32]
    counts_as: NDArray[np.float32]


def balance(label_counts: Sequence[int]) -> NDArray[np.float32]:
    """Return what a row of each label counts where all labels count the same, as in
    `training/linear/logit.py`, `MOST_BALANCE` at most; 1 in the mean."""
    counts = np.array(label_counts, np.float64)
    weights = np.minimum(counts.sum() / (len(counts) * counts), MOST_BALANCE)
    return np.asarray(weights * counts.sum() / (weights @ counts), np.float32)


class Learner:
    """What of a model is fitted here: the table of the wide half with its bias, by AdaGrad, and the
    deep half, as `training/fitting/fit.py` fits it. What places the table has, stays.

    Args:
        bias: Of the wide half, shape (num_logits,).
    """

    def __init__(
        self,
        model: keras.Model,
        bias: NDArray[np.float32],
        settings: Settings,
        objective: Objective,
        stream: Stream,
    ) -> None:
        self.model, self.objective, self._stream = model, objective, stream
        self.model_of_wide = keras.Model(model.input, _find_wide(model))
        self._table = model.get_layer(wide.WEIGHTS).embeddings
        self._bias = keras.Variable(bias, name="wide_bias")
        self._wide = [self._table, self._bias]
        seen = SEEN_BEFORE / stream.batch_size**2
        self._wide_optimizer = keras.optimizers.Adagrad(WIDE_RATE, seen, epsilon=1e-12)
        self._wide_optimizer.build(self._wide)
        self.teacher = make_teacher(model, objective) if has_deep(model) else None
        self._deep: list[Any] = []
        if self.teacher is not None:
            self._deep = self.teacher.trainable_variables
            self.teacher.optimizer = make_optimizer(settings, stream.steps)
            self.teacher.optimizer.build(self._deep)

    @property
    def fitted(self) -> list[Any]:
        """The variables that are fitted."""
        return [*self._wide, *self._deep]

    @property
    def state(self) -> list[Any]:
        """All variables that change."""
        state = [*self._wide, *self._wide_optimizer.variables]
        if self.teacher is not None:
            state += [*self.teacher.variables, *self.teacher.optimizer.variables]
        return state

    @property
    def bias(self) -> NDArray[np.float32]:
        return np.asarray(self._bias, np.float32)

    def find_gradients(self, batch: Any, targets: Any, counts_as: Any) -> Any:
        """Return the gradients of all that is fitted, and behind them the loss of the deep half, or
        of the wide one where it is alone; float32, one row.

        Each half learns as if there were no other. A part's sums over a whole batch are a mean.

        Args:
            counts_as: Shape (rows,), in the wide half.
        """
        with tf.GradientTape() as tape:
            tape.watch(self._table.value)
            logits = self.model_of_wide(batch, training=False) + self._bias
            losses = self.objective.loss(targets, self.objective.add_learner(logits))
            told = loss = tf.reduce_sum(losses * counts_as) / self._stream.batch_size
            if self.teacher is not None:
                losses = self.objective.loss(targets, self.teacher(batch, training=True))
                told = tf.reduce_sum(losses) / self._stream.batch_size
                loss += told
        found = tape.gradient(loss, [variable.value for variable in self.fitted])
        table, *others = [tf.convert_to_tensor(gradient) for gradient in found]
        # Padding, the unknown word and what the table does not keep weigh nothing.
        table = tf.pad(table[FIRST_WORD_ID:], [[FIRST_WORD_ID, 0], [0, 0]])
        flat = [tf.reshape(gradient, [-1]) for gradient in (table, *others, told)]
        return tf.concat(flat, axis=0)

    def apply(self, flat: Any) -> Any:
        """Change all that is fitted by what `find_gradients` gave; return the loss."""
        shapes = [variable.shape for variable in self.fitted]
        parts = tf.split(flat, [*(int(np.prod(shape)) for shape in shapes), 1])
        gradients = [tf.reshape(part, s) for part, s in zip(parts[:-1], shapes, strict=True)]
        self._wide_optimizer.apply(gradients[: len(self._wide)], self._wide)
        if self.teacher is not None:
            self.teacher.optimizer.apply(gradients[len(self._wide) :], self._deep)
        return parts[-1][0]

    def finish(self) -> None:
        """Keep the average of the deep half's weights, and the table as an int8 graph holds it."""
        if self.teacher is not None:
            self.teacher.optimizer.finalize_variable_values(self._deep)
        self._table.assign(wide.round_weights(np.asarray(self._table)))


def _find_wide(model: keras.Model) -> keras.KerasTensor:
    """Return the logits of the wide half, without their bias."""
    if has_deep(model):
        return model.get_layer(BOTH).input[0]
    return model.get_layer(MIXTURE).input


def fit_stream(
    learner: Learner,
    cache: Cache,
    stream: Stream,
    team: Team,
    seed: int,
    checkpoint: Path | None,
) -> dict[str, float]:
    """Fit the halves in place, from where `checkpoint` stands; return the figures of the fit.

    All workers call this with the same weights. The chief alone has a checkpoint, which is written
    every minute: what it holds is told to all.
    """
    done = _start_from(learner, team, checkpoint)
    batches = iter(_read_batches(learner.model, cache, stream, team, seed + done))
    sum_up, apply = _trace_step(learner, team)
    clock = _Clock(done)
    saved = time.monotonic()
    losses: deque[float] = deque(maxlen=RECENT)
    is_barless = is_quiet() or not sys.stderr.isatty() or not team.is_chief
    with tqdm(total=stream.steps, initial=done, unit="batch", disable=is_barless) as bar:
        for step in range(done + 1, stream.steps + 1):
            batch = next(batches)
            with team.watching():
                losses.append(float(apply(sum_up(*batch))))
            clock.count(step)
            bar.update()
            bar.set_postfix(loss=f"{np.mean(losses):.4f}", refresh=False)
            is_due = step == stream.steps or time.monotonic() - saved > CHECKPOINT_INTERVAL_S
            if checkpoint is not None and is_due:
                _save(checkpoint, learner, step)
                saved = time.monotonic()
    learner.finish()
    loss = float(np.mean(losses)) if losses else 0.0
    return {"loss": loss} | clock.measure(stream.steps, stream.batch_size)


class _Clock:
    """The time of steps, without the first ones, which are compiled."""

    def __init__(self, done: int) -> None:
        self._warm = done + WARM_STEPS
        self._start(done)

    def _start(self, step: int) -> None:
        self._first = step
        self._started, self._used = time.monotonic(), time.process_time()

    def count(self, step: int) -> None:
        """Tell that so many steps are done."""
        if step == self._warm:
            self._start(step)

    def measure(self, steps: int, batch_size: int) -> dict[str, float]:
        seconds, used = time.monotonic() - self._started, time.process_time() - self._used
        rows = (steps - self._first) * batch_size
        return {
            "rows_per_s": round(rows / seconds, 1),
            "chief_processor_s": round(used, 1),
            "timed_rows": rows,
        }


def _trace_step(learner: Learner, team: Team) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the functions that sum up the gradients of a batch, and that apply them."""

    def find(batch: Any, targets: Any, counts_as: Any) -> Any:
        own = learner.find_gradients(batch, targets, counts_as)
        return own if team.size == 1 else add_up(own)

    def sum_up(batch: Any, targets: Any, counts_as: Any) -> Any:
        return team.strategy.run(find, args=(batch, targets, counts_as))

    columns, each = tf.TensorSpec((None, None), tf.float32), tf.TensorSpec((None,), tf.float32)
    traced = tf.function(sum_up, input_signature=[signature(learner.model), columns, each])
    return traced, tf.function(learner.apply, input_signature=[each])


def _read_batches(
    model: keras.Model, cache: Cache, stream: Stream, team: Team, seed: int
) -> tf.data.Dataset:
    """Return this worker's part of each batch, read while others are computed."""

    def read() -> Iterator[Any]:
        size = stream.batch_size // team.size
        for rows, labels in cut_batches(cache, size, seed, POOL_BLOCKS):
            yield feed(model, rows), stream.targets[labels], stream.counts_as[labels]

    columns, each = tf.TensorSpec((None, None), tf.float32), tf.TensorSpec((None,), tf.float32)
    specs = (signature(model), columns, each)
    return tf.data.Dataset.from_generator(read, output_signature=specs).prefetch(BATCHES_AHEAD)


def _start_from(learner: Learner, team: Team, checkpoint: Path | None) -> int:
    """Give every worker what the chief's checkpoint holds; return the steps that are done."""
    stored = load_arrays(checkpoint) if checkpoint is not None else None
    done = int(team.sum(np.array([0 if stored is None else int(stored["done"])]))[0])
    if done:
        for number, variable in enumerate(learner.state):
            own = (
                np.zeros(variable.shape, variable.dtype) if stored is None else stored[str(number)]
            )
            variable.assign(np.frombuffer(team.share(own.tobytes()), own.dtype).reshape(own.shape))
    return done


def _save(checkpoint: Path, learner: Learner, done: int) -> None:
    arrays = {str(number): variable.numpy() for number, variable in enumerate(learner.state)}
    save_arrays(checkpoint, {"done": np.array(done), **arrays})
