"""The worker that trains on the sample, and tells the others what to do."""

from __future__ import annotations

import dataclasses
import gzip
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from handler.inference.tasks import SingleLabel
from handler.inference.tokenizer import Tokenizer
from training.errors import DataError, RunError
from training.fitting.encoded import Encoded
from training.fitting.mixture import MIXTURE, read_moved, set_mixture, wide_bias
from training.progress import say
from training.resuming.stages import Stages
from training.rows.columns import Columns
from training.rows.data import Data
from training.rows.readers import Dataset, read_dataset
from training.run_folder import DEV, SAMPLE
from training.settings import Settings
from training.streaming.counting import SAMPLE_CHARACTERS, Counted
from training.streaming.row_groups import only_one_label
from training.streaming.sampling import Row, Sample
from training.streaming.worker import Plan, Worker, format_plan
from training.tasks import Objective, find_task, make_objective
from training.tokenizer import order_words


@dataclass(frozen=True)
class Reading:
    """How rows are streamed.

    Args:
        sample_rows: Of the sample at most.
        passes: Over all rows, behind what is learned from the sample; 0.5: half of them, by chance.
        batch_size: Rows of a step, of all workers together.
    """

    sample_rows: int = 100_000
    passes: float = 1
    batch_size: int = 1024


class Chief:
    """The worker that trains on the sample, and tells the others what to do: `train_run`'s
    `beyond`. Leaving its block frees those that were told nothing.

    Args:
        parts: What each worker has counted.
    """

    def __init__(self, worker: Worker, parts: Sequence[bytes], reading: Reading, out: Path) -> None:
        self._worker, self._reading, self._out = worker, reading, out
        self._is_told = False
        self._counted = Counted(Sample(reading.sample_rows, SAMPLE_CHARACTERS))
        for part in parts:
            self._counted.merge(part)

    def __enter__(self) -> Chief:
        return self

    def __exit__(self, *error: object) -> None:
        if not self._is_told:
            with suppress(RunError):
                self._worker.team.share()

    def make_data(self, settings: Settings) -> Data:
        """Return the sample and the held-out rows, as files that stand in the run later on."""
        sources, counted = self._worker.sources, self._counted
        train = self._write_part(SAMPLE, counted.list_sample())
        if sources.dev is not None:
            dev = read_dataset(sources.dev, sources.columns)
        elif held_out := counted.held_out.rows:
            dev = self._write_part(DEV, held_out)
        else:
            raise DataError(
                f"{sources.train}: too few rows to hold some out. Give them with --dev FILE, or "
                "leave --stream out."
            )
        test = None if sources.test is None else read_dataset(sources.test, sources.columns)
        task = find_task(train.labels, {"kind": SingleLabel.kind} | dict(sources.task))
        objective = make_objective(task, sources.aims)
        objective.check(train, *(part for part in (dev, test) if part is not None))
        words = order_words(counted.words.counts)[: settings.vocab_size - 2]
        self._num_rows, self._labels = counted.labels.total(), dict(sorted(counted.labels.items()))
        del self._counted  # all words, and the sample a second time
        say(
            f"{self._num_rows:,} rows to train on, a sample of {len(train):,} of them in memory; "
            f"{len(dev):,} held out"
        )
        return Data(train, dev, test, train.columns, objective, sources.word_vectors, words=words)

    def describe(self) -> dict[str, Any]:
        return {
            "path": str(self._worker.sources.train),
            "rows": self._num_rows,
            "labels": self._labels,
            **dataclasses.asdict(self._reading),
        }

    def fit(
        self,
        model: keras.Model,
        tokenizer: Tokenizer,
        dev: Encoded,
        settings: Settings,
        objective: Objective,
        stages: Stages,
    ) -> dict[str, Any]:
        """Fit the model on, to all rows, in place; return what is told of it."""
        size = self._reading.batch_size
        steps = max(1, round(self._num_rows * self._reading.passes / size))
        plan = Plan(settings, tokenizer, objective, self._labels, steps, size)
        bias = wide_bias(*model.get_layer(MIXTURE).get_weights())
        self._is_told = True
        self._worker.team.share(format_plan(plan, model.get_weights(), bias))
        checkpoint = stages.folder / "stream.npz"
        bias, figures = self._worker.fit(model, bias, plan, checkpoint)
        logits = read_moved(model, dev)
        set_mixture(model, logits, dev.targets, bias, objective, dev.weights)
        told = {"workers": self._worker.team.size, "steps": steps}
        return self.describe() | told | figures

    def write(self, folder: Path) -> None:
        """Put the rows that were sampled into the run."""
        for name in (SAMPLE, DEV):
            if (path := self._worker.folder / name).exists():
                shutil.copyfile(path, folder / name)

    def _write_part(self, name: str, rows: Sequence[Row]) -> Dataset:
        path = self._worker.folder / name
        with gzip.open(path, "wt", encoding="utf-8") as stream:
            for _, text, label in rows:
                stream.write(json.dumps({"text": text, "label": label}) + "\n")
        return replace(read_dataset(path, only_one_label(Columns())), path=self._out / name)
