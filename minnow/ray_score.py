"""`minnow score --engine ray`: the files of a command, scored by actors of a cluster.

    as many files as actors   each actor takes one file after another, reads, scores and writes it
    fewer                     this process reads and writes, the actors are given blocks of texts

Either way what becomes of a file is what `minnow score` makes of it, to the byte. Where outputs
stand in a folder, each file is a shard of its own (`handler/hosts/shards.py`): once it is in place
that is written down, so the same command passes it over, and `minnow shards` checks all of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from minnow.errors import CommandError
from minnow.extras import require
from minnow.ray_actor import Outcome, read_version, when_free
from minnow.ray_cluster import Pool, connected, count_cpus

if TYPE_CHECKING:
    from handler.hosts.file_job import Predictor, Summary
    from handler.hosts.score_plan import Plan, Share
    from handler.inference.classifier import Classifier, Prediction
    from handler.rows.score import Block

BLOCKS_IN_HAND = 2  # one at work and one at hand, as `minnow score --workers` has
# So many files fail through faults of their own; more are a fault of all, as a column's name.
MAX_FAILED = 10
SHOWN_FAILED = 3
DRAW_S = 0.2


def score_on_ray(
    bundle: Path,
    inputs: Sequence[str],
    out: str,
    address: str | None = None,
    workers: int | None = None,
    progress: TextIO | None = None,
    **how: Any,
) -> list[Summary]:
    """Score every input and return a summary of each.

    Args:
        address: Of the cluster; None: that of `RAY_ADDRESS`, or one that is started here.
        workers: Actors, each of one processor; None: as many as there are processors.
        bundle, inputs, out, progress: As of `score_files`.
        how: Of `make_plan`, how the inputs are read.

    Raises:
        HandlerError: There is no such input or no cluster, or an output would replace a file.
        CommandError: Some of several inputs could not be scored; the others are done.
    """
    from handler.hosts.bulk import predict_in_threads
    from handler.hosts.score_plan import make_plan

    require("ray")
    plan = make_plan(inputs, out, **how)
    classifier, opened = _open_bundle(bundle)
    shares = _share_out(plan, classifier)
    for share in filter(_has_files, shares):
        when_free(share.check)
    if left := _count_left(plan, shares):
        return _score_shares(shares, left, classifier, opened, address, workers, progress)
    here = predict_in_threads(classifier)  # in vain: all summaries were written down
    return [summary for share in shares for summary in share.run(classifier, here, None)]


def _score_shares(
    shares: Sequence[Share],
    left: int,
    classifier: Classifier,
    opened: tuple[Any, ...],
    address: str | None,
    workers: int | None,
    progress: TextIO | None,
) -> list[Summary]:
    """Score them on a cluster, in the way that suits how many are left."""
    from handler.hosts.cores import count_cores

    with connected(address, workers or count_cores()) as is_one_machine:
        number = workers or count_cpus()
        is_local = any(map(_has_files, shares))
        by_files = left >= number and (is_one_machine or not is_local)
        depth = 1 if by_files else BLOCKS_IN_HAND
        run = _run_files if by_files else _run_blocks
        with closing(Pool(number, opened, depth, by_files and is_local, progress)) as pool:
            return _collect(shares, run(pool, shares, classifier, progress))


def _has_files(share: Share) -> bool:
    """Say whether a share reads or writes files of a machine, not only objects of a bucket."""
    return any("://" not in place for place in share.places)


def _collect(shares: Sequence[Share], outcomes: Iterator[tuple[int, Outcome]]) -> list[Summary]:
    """Return the summaries of all shares, in their order; a failed one stops no other."""
    done: dict[int, list[Summary]] = {}
    failed: dict[str, Exception] = {}
    for index, outcome in outcomes:
        if outcome.error is None:
            done[index] = outcome.result
            continue
        failed[shares[index].tasks[0].name] = outcome.error
        if len(failed) >= MAX_FAILED:
            break
    if len(shares) == 1 and failed:
        raise next(iter(failed.values()))
    if failed:
        raise _describe_failed(failed, len(done), len(shares))
    return [summary for index in range(len(shares)) for summary in done[index]]


def _run_files(
    pool: Pool, shares: Sequence[Share], classifier: Classifier, progress: TextIO | None
) -> Iterator[tuple[int, Outcome]]:
    """Let each actor score one file after another."""
    bar = _FilesBar(progress, len(shares))
    tickets = {pool.submit("score", share): index for index, share in enumerate(shares)}
    while tickets:
        for ticket in pool.look():
            if ticket.outcome is not None:
                bar.draw(ticket.outcome.result)
                yield tickets.pop(ticket), ticket.outcome
    bar.finish()


def _run_blocks(
    pool: Pool, shares: Sequence[Share], classifier: Classifier, progress: TextIO | None
) -> Iterator[tuple[int, Outcome]]:
    """Read and write one file after another here, whose texts all actors share."""
    from handler.errors import HandlerError

    for index, share in enumerate(shares):
        try:
            yield index, Outcome(share.run(classifier, _predict_by(pool), progress))
        except (HandlerError, OSError) as error:
            yield index, Outcome(error=error)


def _predict_by(pool: Pool) -> Predictor:
    """Return what predicts blocks in order, by the actors of a pool."""
    from handler.hosts.bulk import in_order

    def predict(blocks: Iterator[Block]) -> Iterator[tuple[Block, list[Prediction | None]]]:
        ahead = pool.depth * pool.number
        return in_order(blocks, lambda texts: pool.submit("predict", texts), pool.wait, ahead)

    return predict


def _open_bundle(bundle: Path) -> tuple[Classifier, tuple[Any, ...]]:
    """Return the model, and what an actor opens the same one by."""
    from handler.inference.bundle import check_bundle
    from handler.inference.classifier import open_classifier
    from handler.settings import read_trust
    from minnow.bundle_files import open_place, recording

    files: dict[str, bytes] = {}
    checked = check_bundle(bundle, recording(open_place(str(bundle)), files), read_trust())
    return open_classifier(checked), (str(bundle), files, os.getcwd(), read_version())


def _share_out(plan: Plan, classifier: Classifier) -> list[Share]:
    """Return a share for each input."""
    from handler.hosts.shards import Shard

    if not plan.has_folder:
        return [plan.share(classifier)]
    number = len(plan.names)
    return [plan.share(classifier, Shard(index, number)) for index in range(number)]


def _count_left(plan: Plan, shares: Sequence[Share]) -> int:
    """Return how many inputs are to be scored yet, as far as was written down."""
    from handler.hosts.shard_files import list_records

    if plan.how.force or not plan.has_folder:
        return len(shares)
    recorded = {*list_records(plan.out.rstrip("/"))}
    records = [share.record for share in shares if share.record is not None]
    return sum(record.shard.record not in recorded for record in records)


def _describe_failed(failed: Mapping[str, Exception], num_done: int, number: int) -> CommandError:
    from minnow.cli import describe_error

    reasons = [(name, describe_error(error)) for name, error in failed.items()][:SHOWN_FAILED]
    told = "; ".join(reason if name in reason else f"{name}: {reason}" for name, reason in reasons)
    more = f"; and {len(failed) - SHOWN_FAILED} more" if len(failed) > SHOWN_FAILED else ""
    left = number - num_done - len(failed)
    stopped = f", {left:,} were not begun or not finished" if left else ""
    return CommandError(
        f"{len(failed)} of {number:,} inputs were not scored{stopped}, {num_done:,} are done. The "
        f"same command goes on with what is left: {told}{more}"
    )


class _FilesBar:
    """`37 of 1,000 files  370,000 rows  21,504 rows/s` on a terminal; elsewhere one line."""

    def __init__(self, stream: TextIO | None, number: int) -> None:
        self.stream = stream
        self.number = number
        self.num_done = self.rows = 0
        self.started = self.drawn = time.monotonic()

    def draw(self, summaries: Sequence[Summary] | None) -> None:
        """Count a file that is done; None: one that is not."""
        self.num_done += summaries is not None
        self.rows += sum(summary.rows for summary in summaries or [])
        now = time.monotonic()
        if self.stream is not None and self.stream.isatty() and now - self.drawn > DRAW_S:
            self.drawn = now
            self._write(self.stream, "\r", "\x1b[K")

    def finish(self) -> None:
        if self.stream is not None:
            begin, end = ("\r", "\x1b[K\n") if self.stream.isatty() else ("", "\n")
            self._write(self.stream, begin, end)

    def _write(self, stream: TextIO, begin: str, end: str) -> None:
        speed = self.rows / max(time.monotonic() - self.started, 1e-9)
        told = (
            f"{self.num_done:,} of {self.number:,} files  {self.rows:,} rows  {speed:,.0f} rows/s"
        )
        stream.write(f"{begin}{told}{end}")
        stream.flush()
