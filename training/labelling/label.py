"""Labels for the rows of a file from whatever can be asked for them: texts in, soft labels out.

texts.csv -> labelled.csv, labelled.csv.answers
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from handler.errors import ArtefactError
from handler.files import holding, naming, replacing
from handler.hosts.progress import ProgressBar
from handler.inference.tasks import SingleLabel, read_labels
from handler.rows.rows import Row
from training.errors import LabellingError, SettingsError
from training.labelling.answers import Answers, hash_text
from training.labelling.asking import Asker, work_through
from training.labelling.files import LABEL, Source, find_text, find_written, write_rows
from training.labelling.labeller import Labeller, Probabilities
from training.labelling.pace import Pace
from training.objectives.single_label import SingleLabelObjective
from training.rows.columns import Columns
from training.rows.readers import Dataset
from training.tasks import read_known_labels

SHOWN_ROWS = 5


@dataclass(frozen=True)
class Plan:
    """What is asked, how, and what of it is written.

    Args:
        labels: Those that the labeller may answer.
        batch_size: Texts that are asked for at once.
        concurrency: Batches that are asked for at the same time.
        retries: How often what failed is asked again.
        max_entropy: Rows above it are left out; bits, None: all are written.
        agree: Labelled rows that the answers are compared with, and the columns of them.
    """

    labels: tuple[str, ...]
    batch_size: int = 50
    concurrency: int = 1
    retries: int = 4
    max_entropy: float | None = None
    agree: tuple[Path, Columns] | None = None


@dataclass(frozen=True)
class Summary:
    """What became of the rows.

    Args:
        labelled: Rows that were written.
        unsure: Rows left out for their entropy.
        failed: Why rows have no label -> their numbers, from 1.
        asked: Texts that were answered in this run.
        agreement: Figures of `evaluate` against the hand-labelled rows; empty without any.
    """

    output: str
    rows: int
    labelled: int
    unsure: int
    failed: Mapping[str, list[int]]
    asked: int
    agreement: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_failed(self) -> int:
        return sum(map(len, self.failed.values()))


def check_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return labels that a model can be trained with.

    Raises:
        SettingsError: Fewer than two, two alike, or one that does not show.
    """
    try:
        return tuple(read_labels([*labels], "--labels"))
    except ArtefactError as error:
        raise SettingsError(str(error)) from None


def measure_entropy(probabilities: Probabilities) -> float:
    """Return the entropy in bits: 0 of one certain label, 1 of two as likely."""
    return sum(-number * math.log2(number) for number in probabilities if number > 0)


def label_file(
    source: Source,
    out: Path,
    labeller: Labeller,
    plan: Plan,
    pace: Pace,
    force: bool = False,
    progress: TextIO | None = None,
) -> Summary:
    """Label the rows of a file into `out`; rows without an answer are left out and told.

    Every answer is kept in `<out>.answers` as it comes, and no text is asked for again.

    Raises:
        DataError: The file cannot be read, or that of `plan.agree`; said before anything is asked.
        LabellingError: The labeller cannot be asked, or `out` stands already, without `force`.
        OSError: Another process is at work on `out`, or the disk is full.
    """
    written = find_written(source.path, out)
    if out.resolve() == source.path.resolve():
        raise LabellingError(f"{out}: the output would overwrite the input. Name another --out.")
    objective = SingleLabelObjective(SingleLabel(plan.labels))
    agree = None if plan.agree is None else read_known_labels(*plan.agree, objective)
    with source.open():  # its columns are there
        pass
    work, kept = Path(f"{out}.partial"), Path(f"{out}.answers")
    if not force and os.path.lexists(out) and not kept.exists():
        raise _describe_taken(out)
    with (
        holding(work, out),
        naming(out),
        Answers(kept, plan.labels, labeller.identity) as answers,
    ):
        _check_free(out, answers, force)
        num_before = len(answers)
        reasons = _ask_all(source, labeller, answers, plan, pace, progress)
        writer = _Writer(answers, plan, reasons)
        with replacing(out) as temporary:
            digest = write_rows(
                *(source, temporary, written, plan.labels, writer.decide, labeller.name)
            )
            if not writer.labelled and writer.failed:
                raise LabellingError(f"{out}: not written. {describe_failed(writer.failed)}")
            _check_free(out, answers, force)  # again: labelling takes hours
            answers.add_output(digest)
        agreement = {} if agree is None else measure_agreement(agree, answers, objective)
        num_asked = len(answers) - num_before
    counts = (writer.rows, writer.labelled, writer.unsure, dict(writer.failed), num_asked)
    return Summary(str(out), *counts, agreement)


