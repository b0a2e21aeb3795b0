"""What a command scores: every input with its output, and the share of it that one process has.

A share can be sent to another process, and asks nothing of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO

from handler.errors import InvalidInput
from handler.hosts.file_job import FileJob, Predictor, Summary
from handler.hosts.inputs import expand_inputs
from handler.hosts.score_state import Work, check_outputs, remove_finished
from handler.hosts.shards import Shard, ShardRecord, describe_job, name_part
from handler.inference.classifier import Classifier
from handler.rows.formats import detect_format
from handler.rows.options import ReadOptions, check_options
from handler.rows.parts import WHOLE, Part
from handler.settings import Limits


class FileTask(NamedTuple):
    """One input, its output, the file of its rows that are not answered, and the part of it."""

    name: str
    output: str
    review: Path | None
    part: Part


class How(NamedTuple):
    """How every input is read.

    Args:
        column: The column or field that holds the text; None: as in the training.
    """

    column: str | None
    options: ReadOptions
    limits: Limits
    force: bool


@dataclass(frozen=True)
class Share:
    """What one process scores.

    Args:
        tasks: In their order.
        how: They are read, with the column's name.
        record: Where it is written down that all of them are done; None: nowhere.
    """

    tasks: Sequence[FileTask]
    how: How
    record: ShardRecord | None

    @property
    def places(self) -> list[str]:
        """Inputs and outputs: files, and objects in a bucket."""
        return [place for task in self.tasks for place in (task.name, task.output)]

    def check(self) -> None:
        """Check, before anything is spent, that the outputs can be made, or were made already.

        Raises:
            InvalidInput: A file would be replaced, without `force`.
            OSError: Another process is at work on it.
        """
        if self.how.force or self._read_done() is None:
            self._check_outputs()

    def run(
        self, classifier: Classifier, predictor: Predictor, progress: TextIO | None
    ) -> list[Summary]:
        """Score what is not scored yet, write it down, and return a summary of each input."""
        outputs = [task.output for task in self.tasks]
        if self.record is not None and self.how.force:
            self.record.remove()
        elif done := self._read_done():
            remove_finished(outputs)
            return done
        self._check_outputs()
        summaries = []
        for name, output, review, part in self.tasks:
            column, options, limits, force = self.how
            how = (column or "text", options, limits, classifier, predictor, progress)
            summaries.append(FileJob(name, output, *how, force, review, part).run())
        if self.record is not None:
            names, parts = zip(*((task.name, task.part) for task in self.tasks), strict=True)
            self.record.write(names, parts, summaries)
        remove_finished(outputs)
        return summaries

    def _check_outputs(self) -> None:
        works = [Work(task.output, task.review) for task in self.tasks]
        check_outputs(works, self.how.force)

    def _read_done(self) -> list[Summary] | None:
        return None if self.record is None else self.record.read_done()


@dataclass(frozen=True)
class Plan:
    """Every input of a command, of whatever process; `make_plan` makes one."""

    names: Sequence[str]
    outputs: Sequence[str]
    reviews: Sequence[Path] | Sequence[None]
    out: str
    how: How

    @property
    def has_folder(self) -> bool:
        """Whether the outputs stand in a folder, where it can be written down what is done."""
        return is_folder(self.out)

    def share(self, classifier: Classifier, shard: Shard | None = None) -> Share:
        """Return what a shard scores; without one all that there is."""
        column = self.how.column or classifier.manifest.columns.get("text", "text")
        how = self.how._replace(column=column)
        own = [(index, WHOLE) for index in range(len(self.names))]
        record = None
        if shard is not None:
            own = shard.share_out(len(self.names))
            job = describe_job(classifier, column, how.limits, how.options, self.names)
            record = ShardRecord(self.out, shard, job)
        tasks = [
            FileTask(
                self.names[index], name_part(self.outputs[index], part), self.reviews[index], part
            )
            for index, part in own
        ]
        return Share(tasks, how, record)


def make_plan(
    inputs: Sequence[str],
    out: str,
    *,
    column: str | None = None,
    options: ReadOptions | None = None,
    limits: Limits | None = None,
    force: bool = False,
    review: str | None = None,
) -> Plan:
    """Return what a command scores.

    Args:
        inputs: As of `expand_inputs`.
        out, column, options, limits, force, review: As of `score_files`.

    Raises:
        InvalidInput: There is no such input, or outputs cannot be told apart.
    """
    names = expand_inputs(inputs)
    outputs = name_outputs(names, out)
    reviews = name_reviews(names, outputs, review)
    how = How(column, check_options(options or ReadOptions()), limits or Limits(), force)
    return Plan(names, outputs, reviews, out, how)


def is_folder(out: str) -> bool:
    """Say whether outputs are made below `out`: it ends with a slash, or is a folder already."""
    return out.endswith("/") or ("://" not in out and Path(out).is_dir())


def name_outputs(names: Sequence[str], out: str) -> list[str]:
    """Return the output of each input: `out` itself for one, or their names below the folder."""
    in_folder = is_folder(out)
    if not in_folder and len(names) > 1:
        raise InvalidInput(f"{len(names)} inputs and one output: end --out with / for a folder")
    outputs = [
        f"{out.rstrip('/')}/{name.rsplit('/', 1)[-1]}" if in_folder else out for name in names
    ]
    for name, output in zip(names, outputs, strict=True):
        if name == output or ("://" not in name + output and _same_file(name, output)):
            raise InvalidInput(f"{name}: the output would overwrite the input")
        if detect_format(name) != detect_format(output):
            raise InvalidInput(
                f"{output}: its name says another format than the input {name} has; the output "
                "has the same format"
            )
    if len(set(outputs)) < len(outputs):
        raise InvalidInput("two inputs have the same name: score them into two folders")
    return outputs


def name_reviews(
    names: Sequence[str], outputs: Sequence[str], review: str | None
) -> list[Path] | list[None]:
    """Return the file of each input's rows that are not answered; None of each where none is
    wanted."""
    if review is None:
        return [None] * len(names)
    if "://" in review:
        raise InvalidInput(f"--review {review}: wanted a file or a folder of this machine")
    reviews = name_outputs(names, review)
    for place in reviews:
        if any("://" not in output and _same_file(place, output) for output in outputs):
            raise InvalidInput(f"{place}: --review and --out name the same file")
    return [Path(place) for place in reviews]


def _same_file(left: str, right: str) -> bool:
    return Path(left).resolve() == Path(right).resolve()
