"""Training a smaller model on a finished run's rows, with the run's own model as teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from handler.inference.tokenizer import Tokenizer
from training.answers.selective import settle_selective
from training.blocks.early_exit import measure_exit
from training.errors import DataError, RunError, SettingsError
from training.fitting.batches import feed, shuffled_batches
from training.fitting.encoded import Encoded, encode_parts, join_encoded, map_ids
from training.fitting.fit import make_predictor
from training.profile import profile_rows
from training.recipe import Recipe, load_recipe, settle
from training.resuming.stages import Stages
from training.rows.data import join_parts, read_again
from training.run_folder import Run, advise_training
from training.settings import Settings, override
from training.tasks import Objective, make_objective
from training.tokenizer import UNKNOWN_ID

IMPORTANCE_BATCHES = 64
IMPORTANCE_BATCH_SIZE = 32
# Share of the teacher's outputs in what the student learns; the rest is the true target.
TEACHER_SHARE = 0.7


@dataclass(frozen=True)
class Distillation:
    """What a finished run gives to the training of smaller models.

    Args:
        settings: The run's own, but for the epochs, which are those of the fine-tuning.
        train, dev: The rows, split as the run was trained. Where the run has learned from its
            development rows, `train` has them too, and `dev` are those of `told`.
        dev_texts: The texts of `dev`.
        told: float32, shape (rows of `dev`, num_outputs): what models said of `dev` that were not
            fitted to it; None: the run was not fitted to it either.
        dev_labels: The labels of `dev`.
    """

    recipe: Recipe
    objective: Objective
    settings: Settings
    train: Encoded
    dev: Encoded
    dev_texts: list[str]
    told: NDArray[np.float32] | None = None
    dev_labels: Sequence[str] = ()


def prepare_distillation(run: Run, epochs: int) -> Distillation:
    """Return the run's recipe and rows, which are read again from its data.

    Args:
        epochs: Of every fine-tuning.

    Raises:
        DataError: A file is gone or not what the run was trained on.
        RunError: The recipe makes other models now than when the run was trained, or the run does
            not tell what it says of rows that it has not learned from.
        SettingsError: No epochs.
    """
    objective = make_objective(run.task, run.metadata["aims"])
    settings = fine_tune_settings(run, epochs)
    recipe = load_recipe(settings.recipe)
    _check_constants(run, recipe)
    data = read_again(run.metadata, objective, run.folder)
    tokenizer = run.load_tokenizer()
    split = data.split(settings.dev_fraction, settings.seed)
    train, dev = encode_parts(data, split, tokenizer)
    train = replace(train, vectors=run.load_vectors())
    dev_part, told = split[1], None
    if run.is_cross_validated:
        rows, told, offsets = run.held_out()
        train = join_encoded(train, dev)
        dev = replace(train.select(rows), offsets=offsets, places=rows)
        dev_part = join_parts(*split, rows)
    texts, labels = dev_part.texts, dev_part.labels
    return Distillation(recipe, objective, settings, train, dev, texts, told, labels)


def _check_constants(run: Run, recipe: Recipe) -> None:
    trained = run.metadata["constants"]
    changed = [
        f"{name} {trained.get(name)}, now {value}"
        for name, value in recipe.CONSTANTS.items()
        if trained.get(name) != value
    ]
    if changed:
        raise RunError(
            f"{run.folder}: made with other constants of the recipe ({'; '.join(changed)}), so "
            f"that no smaller model can be made of it. {advise_training(run.metadata)}"
        )


def fine_tune_settings(run: Run, epochs: int) -> Settings:
    """Return the run's own settings with `epochs`, and a patience that never ends it early."""
    if epochs < 1:
        raise SettingsError(f"--fine-tune-epochs is {epochs}, wanted 1 or more.")
    settings = run.metadata["settings"]
    own = Settings(**settings | {"units": tuple(settings["units"])})
    return override(own, {"epochs": epochs, "patience": epochs})


def check_teacher(run: Run, distillation: Distillation) -> None:
    """Raise DataError unless the run's model is better than one answer for every text.

    By more than a standard error of that answer's score, so that luck does not count.
    """
    objective, targets = distillation.objective, distillation.dev.targets
    answer = np.broadcast_to(targets.mean(axis=0), targets.shape)
    scores = objective.row_scores(answer, targets)
    score: float = run.metadata["metrics"]["dev"][objective.score_name]
    if score <= scores.mean() + scores.std() / len(scores) ** 0.5:
        raise DataError(
            f"{run.folder}: its {objective.score_name} on development rows is {score:.4f}, no "
            f"better than one answer for every text ({scores.mean():.4f} of {len(scores)} "
            "rows). Train a better model before making it smaller."
        )