def _check_free(out: Path, answers: Answers, force: bool) -> None:
    """Raise LabellingError where a file would be replaced that is not what this work put there."""
    if force or not os.path.lexists(out):
        return
    with out.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest not in answers.outputs:
        raise _describe_taken(out)


def _describe_taken(out: Path) -> LabellingError:
    return LabellingError(f"{out}: exists already. Name another --out; --force replaces it.")


def _ask_all(
    source: Source,
    labeller: Labeller,
    answers: Answers,
    plan: Plan,
    pace: Pace,
    progress: TextIO | None,
) -> dict[str, str]:
    """Ask for every text that has no answer yet; return hash -> reason of those without one."""
    asker = Asker(labeller, answers, pace, plan.retries)
    reasons: dict[str, str] = {}
    with source.open() as (rows, stream):
        if progress:
            print(f"{source.path}: {rows.found.describe()}", file=progress)
            if LABEL in (rows.names or ()):
                print(f"its column {LABEL!r} is replaced in the output", file=progress)
        bar = ProgressBar(progress, source.path.stat().st_size, 0)
        batches = _read_batches(rows, answers, plan.batch_size)

        def stop() -> None:
            pace.stop()
            labeller.close()

        for failed in work_through(batches, asker.ask, plan.concurrency, stop):
            reasons |= failed
            bar.draw(rows.position.row, stream.tell())
        bar.finish(rows.position.row)
    return reasons


def _read_batches(rows: Any, answers: Answers, batch_size: int) -> Iterator[list[str]]:
    """Yield the texts that have no answer, each once."""
    seen: set[str] = set()
    batch: list[str] = []
    for row in rows:
        text, problem = find_text(row)
        text_hash = "" if problem else hash_text(text)
        if problem or text_hash in seen or answers.find(text_hash) is not None:
            continue
        seen.add(text_hash)
        batch.append(text)
        if len(batch) >= batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


class _Writer:
    """Decides for each row what is written, and counts."""

    def __init__(self, answers: Answers, plan: Plan, reasons: Mapping[str, str]) -> None:
        self._answers = answers
        self._plan = plan
        self._reasons = reasons
        self.rows = self.labelled = self.unsure = 0
        self.failed: dict[str, list[int]] = defaultdict(list)

    def decide(self, row: Row) -> Probabilities | None:
        self.rows += 1
        text, problem = find_text(row)
        text_hash = "" if problem else hash_text(text)
        answer = None if problem else self._answers.find(text_hash)
        if answer is None:
            reason = problem or self._reasons.get(text_hash, "it was changed while it was read")
            self.failed[reason].append(row.number)
            return None
        most = self._plan.max_entropy
        if most is not None and measure_entropy(answer) > most:
            self.unsure += 1
            return None
        self.labelled += 1
        return answer


def describe_failed(failed: Mapping[str, Sequence[int]]) -> str:
    """Return how many rows have no label and why: "2 rows have no label: it is empty (rows 3, 9)".

    The most frequent reasons come first.
    """
    parts = []
    for reason, rows in sorted(failed.items(), key=lambda pair: -len(pair[1])):
        shown = ", ".join(map(str, rows[:SHOWN_ROWS])) + (", …" if len(rows) > SHOWN_ROWS else "")
        parts.append(f"{reason} (row{'s' if len(rows) > 1 else ''} {shown})")
    number = sum(map(len, failed.values()))
    have = "row has" if number == 1 else "rows have"
    return f"{number:,} {have} no label: {'; '.join(parts)}."


def measure_agreement(
    labelled: Dataset, answers: Answers, objective: SingleLabelObjective
) -> dict[str, Any]:
    """Return the figures of the answers on those labelled texts that were asked for.

    `rows` are those, `of_rows` all labelled ones.
    """
    found = [(label, answers.find(hash_text(text))) for text, label in _pairs(labelled)]
    known = [(label, answer) for label, answer in found if answer is not None]
    if not known:
        return {"rows": 0, "of_rows": len(labelled)}
    outputs = np.array([answer for _, answer in known])
    figures = objective.evaluate([label for label, _ in known], outputs)
    return {**figures, "of_rows": len(labelled)}


def _pairs(dataset: Dataset) -> Iterator[tuple[str, str]]:
    return zip(dataset.texts, dataset.labels, strict=True)
