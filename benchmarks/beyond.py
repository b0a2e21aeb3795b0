"""More rows than memory holds: memory of `minnow train --stream`, and what a second worker adds.

Texts are made of halves of two real rows of one label each, so that hardly two are equal. Memory is
the most that all processes of a worker had at one time, read every half second. Rows a second are
those of the steps behind the sample, without the first three, which are compiled; of two workers
each has a processor of its own. Beside them stands the chief's time of the processor for 1,000 rows
of all, which does not depend on what else the machine does.

Run: python -m benchmarks.beyond [--only speed] FILE [-- --stream-batch 4096]
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.process_tree import read_memory
from tests.helpers.ports import free_ports
from training.rows.readers import Dataset, read_dataset

GROUP_ROWS = 50_000
INTERVAL_S = 0.5
MEMORY, SPEED = "memory", "speed"


def main() -> int:
    parser = argparse.ArgumentParser("benchmarks.beyond", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="FILE", help="labelled texts to mix rows of")
    parser.add_argument("--only", choices=(MEMORY, SPEED), help="one of the two measurements")
    parser.add_argument("--rows", type=int, default=10_000_000, help="to measure memory")
    parser.add_argument("--speed-rows", type=int, default=400_000, help="to measure rows a second")
    parser.add_argument("--steps", type=int, default=150, help="of 1,024 rows behind the sample")
    parser.add_argument("--sample-rows", type=int, default=100_000, help="to measure memory")
    parser.add_argument("--cores", default="0,1", help="of the two workers; memory has the last")
    parser.add_argument(
        "--work", type=Path, default=Path("build/beyond"), help="folder of the work"
    )
    parser.epilog = "Behind -- stand further options of minnow train."
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    options = parser.parse_args(words[:cut], argparse.Namespace(more=words[cut + 1 :]))
    cores = [int(core) for core in options.cores.split(",")]
    options.work.mkdir(parents=True, exist_ok=True)
    if options.only != SPEED:
        rows = write_rows(options.data, options.work, options.rows)
        own = ["--sample-rows", str(options.sample_rows), *options.more]
        told, peaks, seconds = train(
            rows, options.work, options.rows, options.steps, cores[-1:], own
        )
        size = sum(file.stat().st_size for file in rows.iterdir())
        print(
            f"memory: {options.rows:,} rows, {size / 1e6:,.0f} MB of Parquet, {told['steps']} "
            f"steps behind a sample of {options.sample_rows:,}: {peaks[0] / 1e9:.2f} GB at most, "
            f"{seconds:,.0f} s in all"
        )
    if options.only != MEMORY:
        measure_speed(options, cores)
    return 0


def measure_speed(options: argparse.Namespace, cores: Sequence[int]) -> None:
    """Print rows a second of one worker and of two, and what the models say."""
    rows = write_rows(options.data, options.work, options.speed_rows)
    own = ["--sample-rows", "4000", *options.more]
    speeds = []
    for used in (cores[-1:], cores):
        told, peaks, _ = train(rows, options.work, options.speed_rows, options.steps, used, own)
        speeds.append(told["rows_per_s"])
        per_row = 1e6 * told["chief_processor_s"] / told["timed_rows"]
        print(
            f"speed: {len(used)} workers: {told['rows_per_s']:,.0f} rows/s, {per_row:.0f} ms of "
            f"the processor for 1,000 rows, {max(peaks) / 1e9:.2f} GB, log loss "
            f"{told['log_loss']:.4f}, accuracy {told['accuracy']:.4f}",
            flush=True,
        )
    print(f"speed: {speeds[1] / speeds[0]:.2f} times the rows/s by two workers")


def write_rows(data: Path, work: Path, num_rows: int) -> Path:
    """Return a folder with so many rows as Parquet; one that is there already is used again."""
    import pyarrow
    from pyarrow import parquet

    folder = work / f"{data.parent.name}-{num_rows}"
    if folder.exists():
        return folder
    partial = work / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    made = make_rows(read_dataset(data), random.Random(0))
    for start in range(0, num_rows, GROUP_ROWS):
        some = [next(made) for _ in range(min(GROUP_ROWS, num_rows - start))]
        texts, labels = zip(*some, strict=True)
        table = pyarrow.table({"text": list(texts), "label": list(labels)})
        parquet.write_table(table, partial / f"part-{start // GROUP_ROWS:05}.parquet")
    return partial.rename(folder)


def make_rows(dataset: Dataset, order: random.Random) -> Iterator[tuple[str, str]]:
    """Yield texts, each the beginning of one real text and the end of another of its label."""
    halves: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for text, label in zip(dataset.texts, dataset.labels, strict=True):
        words = text.split()
        middle = len(words) // 2
        halves[label].append((" ".join(words[:middle]), " ".join(words[middle:])))
    labels = list(dataset.labels)
    while True:
        label = labels[int(order.random() * len(labels))]
        own = halves[label]
        first, second = (own[int(order.random() * len(own))] for _ in range(2))
        yield f"{first[0]} {second[1]}", label


def train(
    rows: Path, work: Path, num_rows: int, steps: int, cores: Sequence[int], more: Sequence[str]
) -> tuple[dict[str, Any], list[int], float]:
    """Return what the run tells, the most bytes that each worker had, and the seconds.

    Args:
        cores: One for each worker.
    """
    outs = [work / f"run-{number}" for number in range(len(cores))]
    command = [sys.executable, "-m", "minnow", "train", str(rows), "--stream", "--force", "--quiet"]
    command += ["--passes", str(steps * 1024 / num_rows), "--epochs", "1", *more]
    addresses = ",".join(f"127.0.0.1:{port}" for port in free_ports(len(cores)))
    started = time.monotonic()
    processes = []
    for number, (core, out) in enumerate(zip(cores, outs, strict=True)):
        own = ["--out", str(out)]
        if len(cores) > 1:
            own += ["--workers", addresses, "--worker", str(number)]
        pinned = ["taskset", "-c", str(core), *command, *own]
        processes.append(subprocess.Popen(pinned, stdout=subprocess.DEVNULL))
    peaks = [0] * len(processes)
    while any(process.poll() is None for process in processes):
        peaks = [max(p, read_memory(one.pid)[1]) for p, one in zip(peaks, processes, strict=True)]
        time.sleep(INTERVAL_S)
    if any(process.returncode for process in processes):
        raise SystemExit(f"{' '.join(command)}: failed")
    metadata = json.loads((outs[0] / "metadata.json").read_text("utf-8"))
    figures = {name: metadata["metrics"]["dev"][name] for name in ("accuracy", "log_loss")}
    return metadata["stream"] | figures, peaks, time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
