"""Scoring files on one machine, in this process or in several.

    reviews.csv.gz -> scored.csv.gz, scored.csv.gz.rejected

What becomes of one input, and how a run that was stopped goes on, stands in `file_job.py`.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast

from handler.errors import DeliveryError, InvalidInput
from handler.hosts.file_job import Predictor, Summary
from handler.hosts.score_plan import make_plan
from handler.hosts.shards import Shard, check_shard_options
from handler.inference.classifier import Classifier, Prediction, load_classifier
from handler.rows.options import ReadOptions
from handler.rows.score import Block, predict_each
from handler.settings import Limits, read_trust

T = TypeVar("T")
Predicting = Future[list[Prediction | None]]
# Of one process: the model runs beside the interpreter, which reads, splits and writes.
THREADS = 2
LOOK_S = 1.0  # between two looks at the workers, while a result is awaited


def score_files(
    bundle: Path,
    inputs: Sequence[str],
    out: str,
    *,
    workers: int = 1,
    column: str | None = None,
    options: ReadOptions | None = None,
    limits: Limits | None = None,
    progress: TextIO | None = None,
    force: bool = False,
    review: str | None = None,
    shard: Shard | None = None,
) -> list[Summary]:
    """Score every input and return a summary of each.

    Args:
        bundle: The bundle's folder.
        inputs: As of `expand_inputs`.
        out: A file, for one input; a folder, made if it ends with a slash; or `s3://BUCKET/KEY`.
        workers: Processes that classify; with 1 it is done in this one.
        column: The column or field that holds the text; None: as in the training.
        options: How the files are read, as far as it is not found.
        limits: Checked on each row; by default those of a request.
        progress: Where the bar is drawn; None: nowhere.
        force: Replace outputs that stand already.
        review: Where rows go that the model does not answer: a file, or a folder as for `out`;
            None: nowhere but into the output, with the others.
        shard: Of several processes that share the inputs; None: this one scores all of them.

    Raises:
        InvalidInput: An input cannot be read, or an output would replace a file.
    """
    if shard is not None:
        check_shard_options(out, review)
    how: dict[str, Any] = {"column": column, "options": options, "limits": limits}
    plan = make_plan(inputs, out, force=force, review=review, **how)
    classifier = load_classifier(bundle, trust=read_trust())
    if review is not None and "abstained" not in classifier.task.columns:
        raise InvalidInput(
            f"--review {review}: this model answers every text. One that does not is made by "
            "minnow export RUN --abstain-accuracy SHARE"
        )
    share = plan.share(classifier, shard)
    with open_predictor(classifier, bundle, workers) as predictor:
        return share.run(classifier, predictor, progress)


@contextmanager
def open_predictor(classifier: Classifier, bundle: Path, workers: int) -> Iterator[Predictor]:
    """Yield a function that predicts blocks in order, in this process or in `workers` others."""
    if workers == 1:
        yield predict_in_threads(classifier)
        return
    others = set(active_children())
    started: set[BaseProcess] = set()
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (bundle,))

    def submit(texts: list[str]) -> Predicting:
        with _interrupt_blocked():
            future = pool.submit(_predict_in_worker, texts)
        started.update(set(active_children()) - others)
        return future

    def predict(blocks: Iterator[Block]) -> Iterator[tuple[Block, list[Prediction | None]]]:
        # One at work and one at hand for each.
        return in_order(blocks, submit, lambda future: _wait(future, started), 2 * workers)

    try:
        yield predict
    except BaseException as error:
        # Nothing is waited for: the pool was left in the middle of whatever it did, and a worker
        # that ended with a lock in its hand would keep the others for ever.
        for process in started:
            process.kill()
        # With no writer left, the pool's own thread does not wait for the rest of half a result.
        with suppress(AttributeError, OSError):
            pool._result_queue._writer.close()  # type: ignore[attr-defined]
        pool.shutdown(wait=False, cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            raise DeliveryError(
                "a process that classifies has ended of itself, as for want of memory. The same "
                "command goes on from here; fewer --workers need less memory"
            ) from error
        raise
    pool.shutdown()


def predict_in_threads(classifier: Classifier) -> Predictor:
    """Return what predicts blocks in order in this process."""
    return partial(_predict_in_threads, classifier)


def _predict_in_threads(
    classifier: Classifier, blocks: Iterator[Block]
) -> Iterator[tuple[Block, list[Prediction | None]]]:
    """Predict a block while others are read and written: only the model's runs are at a time."""
    pool = ThreadPoolExecutor(THREADS, "minnow-score")
    try:
        yield from in_order(
            blocks,
            lambda texts: pool.submit(predict_each, classifier, texts),
            lambda future: future.result(),
            THREADS,
        )
    finally:
        pool.shutdown(cancel_futures=True)


def in_order(
    blocks: Iterator[Block],
    submit: Callable[[list[str]], T],
    wait: Callable[[T], list[Prediction | None]],
    num_ahead: int,
) -> Iterator[tuple[Block, list[Prediction | None]]]:
    """Yield each block with its predictions, while so many that follow are predicted.

    Args:
        submit: Takes texts, and returns what `wait` waits for: their predictions.
    """
    waiting: deque[tuple[Block, T]] = deque()
    for block in blocks:
        waiting.append((block, submit(block.texts)))
        if len(waiting) > num_ahead:
            first, future = waiting.popleft()
            yield first, wait(future)
    for first, future in waiting:
        yield first, wait(future)


def _wait(future: Future[T], workers: set[BaseProcess]) -> T:
    """Return a future's result; the pool itself waits for ever for one that was half sent."""
    while True:
        try:
            return future.result(timeout=LOOK_S)
        except TimeoutError:
            if not all(worker.is_alive() for worker in workers):
                raise BrokenProcessPool("a worker has ended") from None


@contextmanager
def _interrupt_blocked() -> Iterator[None]:
    """Keep Ctrl-C, which reaches a whole group of processes, from those that are started here."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_worker_classifier: Classifier | None = None


def _start_worker(bundle: Path) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    global _worker_classifier
    _worker_classifier = load_classifier(bundle, trust=read_trust())


def _end_with_parent() -> None:
    """End this process when the one that asks it has ended, in whatever way."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _predict_in_worker(texts: list[str]) -> list[Prediction | None]:
    return predict_each(cast(Classifier, _worker_classifier), texts)
