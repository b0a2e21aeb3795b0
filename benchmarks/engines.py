"""`minnow score` on Ray beside `--workers` and the example of Ray Data: rows/s, memory.

    files      Parquet, a folder of files: --workers N, --engine ray, examples/ray_data.py
    one file   CSV: --workers N, --engine ray

Each is a process of its own, with all that it starts, in turns. The seconds of its start, those of
a few rows, are told beside and not counted in the second column of rows/s. CPU time is that of the
process and all that it starts, and the one to compare on a busy machine; memory is the most that
they had at once, what they share counted once.

Run: python -m benchmarks.engines DATA [--bundle BUNDLE] [--rows 1000000] [--rounds 1]
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import pyarrow
from pyarrow import parquet

from benchmarks.process_tree import read_cpu, read_memory
from training.rows.readers import read_dataset

ROOT = Path(__file__).resolve().parents[1]
NUM_FILES = 8
START_ROWS = 16
LOOK_S = 0.5
# Ray counts what reads, writes and scores as processors: on two of them one of each is too many.
EXAMPLE = """
import runpy, sys, ray
ray.init("local", num_cpus=int(sys.argv[1]), include_dashboard=False,
         object_store_memory=256 << 20, log_to_driver=False)
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0])
"""
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "PYTHONPATH": str(ROOT)}


class Measured(NamedTuple):
    """What a run took: seconds, those of all its processors, and the most bytes at once."""

    wall_s: float
    cpu_s: float
    memory_bytes: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--bundle", type=Path, default=ROOT / "handler" / "model")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--skip-start", action="store_true", help="measure no starts")
    options = parser.parse_args()
    texts = [*islice(cycle(read_dataset(options.data).texts), options.rows)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder / "rows", texts)
        write_inputs(folder / "start", texts[:START_ROWS])
        print(f"{len(texts):,} rows, {options.workers} workers, {os.cpu_count()} cores\n")
        print(
            f"{'':34}{'s':>8}{'start s':>9}{'rows/s':>10}{'less start':>12}{'CPU s':>8}{'MB':>8}",
            flush=True,
        )
        for source in ("files", "one.csv"):
            base = 0.0
            for way, command in make_ways(options.bundle, options.workers, source).items():
                starts = [] if options.skip_start else [run(command, folder / "start", source)]
                runs = [run(command, folder / "rows", source) for _ in range(options.rounds)]
                base = report(f"{way}, {source}", len(texts), starts, runs, base)
    return 0


def write_inputs(folder: Path, texts: Sequence[str]) -> None:
    """Write the texts as one CSV file, and as a folder of Parquet files."""
    (folder / "files").mkdir(parents=True)
    with (folder / "one.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text",), *((text,) for text in texts)])
    size = -(-len(texts) // NUM_FILES)
    for number in range(NUM_FILES):
        table = pyarrow.table({"text": texts[number * size : (number + 1) * size]})
        parquet.write_table(table, folder / "files" / f"{number}.parquet")


def make_ways(bundle: Path, workers: int, source: str) -> dict[str, list[str]]:
    """Return each way's command, where IN and OUT stand for what is scored."""
    score = [sys.executable, "-m", "minnow", "score", str(bundle.absolute()), "IN", "--out", "OUT"]
    score += ["--quiet", "--workers", str(workers)]
    ways = {"score --workers": score, "score --engine ray": [*score, "--engine", "ray"]}
    if source == "files":
        example = [str(ROOT / "examples" / "ray_data.py"), str(bundle.absolute()), "IN", "OUT"]
        ways["Ray Data"] = [sys.executable, "-c", EXAMPLE, str(2 * workers), *example]
    return ways


def run(command: Sequence[str], folder: Path, source: str) -> Measured:
    """Run a command to its end; raises CalledProcessError if it fails."""
    out = folder / "out"
    target = f"{out}/" if source == "files" else f"{out}/one.csv"
    places = {"IN": str(folder / source), "OUT": target}
    begun, memory = time.monotonic(), 0
    cpu_s: dict[int, float] = {}  # of each process, as it was seen last
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [places.get(word, word) for word in command],
            *(-1, None, subprocess.DEVNULL, said, said),
            cwd=folder,
            env=os.environ | QUIET,
        )
        while process.poll() is None:
            memory = max(memory, read_memory(process.pid)[2])
            cpu_s |= read_cpu(process.pid)
            time.sleep(LOOK_S)
        wall_s = time.monotonic() - begun
        if process.returncode:
            said.seek(0)
            print(said.read().decode(errors="replace")[-2000:], file=sys.stderr)
            raise subprocess.CalledProcessError(process.returncode, command)
    shutil.rmtree(out)
    return Measured(wall_s, sum(cpu_s.values()), memory)


def report(
    name: str, num_rows: int, starts: Sequence[Measured], runs: Sequence[Measured], base: float
) -> float:
    """Print a line, with the ratio to `base` unless that is 0; return the base of the next."""
    wall_s = statistics.median(one.wall_s for one in runs)
    start_s = starts[0].wall_s if starts else 0.0
    memory = max(one.memory_bytes for one in runs) / 1e6
    cpu_s = statistics.median(one.cpu_s for one in runs)
    speed, net = num_rows / wall_s, num_rows / max(wall_s - start_s, 1e-9)
    ratio = f"  {net / base:.2f} of --workers" if base else ""
    print(
        f"{name:34}{wall_s:8.1f}{start_s:9.1f}{speed:10,.0f}{net:12,.0f}{cpu_s:8.1f}{memory:8,.0f}{ratio}",
        flush=True,
    )
    return base or net


if __name__ == "__main__":
    sys.exit(main())
