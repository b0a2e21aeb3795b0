"""What one worker does behind the first pass, and what it must be told for it."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from handler.inference.tasks import read_task
from handler.inference.tokenizer import Tokenizer
from training.errors import DataError, RunError
from training.progress import step
from training.recipe import load_recipe
from training.rows.data import Sources
from training.settings import Settings
from training.streaming.cache import BLOCK_ROWS, Cache
from training.streaming.counting import Counted, Sides, count_rows, show_rows
from training.streaming.descent import Learner, Stream, balance, fit_stream
from training.streaming.row_groups import RowGroup, read_row_groups
from training.streaming.team import Team
from training.tasks import Objective, make_objective
from training.tokenizer import format_tokenizer, parse_tokenizer


@dataclass(frozen=True)
class Plan:
    """What every worker must know beside the weights.

    Args:
        labels: Label -> rows to train on.
    """

    settings: Settings
    tokenizer: Tokenizer
    objective: Objective
    labels: Mapping[str, int]
    steps: int
    batch_size: int


class Worker:
    """One worker behind the first pass: it writes its rows to disk and fits the model to them.

    Args:
        groups: Its own.
        folder: Where its rows are written.
    """

    def __init__(
        self, groups: Sequence[RowGroup], sources: Sources, sides: Sides, team: Team, folder: Path
    ) -> None:
        self.groups, self.sources, self.sides = groups, sources, sides
        self.team, self.folder = team, folder
        self.num_rows = sum(group.rows for group in groups)

    def count(self, sample_rows: int, max_length: int) -> Counted:
        """Return what the first pass finds in the worker's rows.

        Args:
            max_length: Tokens that are read of a text.
        """
        return count_rows(self._read("counting"), self.sides, sample_rows, max_length)

    def _read(self, title: str) -> Iterator[tuple[str, str]]:
        rows = read_row_groups(self.groups, self.sources.columns)
        return show_rows(rows, self.num_rows, title)

    def follow(self) -> None:
        """Do what the chief says.

        Raises:
            RunError: The chief has ended, or needs nothing.
        """
        content = self.team.share()
        if not content:
            raise RunError(
                f"worker {self.team.number}: worker 0 has nothing to do: it has failed, or the run "
                "was finished already. Look there."
            )
        plan, weights, bias = read_plan(content)
        keras.utils.set_random_seed(plan.settings.seed + self.team.number)
        model = load_recipe(plan.settings.recipe).build_model(
            plan.settings, len(plan.tokenizer.word_ids), plan.objective
        )
        model.set_weights(weights)
        self.fit(model, bias, plan, None)

    def fit(
        self, model: keras.Model, bias: NDArray[np.float32], plan: Plan, checkpoint: Path | None
    ) -> tuple[NDArray[np.float32], dict[str, float]]:
        """Fit the halves of the model in place; return the bias of the wide one, and figures."""
        is_narrow = len(plan.tokenizer.word_ids) <= 1 << 16 and not plan.tokenizer.reads_letters
        stream = Stream(
            plan.steps,
            plan.batch_size,
            plan.objective.encode(list(plan.labels)),
            balance(list(plan.labels.values())),
        )
        with Cache(self.folder, is_narrow) as cache:
            with step("writing token ids"):
                self._write(cache, plan)
            learner = Learner(model, bias, plan.settings, plan.objective, stream)
            seed = plan.settings.seed * self.team.size + self.team.number
            with step("all rows"):
                figures = fit_stream(learner, cache, stream, self.team, seed, checkpoint)
        return learner.bias, figures

    def _write(self, cache: Cache, plan: Plan) -> None:
        numbers = {label: number for number, label in enumerate(plan.labels)}
        rows: list[list[int]] = []
        labels: list[int] = []
        for text, label in self._read("writing"):
            if self.sides.find_key(text) < self.sides.dev_limit:
                continue
            if label not in numbers:
                raise DataError(f"{self.sources.train}: has changed while it was read.")
            rows.append(plan.tokenizer.encode(text).row)
            labels.append(numbers[label])
            if len(rows) == BLOCK_ROWS:
                cache.write(rows, labels)
                rows, labels = [], []
        if rows:
            cache.write(rows, labels)
        if not len(cache):
            raise DataError(
                f"worker {self.team.number}: has no row to train on. Start fewer workers."
            )


def format_plan(plan: Plan, weights: Sequence[NDArray[Any]], bias: NDArray[np.float32]) -> bytes:
    told = {
        "settings": dataclasses.asdict(plan.settings),
        "tokenizer": format_tokenizer(plan.tokenizer).decode(),
        "task": plan.objective.task.describe(),
        "labels": plan.labels,
        "steps": plan.steps,
        "batch_size": plan.batch_size,
    }
    buffer = io.BytesIO()
    arrays = {f"weights_{number}": array for number, array in enumerate(weights)}
    text = np.frombuffer(json.dumps(told).encode(), np.uint8)
    np.savez(buffer, allow_pickle=False, plan=text, bias=bias, **arrays)
    return buffer.getvalue()


def read_plan(content: bytes) -> tuple[Plan, list[NDArray[Any]], NDArray[np.float32]]:
    """Return the plan, the model's weights, and the bias of the wide half."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        told = json.loads(arrays["plan"].tobytes())
        weights = [arrays[f"weights_{number}"] for number in range(len(arrays.files) - 2)]
        bias = arrays["bias"]
    units = tuple(told["settings"]["units"])
    settings = Settings(**told["settings"] | {"units": units})
    tokenizer = parse_tokenizer(told["tokenizer"].encode(), settings.max_length)
    objective = make_objective(read_task(told["task"]))
    plan = Plan(settings, tokenizer, objective, told["labels"], told["steps"], told["batch_size"])
    return plan, weights, bias
