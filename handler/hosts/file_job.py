"""Scoring one file: the rows of an object's job, on a disk and with a progress bar.

While it runs, the output is `scored.csv.gz.partial` and `scored.csv.gz.state.json` tells how much
of it is sure; a run that was stopped goes on from there. An output in S3 is made below the user's
cache folder, then uploaded.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from handler.errors import DeliveryError, InvalidInput
from handler.events.work import ObjectRef
from handler.files import check_room, naming
from handler.hosts.progress import ProgressBar
from handler.hosts.score_state import (
    beside,
    describe_taken,
    read_finished,
    read_state,
    remove_work,
    save_finished,
    save_state,
)
from handler.inference.classifier import Classifier, Prediction
from handler.objects.source import ObjectChanged, open_object
from handler.objects.upload import remove_object
from handler.rows.formats import compress, detect_format
from handler.rows.options import ReadOptions
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
        reasons: Why rows were rejected -> how many; numbers in a reason are N.
    """

    output: str
    rows: int
    rejected: int
    seconds: float
    rejects: str = ""
    reasons: Mapping[str, int] = field(default_factory=dict)


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
    ) -> None:
        self.name = name
        self.output = output
        self.column = column
        self.options = options
        self.limits = limits
        self.manifest = classifier.manifest
        self.model_sha256 = classifier.model_sha256
        self.predictor = predictor
        self.progress = progress
        self.force = force
        self.format = detect_format(name)
        self.rejected = 0

    def run(self) -> Summary:
        started = time.monotonic()
        is_object = "://" in self.output
        target = _local_copy(self.name, self.output) if is_object else Path(self.output)
        if not is_object and target.exists():
            finished = read_finished(target, self._identify())
            if finished is not None:
                return Summary(**finished)
            if not self.force:
                raise describe_taken(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with naming(target):
                row = self._score(target)
        except InvalidInput:  # the same rows would be refused again: nothing to go on from
            remove_work(target)
            raise
        except ObjectChanged:
            remove_work(target)
            raise DeliveryError(
                f"{self.name}: the object was replaced while it was read: run the command again"
            ) from None
        rejected = beside(target, ".rejected")
        reasons = _count_reasons(rejected) if self.rejected else {}
        if is_object:
            _put(target, self.output)
            shutil.rmtree(target.parent)
        seconds = time.monotonic() - started
        rejects = f"{self.output}.rejected" if self.rejected else ""
        summary = Summary(self.output, row, self.rejected, seconds, rejects, reasons)
        if not is_object:
            save_finished(target, self._identify(), asdict(summary))
        return summary

    def _identify(self) -> list[Any]:
        """Return what tells this very job from one of other rows, another model or reading."""
        source, size, version = open_input(self.name)
        source.close()
        return self._name_job(size, version)

    def _name_job(self, size: int, version: str) -> list[Any]:
        how = [asdict(self.limits), self.column, asdict(self.options)]
        return [self.name, size, version, self.model_sha256, *how]

    def _score(self, target: Path) -> int:
        """Write `target` and its rejected rows, from a state that fits on; return the rows."""
        partial, state_path = beside(target, ".partial"), beside(target, ".state.json")
        rejected_partial = beside(target, ".rejected.partial")
        source, size, version = open_input(self.name)
        check_room(target, size)
        identity = self._name_job(size, version)
        state = read_state(state_path, identity, partial, rejected_partial)
        start = Position(state["row"], state["offset"])
        self.rejected = state["num_rejected"]
        with (
            source,
            _open_at(partial, state["bytes"]) as output,
            _open_at(rejected_partial, state["rejected_bytes"]) as rejects,
        ):
            columns = self.manifest.task.columns
            rows = open_rows(source, self.format, [self.column], start, columns, self.options)
            if self.progress:
                print(f"{self.name}: {rows.found.describe()}", file=self.progress)
            if not start.row and rows.header:
                output.write(compress(rows.header, self.format.compression))
            end = self._score_blocks(rows, source, size, output, rejects, state_path, identity)
        finished = self._join(partial) if self.format.kind == "parquet" else partial
        self._put_in_place(target, finished, rejected_partial)
        for leftover in (state_path, partial):
            leftover.unlink(missing_ok=True)
        return end.row

    def _score_blocks(
        self,
        rows: Rows,
        source: BinaryIO,
        size: int,
        output: BinaryIO,
        rejects: BinaryIO,
        state_path: Path,
        identity: list[Any],
    ) -> Position:
        end = rows.position
        bar = ProgressBar(self.progress, size, end.row)
        saved = time.monotonic()
        for block, predictions in self.predictor(read_blocks(rows, self.limits)):
            content, lines = encode_block(
                rows, block, predictions, self.manifest.task, self.manifest.version
            )
            if content:
                output.write(compress(content, self.format.compression))
            rejects.write(lines)
            self.rejected += lines.count(b"\n")
            end = block.end
            if time.monotonic() - saved > CHECKPOINT_S:
                save_state(state_path, identity, end, output, rejects, self.rejected)
                saved = time.monotonic()
            bar.draw(end.row, source.tell())
        bar.finish(end.row)
        for file in (output, rejects):
            file.flush()
            os.fsync(file.fileno())
        return end

    def _join(self, cells: Path) -> Path:
        from handler.rows.parquet import join_cells

        joined = beside(cells, ".joined")
        source, _, _ = open_input(self.name)
        columns, version = self.manifest.task.columns, self.manifest.version
        with source, cells.open("rb") as lines, joined.open("wb") as output:
            join_cells(source, lines, cast(BinaryIO, output), columns, version)
        return joined

    def _put_in_place(self, target: Path, finished: Path, rejected_partial: Path) -> None:
        """Rename: the result last, so that where it stands all of it stands."""
        rejected = beside(target, ".rejected")
        if rejected_partial.stat().st_size:
            rejected_partial.replace(rejected)
        else:
            rejected_partial.unlink()
            rejected.unlink(missing_ok=True)
        finished.replace(target)


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


def _local_copy(name: str, url: str) -> Path:
    """Return where the result for `url` is made, the same for a run after one that stopped."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    job = hashlib.sha256(f"{name}\n{url}".encode()).hexdigest()[:16]
    return cache / "minnow" / job / url.rsplit("/", 1)[-1]


def _put(path: Path, url: str) -> None:
    """Upload a result and its rejected rows; boto3 cuts them into parts, and S3 puts each whole."""
    from handler.aws import make_client

    client = make_client("s3")
    bucket, _, key = url.removeprefix("s3://").partition("/")
    rejected = beside(path, ".rejected")
    try:
        if rejected.exists():
            client.upload_file(str(rejected), bucket, f"{key}.rejected")
        elif not remove_object(client, bucket, f"{key}.rejected"):
            # One of an earlier result would mislead: an empty one takes its place.
            client.put_object(Bucket=bucket, Key=f"{key}.rejected", Body=b"")
        client.upload_file(str(path), bucket, key)
    except Exception as error:  # of the client and of its transfers, which hides the service's code
        raise DeliveryError(f"{url}: cannot be written: {error}") from error


def _open_at(path: Path, size: int) -> BinaryIO:
    """Return `path` open for writing after its first `size` bytes; the rest is cut off."""
    file = path.open("r+b" if path.exists() else "w+b")
    file.truncate(size)
    file.seek(size)
    return cast(BinaryIO, file)


def _count_reasons(path: Path) -> dict[str, int]:
    """Return reason -> rows of a `.rejected` file, the most frequent first."""
    with path.open(encoding="utf-8") as lines:
        reasons = (re.sub(r"\d+", "N", json.loads(line)["reason"]) for line in lines)
        return dict(Counter(reasons).most_common())
