"""Scoring files on one machine: the rows of an object's job, a progress bar, several processes.

    reviews.csv.gz -> scored.csv.gz, scored.csv.gz.rejected

While it runs, the output is `scored.csv.gz.partial` and `scored.csv.gz.state.json` tells how much
of it is sure; a run that was stopped goes on from there. An output in S3 is made below the user's
cache folder, then uploaded.
"""

from __future__ import annotations

import glob
import hashlib
import io
import json
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from handler.errors import DeliveryError, InvalidInput
from handler.events.work import ObjectRef
from handler.inference.classifier import Classifier, Prediction, load_classifier
from handler.objects.source import ObjectChanged, open_object
from handler.objects.upload import remove_object
from handler.rows.formats import compress, detect_format
from handler.rows.reader import open_rows
from handler.rows.rows import Position, Rows
from handler.rows.score import Block, encode_block, predict_each, read_blocks
from handler.settings import Limits

CHECKPOINT_S = 2.0  # work lost to a kill; an fsync takes 10 ms
Predictor = Callable[[Iterator[Block]], Iterator[tuple[Block, list[Prediction | None]]]]


@dataclass(frozen=True)
class Summary:
    """What became of one input."""

    output: str
    rows: int
    rejected: int
    seconds: float


def score_files(
    bundle: Path,
    inputs: Sequence[str],
    out: str,
    *,
    workers: int = 1,
    column: str = "text",
    limits: Limits | None = None,
    progress: TextIO | None = None,
) -> list[Summary]:
    """Score every input and return a summary of each.

    Args:
        bundle: The bundle's folder.
        inputs: Files, globs and `s3://BUCKET/KEY`.
        out: A file, for one input; a folder, made if it ends with a slash; or `s3://BUCKET/KEY`.
        workers: Processes that classify; with 1 it is done in this one.
        column: The column or field that holds the text.
        limits: Checked on each row; by default those of a request.
        progress: Where the bar is drawn; None: nowhere.

    Raises:
        InvalidInput: An input cannot be read, or would be overwritten by the output.
    """
    names = expand_inputs(inputs)
    limits = limits or Limits()
    classifier = load_classifier(bundle)
    summaries = []
    with open_predictor(classifier, bundle, workers) as predictor:
        for name, output in zip(names, name_outputs(names, out), strict=True):
            job = _FileJob(name, output, column, limits, classifier, predictor, progress)
            summaries.append(job.run())
    return summaries


def expand_inputs(inputs: Sequence[str]) -> list[str]:
    """Return the inputs with globs replaced by what they match, in order of name."""
    names = []
    for name in inputs:
        found = [name] if "://" in name or Path(name).exists() else sorted(glob.glob(name))
        if not found:
            raise InvalidInput(f"{name}: no such file, and no file matches it as a pattern")
        names.extend(found)
    return names


def name_outputs(names: Sequence[str], out: str) -> list[str]:
    """Return the output of each input: `out` itself for one, or their names below the folder."""
    is_folder = out.endswith("/") or ("://" not in out and Path(out).is_dir())
    if not is_folder and len(names) > 1:
        raise InvalidInput(f"{len(names)} inputs and one output: end --out with / for a folder")
    outputs = [
        f"{out.rstrip('/')}/{name.rsplit('/', 1)[-1]}" if is_folder else out for name in names
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


@contextmanager
def open_predictor(classifier: Classifier, bundle: Path, workers: int) -> Iterator[Predictor]:
    """Yield a function that predicts blocks in order, in this process or in `workers` others."""
    if workers == 1:
        yield lambda blocks: ((block, predict_each(classifier, block.texts)) for block in blocks)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (bundle,))

    def predict(blocks: Iterator[Block]) -> Iterator[tuple[Block, list[Prediction | None]]]:
        waiting: deque[tuple[Block, Future[list[Prediction | None]]]] = deque()
        for block in blocks:
            waiting.append((block, pool.submit(_predict_in_worker, block.texts)))
            if len(waiting) > 2 * workers:  # one at work and one at hand for each
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()

    try:
        yield predict
    finally:
        pool.shutdown(cancel_futures=True)


_worker_classifier: Classifier | None = None


def _start_worker(bundle: Path) -> None:
    global _worker_classifier
    _worker_classifier = load_classifier(bundle)


def _predict_in_worker(texts: list[str]) -> list[Prediction | None]:
    return predict_each(cast(Classifier, _worker_classifier), texts)