def importance_batches(
    model: keras.Model, distillation: Distillation
) -> Iterator[tuple[Any, NDArray[np.float32], NDArray[np.float32]]]:
    """Yield training rows, always the same.

    What `model` is called with, targets, float32, shape (rows, num_outputs), and what each row
    counts, float32, shape (rows,).
    """
    train = distillation.train
    rows = train.rows
    counts = train.fitted_weights
    lengths = [len(ids) for ids in train.token_ids]
    batches = shuffled_batches(lengths, IMPORTANCE_BATCH_SIZE, seed=0)
    for batch in batches[:IMPORTANCE_BATCHES]:
        yield feed(model, [rows[row] for row in batch]), train.targets[batch], counts[batch]


def mean_loss(objective: Objective) -> Callable[[Any, Any, Any], Any]:
    """Return a function from outputs and targets, both tensors (rows, num_outputs), and what each
    row counts, (rows,), to the mean loss, a scalar tensor."""

    def measure(outputs: Any, targets: Any, weights: Any) -> Any:
        return keras.ops.mean(weights * objective.loss(targets, outputs))

    return measure


def count_texts(distillation: Distillation, vocab_size: int) -> NDArray[np.float64]:
    """Return how many training texts have each token id, which is what a word is worth.

    float64, shape (vocab_size,); padding and unknown are worth everything.
    """
    counts = np.zeros(vocab_size)
    for ids in distillation.train.token_ids:
        counts[list(set(ids))] += 1
    counts[: UNKNOWN_ID + 1] = np.inf
    return counts


def ask_teacher(
    model: keras.Model, distillation: Distillation, stages: Stages
) -> NDArray[np.float32]:
    """Return what the run's model has to teach of the training rows, asked once.

    float32, shape (rows, num_outputs).
    """

    def ask() -> dict[str, NDArray[np.float32]]:
        teacher = distillation.recipe.make_teacher(model, distillation.objective)
        return {"outputs": make_predictor(teacher)(distillation.train.rows)}

    return stages.make("teacher", ask)["outputs"]


def mix_targets(teacher: NDArray[np.float32], targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the student learns: (0.9, 0.1) and (0, 1) -> (0.63, 0.37).

    Distillation (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015) at
    temperature 1: the cross-entropy with a mixture of target and teacher is the mixture of both
    cross-entropies. All three are float32, shape (rows, num_outputs).
    """
    return np.float32(TEACHER_SHARE) * teacher + np.float32(1 - TEACHER_SHARE) * targets


def fine_tune(
    student: keras.Model,
    teacher: NDArray[np.float32],
    distillation: Distillation,
    id_map: NDArray[np.int32],
    dev: Encoded,
    stages: Stages,
) -> None:
    """Fit `student` in place to targets and teacher.

    Args:
        dev: The development rows in the student's token ids.
        teacher: Its outputs for the training rows, float32, shape (rows, num_outputs).
        id_map: int32, shape (vocab_size,): token id -> the student's token id.
    """
    targets = mix_targets(teacher, distillation.train.targets)
    train = replace(map_ids(distillation.train, id_map), targets=targets)
    distillation.recipe.fine_tune_model(
        student,
        train,
        dev,
        distillation.settings,
        distillation.objective,
        stages,
    )


def settle_student(
    student: keras.Model,
    distillation: Distillation,
    dev: Encoded,
    tokenizer: Tokenizer,
    id_map: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return what the fitted student says of the development rows, and what its metadata say of its
    answers; its exit follows them.

    Args:
        dev: The development rows in the student's token ids.
        tokenizer: Of the run; the student's splits texts as it does.
        id_map: Token id -> id of the student; None: they are the same.
    """
    train = distillation.train if id_map is None else map_ids(distillation.train, id_map)
    recipe, objective = distillation.recipe, distillation.objective
    told = recipe.tell_rows(student, dev, objective)
    objective, told = settle(recipe, student, dev, told, objective)
    task = settle_selective(objective, told, dev, train)
    return told, {
        "early_exit": measure_exit(student, dev, objective),
        "profile": profile_rows(task, tokenizer, distillation.dev_texts, told, dev, train),
        "task": task.describe(),
        "settled": dict(objective.settled),
    }
