"""Scoring one file: the rows of an object's job, on a disk and with a progress bar.

While it runs, everything stands in `scored.csv.gz.partial` (`score_state.py`); a run that was
stopped goes on from there. An output in S3 is made below the user's cache folder, then sent.
"""

from __future__ import annotations

import io
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from handler.errors import DeliveryError, InvalidInput
from handler.events.work import ObjectRef
from handler.files import check_room, holding, naming
from handler.hosts.progress import ProgressBar
from handler.hosts.score_review import write_review
from handler.hosts.score_state import Work
from handler.hosts.score_upload import send_result
from handler.inference.classifier import Classifier, Prediction
from handler.inference.tasks import describe_rules
from handler.objects.source import ObjectChanged, open_object
from handler.rows.formats import compress, detect_format
from handler.rows.options import ReadOptions
from handler.rows.parts import WHOLE, Part
from handler.rows.reader import open_rows
from handler.rows.rows import Position, Rows
from handler.rows.score import Block, encode_block, read_blocks
from handler.settings import Limits

CHECKPOINT_S = 2.0  # work lost to a kill; an fsync takes 10 ms
Predictor = Callable[[Iterator[Block]], Iterator[tuple[Block, list[Prediction | None]]]]


@dataclass(frozen=True)
class Summary:
    """What became of one input.

    Args:
        rejects: The file of the rejected rows; "" where there is none.
        review: The file of the rows that were not answered; "" where none was wanted.
        unanswered: How many they are.
        input_rows: Of the whole input, of which `rows` may be a part.
        reasons: Why rows were rejected -> how many; numbers in a reason are N.
    """

    output: str
    rows: int
    rejected: int
    seconds: float
    rejects: str = ""
    reasons: Mapping[str, int] = field(default_factory=dict)
    review: str = ""
    unanswered: int = 0
    input_rows: int = 0


