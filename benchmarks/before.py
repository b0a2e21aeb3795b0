"""This code beside that of another checkout: the same calls, in turns, each in its own process.

    tokenizer     `encode_texts` of texts cut to 230 and 30 words, and to 100 Chinese characters
    predict       one text of 230 words; whole texts one by one; 64 texts at once
    score         `minnow score` of a file: CPU seconds, those of loading included

Each round asks both, the other one first in every second round; the ratios are those of the rounds.

Run: python -m benchmarks.before OTHER_CHECKOUT DATA [--chinese DATA] [--rounds 15] [--rows 5000]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ONE_BY_ONE = 200  # whole texts in a round
CUT_TEXTS = 100
AT_ONCE = 64


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="a checkout, with a bundle in handler/model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--chinese", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", type=int, default=5000, help="that `minnow score` reads")
    options = parser.parse_args()

    from training.rows.readers import read_dataset

    texts = read_dataset(options.data).texts
    chinese = read_dataset(options.chinese).texts if options.chinese else []
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.csv"
        with rows.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["text"], *([text] for text in texts[: options.rows])])
        samples = make_samples(texts, chinese)
        workers = [Worker(path.resolve(), samples, rows) for path in (options.other, ROOT)]
        try:
            report(measure(workers, list(samples), options.rounds))
            report(measure(workers, ["score"], max(1, options.rounds // 5)))
        finally:
            for worker in workers:
                worker.close()
    return 0


def make_samples(texts: Sequence[str], chinese: Sequence[str]) -> dict[str, list[str]]:
    """Return name -> texts; the first word of a name is what is called."""
    words = [text.split() for text in texts[: 10 * CUT_TEXTS]]
    long = [" ".join(part[:230]) for part in words if len(part) >= 230][:CUT_TEXTS]
    samples = {
        "tokenizer, 230 words": long,
        "tokenizer, 30 words": [" ".join(part[:30]) for part in words][:CUT_TEXTS],
        "tokenizer, 100 Chinese characters": [t[:100] for t in chinese if len(t) >= 100],
        "predict, 230 words": long,
        "predict, whole texts one by one": list(texts),
        "predict, 64 at once": list(texts),
    }
    return {name: sample for name, sample in samples.items() if sample}


class Worker:
    """A process that runs another checkout's code, or this one's."""

    def __init__(self, checkout: Path, samples: dict[str, list[str]], rows: Path) -> None:
        command = [sys.executable, __file__, "--work"]
        environment = os.environ | {"PYTHONPATH": str(checkout)}
        self._process = subprocess.Popen(
            command,
            cwd=checkout,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ask({"samples": samples, "rows": str(rows), "bundle": str(checkout / "handler/model")})

    def ask(self, message: Any) -> Any:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process has no pipes")
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._process.args} has ended with {self._process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def measure(
    workers: Sequence[Worker], names: Sequence[str], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Return (before, now) of each name in each round, in milliseconds; a first round warms up."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names:
            order = workers if number % 2 else workers[::-1]
            times = {worker: worker.ask({"name": name, "round": number}) for worker in order}
            if number:
                found[name].append((times[workers[0]], times[workers[1]]))
    return found


def report(found: dict[str, list[tuple[float, float]]]) -> None:
    for name, times in found.items():
        before, now = zip(*times, strict=True)
        ratios = sorted(b / a for a, b in times)
        print(
            f"{name:36}{statistics.median(before):12,.3f}{statistics.median(now):12,.3f} ms"
            f"{statistics.median(ratios):8.3f}  ({ratios[0]:.3f} to {ratios[-1]:.3f}, "
            f"{len(times)} rounds)",
            flush=True,
        )


def work() -> None:
    """Answer the questions of a `Worker` on standard input."""
    given = json.loads(sys.stdin.readline())

    from benchmarks.score import cpu_seconds
    from handler.hosts.bulk import score_files
    from handler.inference.classifier import load_classifier

    bundle = Path(given["bundle"])
    classifier = load_classifier(bundle)

    def call(name: str, number: int) -> float:
        if name == "score":
            started = cpu_seconds()
            score_files(bundle, [given["rows"]], f"{given['rows']}.{os.getpid()}.csv", force=True)
            return 1000 * (cpu_seconds() - started)
        return _time_calls(classifier, name, given["samples"][name], number)

    print("{}", flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        print(call(question["name"], question["round"]), flush=True)


def _time_calls(classifier: Any, name: str, texts: list[str], number: int) -> float:
    """Return the milliseconds of one call."""
    act: Callable[[list[str]], object] = (
        classifier.encode_texts if name.startswith("tokenizer") else classifier.predict
    )
    if name.endswith("at once"):
        parts = [texts[start : start + AT_ONCE] for start in range(0, 4 * AT_ONCE, AT_ONCE)]
    else:
        first = number * ONE_BY_ONE % max(1, len(texts) - ONE_BY_ONE + 1)
        parts = [[text] for text in texts[first : first + ONE_BY_ONE]]
    started = time.perf_counter()
    for part in parts:
        act(part)
    return 1000 * (time.perf_counter() - started) / len(parts)


if __name__ == "__main__":
    if sys.argv[1:] == ["--work"]:
        sys.path[0] = os.getcwd()  # not this file's folder
        work()
    else:
        sys.exit(main())