class _FileJob:
    """One input to one output."""

    def __init__(
        self,
        name: str,
        output: str,
        column: str,
        limits: Limits,
        classifier: Classifier,
        predictor: Predictor,
        progress: TextIO | None,
    ) -> None:
        self.name = name
        self.output = output
        self.column = column
        self.limits = limits
        self.manifest = classifier.manifest
        self.model_sha256 = classifier.model_sha256
        self.predictor = predictor
        self.progress = progress
        self.format = detect_format(name)
        self.rejected = 0

    def run(self) -> Summary:
        started = time.monotonic()
        is_object = "://" in self.output
        target = _local_copy(self.name, self.output) if is_object else Path(self.output)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            row = self._score(target)
        except ObjectChanged:
            raise DeliveryError(
                f"{self.name}: the object was replaced while it was read: run the command again"
            ) from None
        if is_object:
            _put(target, self.output)
            shutil.rmtree(target.parent)
        seconds = time.monotonic() - started
        return Summary(self.output, row, self.rejected, seconds)

    def _score(self, target: Path) -> int:
        """Write `target` and its rejected rows, from a state that fits on; return the rows."""
        partial, state_path = _beside(target, ".partial"), _beside(target, ".state.json")
        rejected_partial = _beside(target, ".rejected.partial")
        source, size, version = open_input(self.name)
        identity = [self.name, size, version, self.model_sha256, asdict(self.limits), self.column]
        state = _read_state(state_path, identity, partial, rejected_partial)
        start = Position(state["row"], state["offset"])
        self.rejected = state["num_rejected"]
        with (
            source,
            _open_at(partial, state["bytes"]) as output,
            _open_at(rejected_partial, state["rejected_bytes"]) as rejects,
        ):
            rows = open_rows(source, self.format, [self.column], start, self.manifest.task.columns)
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
        bar = _Bar(self.progress, size, end.row)
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
                _save_state(state_path, identity, end, output, rejects, self.rejected)
                saved = time.monotonic()
            bar.draw(end.row, source.tell())
        bar.finish(end.row)
        for file in (output, rejects):
            file.flush()
            os.fsync(file.fileno())
        return end

    def _join(self, cells: Path) -> Path:
        from handler.rows.parquet import join_cells

        joined = _beside(cells, ".joined")
        source, _, _ = open_input(self.name)
        columns, version = self.manifest.task.columns, self.manifest.version
        with source, cells.open("rb") as lines, joined.open("wb") as output:
            join_cells(source, lines, cast(BinaryIO, output), columns, version)
        return joined

    def _put_in_place(self, target: Path, finished: Path, rejected_partial: Path) -> None:
        """Rename: the result last, so that where it stands all of it stands."""
        rejected = _beside(target, ".rejected")
        if rejected_partial.stat().st_size:
            rejected_partial.replace(rejected)
        else:
            rejected_partial.unlink()
            rejected.unlink(missing_ok=True)
        finished.replace(target)


class _Bar:
    """`reviews.csv: 43 %, 21,504 rows, 2,310 rows/s, 12 s left`, drawn a few times a second."""

    def __init__(self, stream: TextIO | None, size: int, first_row: int) -> None:
        self.stream = stream
        self.size = max(1, size)
        self.first_row = first_row
        self.started = self.drawn = time.monotonic()
        self.first_offset = -1

    def draw(self, row: int, offset: int) -> None:
        now = time.monotonic()
        if self.first_offset < 0:  # the first block has cost the start of the processes too
            self.first_offset, self.first_row, self.started = offset, row, now
            return
        if self.stream is None or now - self.drawn < 0.2:
            return
        self.drawn = now
        elapsed = now - self.started
        # A reader runs up to a buffer ahead: no time is told before it has moved.
        done = offset - self.first_offset
        left = f"{elapsed * max(0, self.size - offset) / done:,.0f} s left" if done else ""
        self.stream.write(
            f"\r{offset / self.size:4.0%}  {row:,} rows  "
            f"{(row - self.first_row) / elapsed:,.0f} rows/s  {left}\x1b[K"
        )
        self.stream.flush()

    def finish(self, row: int) -> None:
        if self.stream is not None:
            elapsed = max(time.monotonic() - self.started, 1e-9)
            speed = (row - self.first_row) / elapsed
            self.stream.write(f"\r100%  {row:,} rows  {speed:,.0f} rows/s\x1b[K\n")
            self.stream.flush()


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
    rejected = _beside(path, ".rejected")
    try:
        if rejected.exists():
            client.upload_file(str(rejected), bucket, f"{key}.rejected")
        elif not remove_object(client, bucket, f"{key}.rejected"):
            # One of an earlier result would mislead: an empty one takes its place.
            client.put_object(Bucket=bucket, Key=f"{key}.rejected", Body=b"")
        client.upload_file(str(path), bucket, key)
    except Exception as error:  # of the client and of its transfers, which hides the service's code
        raise DeliveryError(f"{url}: cannot be written: {error}") from error


def _read_state(
    path: Path, identity: list[Any], partial: Path, rejected_partial: Path
) -> dict[str, Any]:
    """Return the state of an earlier run of the very same job, or that of a new one."""
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if (
            state.pop("identity") == identity
            and partial.stat().st_size >= state["bytes"]
            and rejected_partial.stat().st_size >= state["rejected_bytes"]
        ):
            return state
    except (OSError, ValueError, KeyError, AttributeError):
        pass
    return {"row": 0, "offset": 0, "bytes": 0, "rejected_bytes": 0, "num_rejected": 0}


def _save_state(
    path: Path,
    identity: list[Any],
    end: Position,
    output: BinaryIO,
    rejects: BinaryIO,
    num_rejected: int,
) -> None:
    """Write down what is sure to be on the disk, after it is."""
    for file in (output, rejects):
        file.flush()
        os.fsync(file.fileno())
    state = {
        "identity": identity,
        **asdict(end),
        "bytes": output.tell(),
        "rejected_bytes": rejects.tell(),
        "num_rejected": num_rejected,
    }
    temporary = _beside(path, ".new")
    temporary.write_text(json.dumps(state), encoding="utf-8")
    temporary.replace(path)


def _open_at(path: Path, size: int) -> BinaryIO:
    """Return `path` open for writing after its first `size` bytes; the rest is cut off."""
    file = path.open("r+b" if path.exists() else "w+b")
    file.truncate(size)
    file.seek(size)
    return cast(BinaryIO, file)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _same_file(left: str, right: str) -> bool:
    return Path(left).resolve() == Path(right).resolve()