class FileJob:
    """One input to one output."""

    def __init__(
        self,
        name: str,
        output: str,
        column: str,
        options: ReadOptions,
        limits: Limits,
        classifier: Classifier,
        predictor: Predictor,
        progress: TextIO | None,
        force: bool = False,
        review: Path | None = None,
        part: Part = WHOLE,
    ) -> None:
        self.name = name
        self.output = output
        self.work = Work(output, review)
        self.column = column
        self.options = options
        self.limits = limits
        self.manifest = classifier.manifest
        self.model_sha256 = classifier.model_sha256
        self.predictor = predictor
        self.progress = progress
        self.force = force
        self.part = part
        self.format = detect_format(name)
        self.rejected = 0

    def run(self) -> Summary:
        with holding(self.work.folder, self.output), naming(Path(self.output)):
            identity = self._identify()
            finished = self.work.read_finished(identity)
            if finished is None:
                finished = self._score_anew(identity)
            if not self.force:
                self.work.check_free(identity)  # again: scoring takes hours
            told = self._write_review()
            if self.work.is_object:
                send_result(self.work)
                self.work.remove()
            else:
                self.work.put_in_place()
        return Summary(**{**finished, **told})

    def _write_review(self) -> dict[str, Any]:
        """Put the rows that are not answered in place, where they are wanted; return what the
        summary says of them."""
        review, target = self.work.review, self.work.target_review
        if review is None or target is None:
            return {}
        review.parent.mkdir(parents=True, exist_ok=True)
        scored = self.work.rows if self.work.rows.exists() else self.work.target
        options = replace(self.options, join_surplus=False)
        task, version = self.manifest.task, self.manifest.version
        count = write_review(scored, review, self.format, options, task, version)
        self.work.put_review_in_place()
        return {"review": str(target), "unanswered": count}

    def _score_anew(self, identity: list[Any]) -> dict[str, Any]:
        """Score all rows that are not yet; return the summary, which is written down then."""
        started = time.monotonic()
        if not self.force:
            self.work.check_free(identity)
        try:
            rows, input_rows = self._score(identity)
        except InvalidInput:  # the same rows would be refused again: nothing to go on from
            self.work.remove()
            raise
        except ObjectChanged:
            self.work.remove()
            raise DeliveryError(
                f"{self.name}: was replaced while it was read: run the command again"
            ) from None
        reasons = _count_reasons(self.work.rejected) if self.rejected else {}
        rejects = f"{self.output}.rejected" if self.rejected else ""
        seconds = time.monotonic() - started
        told = (self.output, rows, self.rejected, seconds, rejects, reasons)
        summary = asdict(Summary(*told, input_rows=input_rows))
        self.work.save_finished(identity, summary)
        return summary

    def _identify(self) -> list[Any]:
        """Return what tells this very job from one of other rows, another model or reading: first
        the input's name and bytes."""
        source, size, version = open_input(self.name)
        source.close()
        return self._name_job(size, version)

    def _name_job(self, size: int, version: str) -> list[Any]:
        how: list[Any] = [self.limits._asdict(), self.column, asdict(self.options)]
        if rules := describe_rules(self.manifest.task):
            how.append(rules)
        if self.part.num_parts > 1:
            how.append(list(self.part))
        return [self.name, size, version, self.model_sha256, *how]

    def _score(self, identity: list[Any]) -> tuple[int, int]:
        """Write all rows and rejected rows, from where the work stands; return how many were, and
        how many the input has."""
        work = self.work
        written = work.cells if self.format.kind == "parquet" else work.rows
        state = work.read_position(identity, written)
        if not state["row"]:
            if self.progress and work.state.exists():
                print(f"{work.folder}: of no use, all is scored anew", file=self.progress)
            work.remove()  # or parts of another result would join this one
        check_room(work.folder, max(0, identity[1] - state["bytes"]))
        source, size, version = open_input(self.name)
        if self._name_job(size, version) != identity:
            source.close()
            raise ObjectChanged
        start = Position(state["row"], state["offset"])
        self.rejected = state["num_rejected"]
        with (
            source,
            _open_at(written, state["bytes"]) as output,
            _open_at(work.rejected, state["rejected_bytes"]) as rejects,
        ):
            columns = self.manifest.task.columns
            rows = open_rows(source, self.format, [self.column], start, columns, self.options)
            if self.progress:
                print(f"{self.name}: {rows.found.describe()}", file=self.progress)
            if not start.row and rows.header:
                output.write(compress(rows.header, self.format.compression))
            num_rows = self._score_blocks(rows, source, size, output, rejects, identity)
        if self.format.kind == "parquet":
            self._join()
        return num_rows, rows.position.row

    def _score_blocks(
        self,
        rows: Rows,
        source: BinaryIO,
        size: int,
        output: BinaryIO,
        rejects: BinaryIO,
        identity: list[Any],
    ) -> int:
        end = rows.position
        num_rows = self.part.count_rows(end.row)
        bar = ProgressBar(self.progress, size, end.row)
        saved = time.monotonic()
        for block, predictions in self.predictor(read_blocks(rows, self.limits, self.part)):
            content, lines = encode_block(
                rows, block, predictions, self.manifest.task, self.manifest.version
            )
            if content:
                output.write(compress(content, self.format.compression))
            rejects.write(lines)
            self.rejected += lines.count(b"\n")
            end = block.end
            num_rows += len(block.rows) + len(block.rejected)
            if time.monotonic() - saved > CHECKPOINT_S:
                self.work.save_position(identity, end, output, rejects, self.rejected)
                saved = time.monotonic()
            bar.draw(end.row, source.tell())
        bar.finish(end.row)
        for file in (output, rejects):
            file.flush()
            os.fsync(file.fileno())
        return num_rows

    def _join(self) -> None:
        """Write the rows of Parquet, which cannot be gone on from, out of their cells."""
        from handler.rows.parquet import join_cells

        source, _, _ = open_input(self.name)
        columns, version = self.manifest.task.columns, self.manifest.version
        with (
            source,
            self.work.cells.open("rb") as lines,
            _open_at(self.work.rows, 0) as output,
        ):
            join_cells(source, lines, output, columns, version)
            output.flush()
            os.fsync(output.fileno())


def open_input(name: str) -> tuple[BinaryIO, int, str]:
    """Return a file or object, its bytes, and what tells its version."""
    if name.startswith("s3://"):
        from handler.aws import make_client

        bucket, _, key = name.removeprefix("s3://").partition("/")
        try:
            file, reference = open_object(make_client("s3"), ObjectRef(bucket, key))
        except DeliveryError as error:
            raise DeliveryError(f"{name}: {error}") from error
        return io.BufferedReader(file, 1 << 17), file.size, reference.etag
    path = Path(name)
    status = path.stat()
    return path.open("rb"), status.st_size, str(status.st_mtime_ns)


def _open_at(path: Path, size: int) -> BinaryIO:
    """Return `path` open for writing after its first `size` bytes; the rest is cut off."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)  # less the umask
    file = open(descriptor, "r+b")
    file.truncate(size)
    file.seek(size)
    return cast(BinaryIO, file)


def _count_reasons(path: Path) -> dict[str, int]:
    """Return reason -> rows of a `.rejected` file, the most frequent first."""
    with path.open(encoding="utf-8") as lines:
        reasons = (re.sub(r"\d+", "N", json.loads(line)["reason"]) for line in lines)
        return dict(Counter(reasons).most_common())
